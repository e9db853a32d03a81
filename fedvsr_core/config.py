"""From ``conf/`` and a run-config to checked settings; all that knows Hydra."""

import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from fedvsr_core.components import nearest, problems
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.settings import Settings

CHOICES = ("experiment", "model", "strategy", "data")
"""Run-config keys that choose an option of the configuration group of the same name."""
OVERRIDES = "overrides"
"""Run-config key for everything else: Hydra overrides, separated by blanks."""


def compose(run_config: Mapping[str, Any]) -> Settings:
    """Compose ``conf/`` with the choices and overrides of a run-config, and check all of it.

    Args:
        run_config: Flower's run-config: `CHOICES` (an empty string keeps the default) and `OVERRIDES`.

    Raises:
        ConfigurationError: If anything is wrong; the message lists every problem, a line each.
    """
    found = [
        f"run-config key '{key}' is unknown{nearest(key, (*CHOICES, OVERRIDES))}"
        for key in run_config
        if key not in (*CHOICES, OVERRIDES)
    ]
    wanted = [f"{key}={run_config[key]}" for key in CHOICES if run_config.get(key)]
    wanted += shlex.split(str(run_config.get(OVERRIDES, "")))
    with initialize_config_module("conf", version_base=None):
        sound, unsound = _sort_out(wanted)
        found += unsound
        try:
            composed = hydra_compose("config", overrides=sound, return_hydra_config=True)
            plain = _resolve(composed)
        except (HydraException, OmegaConfBaseException) as error:
            raise _all_of([*found, str(error).splitlines()[0]]) from error
    found += _schema_problems(plain)
    if found:
        raise _all_of(found)
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
    saved = load(saved_at(asked.run.resume)).model_copy(update={"run": asked.run})
    words = shlex.split(str(run_config.get(OVERRIDES, "")))
    if any(run_config.get(key) for key in CHOICES) or any(not word.startswith("run.") for word in words):
        ours, theirs = asked.model_dump(), saved.model_dump()
        if differing := sorted(path for path in _flatten(ours) if _select(ours, path) != _select(theirs, path)):
            raise ConfigurationError(
                f"a resumed run keeps its configuration, but the run-config changes {', '.join(differing)};"
                " give run.resume alone, or start a new run"
            )
    return saved


def load(path: Path) -> Settings:
    """Read settings that `save` wrote.

    Raises:
        ConfigurationError: If the file is missing, isn't YAML, or holds something else.
    """
    try:
        plain = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, OmegaConfBaseException) as error:
        raise ConfigurationError(f"{path} can't be read as a saved configuration: {error}") from error
    if not isinstance(plain, dict):
        raise ConfigurationError(f"{path} holds no configuration")
    if found := _schema_problems(plain):
        raise _all_of(found)
    return Settings.model_validate(plain)


def save(settings: Settings, path: Path) -> None:
    """Write the resolved settings as YAML."""
    path.write_text(OmegaConf.to_yaml(OmegaConf.create(settings.model_dump())))


def options(group: str) -> list[str]:
    """The options of a configuration group, such as the names below ``conf/strategy``."""
    with initialize_config_module("conf", version_base=None):
        return _options(group)


def _options(group: str) -> list[str]:
    return list(GlobalHydra.instance().config_loader().get_group_options(group))


def _sort_out(wanted: Iterable[str]) -> tuple[list[str], list[str]]:
    """Split overrides into those that can be composed, and a sentence for each that can't."""
    sound: list[str] = []
    found: list[str] = []
    values = []
    for text in wanted:
        try:
            override = OverridesParser.create().parse_override(text)
        except HydraException:
            found.append(f"override '{text}' isn't of the form key=value")
            continue
        key, value = str(override.key_or_group), override.value()
        if not (known := _options(key)):
            values.append((key, text, override.is_add()))
        elif value in known:
            sound.append(text)
        else:
            found.append(f"{key}={value}: no such option{nearest(str(value), known)}")
    defaults = _resolve(hydra_compose("config", overrides=sound, return_hydra_config=True))
    known_keys = _flatten(defaults)
    for key, text, added in values:
        if added or key in known_keys:
            sound.append(text)
        else:
            found.append(f"override '{text}': there is no key '{key}'{nearest(key, known_keys)}")
    return sound, found


def _resolve(composed: DictConfig) -> dict[str, Any]:
    choices = {key: value for key, value in composed.hydra.runtime.choices.items() if not key.startswith("hydra/")}
    plain = OmegaConf.to_container(
        OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"]), resolve=True
    )
    return {**dict(plain), "names": {str(key): str(value) for key, value in choices.items()}}  # type: ignore[arg-type]


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
    try:
        settings = Settings.model_validate(plain)
    except ValidationError as error:
        found = [_sentence(problem) for problem in error.errors()]
        parts = {name: part for name, part in plain.items() if isinstance(part, Mapping) and "_target_" in part}
        return found + [why for name, part in parts.items() for why in problems(part, name)]
    return [why for name, part in settings.components().items() for why in problems(part, name)]


def _sentence(problem: Any) -> str:  # noqa: ANN401 (pydantic's ErrorDetails)
    where = ".".join(str(part) for part in problem["loc"])
    came = "" if problem["type"] in ("missing", "value_error") else f", got {problem['input']!r}"
    return f"{where}: {problem['msg']}{came}".removeprefix(": ")


def _all_of(found: list[str]) -> ConfigurationError:
    return ConfigurationError("\n".join([f"{len(found)} problem(s) in the configuration:", *(f"  - {one}" for one in found)]))
