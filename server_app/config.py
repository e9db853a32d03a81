"""From ``conf/`` and a run-config to checked settings; all that knows Hydra."""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from hydra import compose as compose_with_hydra
from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from yaml import AliasEvent, CollectionEndEvent, CollectionStartEvent, YAMLError
from yaml import parse as parse_yaml

from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.components import nearest, problems
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.settings import Settings
from server_app.places import problems_at

CHOICES = ("experiment", "model", "strategy", "data")
"""Run-config keys that choose an option of the configuration group of the same name."""
MAY_CHANGE = (
    "run.root",
    "run.resume",
    "run.keep",
    "cohort.nodes",
    "cohort.wait_s",
    "cohort.timeout_s",
    "cohort.link_mbit",
    "cohort.deadline_factor",
    "cohort.min_replies",
    "tracking",
)
"""Keys that a resumed run may change: how it is carried out, not what it computes."""
OVERRIDES = "overrides"
"""Run-config key for everything else: Hydra overrides, separated by blanks."""

_OUTSIDE = re.compile(r"\$\{[^}]*(?::|\$\{)|\$\{[\s.\[]*run\b")
"""Interpolations with a resolver, with another one inside, or of the section ``run``."""
_DEEPEST = 50
"""Levels of a file of YAML."""
_SHOWN = 300
"""Characters of an error of a parser."""
_QUOTE = """write a value with blanks, commas or other special characters as "key='value'\""""


def compose(run_config: Mapping[str, Any]) -> Settings:
    """Compose ``conf/`` with the choices and overrides of a run-config, and check all of it.

    Args:
        run_config: Flower's run-config: `CHOICES` (an empty string keeps the default) and `OVERRIDES`.

    Raises:
        ConfigurationError: If anything is wrong; the message lists every problem, a line each.
    """
    sentences = [
        f"run-config key '{key}' is unknown{nearest(key, (*CHOICES, OVERRIDES))}"
        for key in run_config
        if key not in (*CHOICES, OVERRIDES)
    ]
    chosen = [f"{key}={run_config[key]}" for key in CHOICES if run_config.get(key)]
    try:
        wanted = chosen + _words(run_config)
    except ValueError as error:  # an open quotation mark
        raise _all_of([*sentences, f"{OVERRIDES} can't be split into words: {error}"]) from error
    with initialize_config_module("conf", version_base=None):
        try:
            sound, unsound = _sort_out(wanted)
            sentences += unsound
            composed, names = _composed(sound)
            if outside := list(_reaching_out(OmegaConf.to_container(composed))):
                raise _all_of([*sentences, *outside])
            plain = {**_plain(composed), "names": names}
        except RecursionError as error:
            raise _all_of([*sentences, f"{OVERRIDES} is nested too deeply"]) from error
        except (HydraException, OmegaConfBaseException) as error:
            where = f"{key}: " if (key := getattr(error, "full_key", None)) else ""
            raise _all_of([*sentences, where + (str(error) or repr(error)).splitlines()[0]]) from error
    missing = OmegaConf.missing_keys(composed)
    sentences += [f'{key} has no default; give it with {OVERRIDES}="{key}=..."' for key in sorted(missing)]
    sentences += _schema_problems(plain)
    if sentences:
        raise _all_of(sentences)
    return Settings.model_validate(plain)


def compose_for_run(run_config: Mapping[str, Any], saved_at: Callable[[str], Path]) -> Settings:
    """Compose a run-config, or take the saved configuration if it resumes an earlier run.

    Args:
        run_config: As for `compose`.
        saved_at: From a run directory to the file that `save` wrote there.

    Raises:
        ConfigurationError: As `compose`, or if the run-config asks a resumed run to be another than it was.
    """
    asked = compose(run_config)
    if asked.run.resume is None:
        return asked
    saved = load(saved_at(asked.run.resume))
    given = [word.partition("=")[0] for word in _words(run_config)]
    saved = _with(saved, asked, [key for key in given if key.startswith(MAY_CHANGE)])
    if any(map(run_config.get, CHOICES)) or any(not key.startswith(MAY_CHANGE) for key in given):
        ours, theirs = _with(asked, saved, MAY_CHANGE).model_dump(), saved.model_dump()
        differing = [path for path in _flatten(ours) if _select(ours, path) != _select(theirs, path)]
        if leaves := sorted(path for path in differing if not isinstance(_select(ours, path), Mapping)):
            raise ConfigurationError(
                f"a resumed run keeps its configuration, but the run-config changes {', '.join(leaves)};"
                " give run.resume alone, or start a new run"
            )
    return saved


def _with(settings: Settings, other: Settings, keys: Iterable[str]) -> Settings:
    """Settings with the values that other settings have at some keys, such as ``run.keep``."""
    for key in keys:
        section, _, name = key.partition(".")
        changed = getattr(settings, section).model_copy(update={name: getattr(getattr(other, section), name)})
        settings = settings.model_copy(update={section: changed})
    return settings


def load(path: Path) -> Settings:
    """Read settings that `save` wrote.

    Raises:
        ConfigurationError: If the file is missing, isn't YAML, or holds something else.
    """
    plain = _read_yaml(path, "a saved configuration")
    if sentences := _schema_problems(plain):
        raise _all_of(sentences)
    return Settings.model_validate(plain)


def load_component(path: Path) -> dict[str, Any]:
    """Read a yaml file of one component: ``_target_`` and its arguments, as in ``conf/``.

    Raises:
        ConfigurationError: If the file is missing, isn't YAML, or its arguments don't fit.
    """
    settings = _read_yaml(path, "a component, '_target_' and its arguments")
    if sentences := list(problems(settings, path.name)):
        raise _all_of(sentences)
    return settings


def _read_yaml(path: Path, what: str) -> dict[str, Any]:
    """Read YAML as plain values, without interpolation and without aliases, which make anything of any size.

    Args:
        path: The file.
        what: What it should hold, for the message.
    """
    try:
        text = path.read_text(encoding="utf-8")
        depth = 0
        for event in parse_yaml(text):
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if isinstance(event, AliasEvent) or depth > _DEEPEST:
                raise ConfigurationError(
                    f"'{path}' must hold {what} without aliases (*name), nested at most {_DEEPEST} times"
                )
        plain = OmegaConf.to_container(OmegaConf.create(text))
    except ConfigurationError:
        raise
    except (OSError, ValueError, RecursionError, YAMLError, OmegaConfBaseException) as error:
        raise ConfigurationError(f"'{path}' can't be read as {what}: {error!s:.{_SHOWN}}") from error
    if not isinstance(plain, dict):
        raise ConfigurationError(f"'{path}' must hold {what}, got a list")
    return {str(key): _with_words_as_keys(value) for key, value in plain.items()}


def _with_words_as_keys(value: Any) -> Any:  # noqa: ANN401 (plain values)
    if isinstance(value, dict):
        return {str(key): _with_words_as_keys(item) for key, item in value.items()}
    return [_with_words_as_keys(item) for item in value] if isinstance(value, list) else value


def _reaching_out(value: object, path: str = "") -> Iterator[str]:
    """A sentence for each value that would send clients what isn't in the configuration.

    The section ``run`` alone may do so: it is never sent.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            if path or key != "run":
                yield from _reaching_out(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _reaching_out(item, f"{path}[{place}]")
    elif isinstance(value, str) and _OUTSIDE.search(value):
        yield (
            f"{path}: a value may refer to another key, such as ${{degradation.scale}}, but not to the"
            f" environment, to functions or to run, since it is sent to clients, got {value!r:.100}; write it"
            " out"
        )


def save(settings: Settings, path: Path) -> None:
    """Write the resolved settings as YAML."""
    write_atomically(path, OmegaConf.to_yaml(settings.model_dump()).encode())


def options(group: str) -> list[str]:
    """The options of a configuration group, such as the names below ``conf/strategy``."""
    with initialize_config_module("conf", version_base=None):
        return _options(group)


def _options(group: str, kind: ObjectType = ObjectType.CONFIG) -> list[str]:
    return list(GlobalHydra.instance().config_loader().get_group_options(group, kind))


def _words(run_config: Mapping[str, Any]) -> list[str]:
    return shlex.split(str(run_config.get(OVERRIDES, "")))


def _sort_out(wanted: Iterable[str]) -> tuple[list[str], list[str]]:
    """Split overrides into those that can be composed, and a sentence for each that can't."""
    choices: list[str] = []
    values: list[Override] = []
    sentences: list[str] = []
    groups = set(_options("", ObjectType.GROUP)) - {"hydra"}
    for text in wanted:
        try:
            override = OverridesParser.create().parse_override(text)
        except (HydraException, ValueError, RecursionError):
            sentences.append(f"override '{text:.{_SHOWN}}' isn't of the form key=value; {_QUOTE}")
            continue
        key = override.key_or_group
        if override.is_sweep_override():
            sentences.append(f"override '{text}' must give one value; {_QUOTE}")
        elif key not in groups:
            values.append(override)
        elif override.get_key_element() != key:  # a prefix, or another package
            sentences.append(f"override '{text}' must be of the form {key}=NAME")
        elif (option := override.value()) not in (known := _options(key)):
            sentences.append(f"{text}: no such option{nearest(str(option), known)}")
        else:
            choices.append(text)
    keys = _flatten(_plain(_composed(choices)[0])) if values else set()
    sound = list(choices)
    for override in values:
        key, text = override.key_or_group, str(override.input_line)
        parent = key
        while parent and parent not in keys:
            parent = parent.rpartition(".")[0]
        if parent and (parent == key or override.is_add()):
            sound.append(text)
        else:
            close = get_close_matches(key, keys, n=1)
            siblings = {name for name in keys if name.rpartition(".")[0] == parent}
            sentences.append(f"override '{text}': there is no key '{key}'{nearest(key, close or siblings)}")
    return sound, sentences


def _composed(overrides: list[str]) -> tuple[DictConfig, dict[str, str]]:
    """The configuration, and the chosen option of each group."""
    composed = compose_with_hydra("config", overrides=overrides, return_hydra_config=True)
    names = {group: name for group, name in composed.hydra.runtime.choices.items() if "/" not in group}
    return OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"]), names


def _plain(composed: DictConfig) -> dict[str, Any]:
    return cast(dict[str, Any], OmegaConf.to_container(composed, resolve=True))


def _flatten(value: object, path: str = "") -> set[str]:
    if not isinstance(value, Mapping):
        return set()
    paths = {f"{path}.{key}".lstrip("."): item for key, item in value.items()}
    return set(paths).union(*(_flatten(item, name) for name, item in paths.items()))


def _select(value: Any, path: str) -> object:  # noqa: ANN401
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _schema_problems(plain: Mapping[str, Any]) -> list[str]:
    sentences = []
    try:
        Settings.model_validate(plain)
    except ValidationError as error:
        sentences = [_sentence(problem) for problem in error.errors()]
    return [*sentences, *problems_at(plain)]


def _sentence(problem: Any) -> str:  # noqa: ANN401 (pydantic's ErrorDetails)
    where = ".".join(str(part) for part in problem["loc"])
    came = "" if problem["type"] in ("missing", "value_error") else f", got {problem['input']!r}"
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}{came}".removeprefix(": ")


def _all_of(sentences: list[str]) -> ConfigurationError:
    return ConfigurationError(
        "\n".join(
            [
                f"{len(sentences)} problem(s) in the configuration:",
                *(f"  - {sentence}" for sentence in sentences),
            ]
        )
    )
