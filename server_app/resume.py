"""How a run goes on: the configuration that it keeps, what of it may change, and what else has changed."""

from collections.abc import Iterator, Mapping
from typing import Any

from fedvsr_core.components import nearest
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.settings import Settings
from fedvsr_core.typed import typed
from server_app.config import CHOICES, compose, flatten, given_overrides, load, schema_problems, select
from server_app.records.history import rounds_done
from server_app.records.journal import Line, read_journal
from server_app.records.run_dir import RunDir

MAY_CHANGE = (
    "rounds",
    "run",
    "tracking",
    "evaluation.every",
    "evaluation.chunk",
    "evaluation.metrics",
    "evaluation.all_metrics",
    "evaluation.clients",
    "cohort.nodes",
    "cohort.wait_s",
    "cohort.timeout_s",
    "cohort.link_mbit",
    "cohort.deadline_factor",
    "cohort.min_replies",
    "training.checkpointing",
    "training.micro_batch",
)
"""Keys, and sections, that a resumed run may change: how long and how it is carried out and looked at."""
RESUME = "run.resume"

Changes = dict[str, list[Any]]
"""By key, the value that it had and the one that it has now."""


def settings_of_run(run_config: Mapping[str, Any]) -> tuple[Settings, Changes]:
    """Compose a run-config, or take the saved configuration if it continues a run.

    Args:
        run_config: As for `server_app.config.compose`.

    Returns:
        The settings, and what a continued run changes of those it had.

    Raises:
        ConfigurationError: As `compose`, or if a continued run is asked to be another than it was.
    """
    given = given_overrides(run_config)
    folder = next((value for key, value in reversed(given) if key == RESUME), None)
    if folder is None:
        return compose(run_config), {}
    run = RunDir.open(str(folder))
    saved = load(run.config)
    chosen = [(key, run_config[key]) for key in CHOICES if run_config.get(key)]
    settings = _with(saved, [*chosen, *given])
    changes = dict(_changes(saved, settings))
    refused = _other_options(saved, [*chosen, *given]) | {
        key: change for key, change in changes.items() if not _may_change(key)
    }
    if refused:
        named = "; ".join(f"{key} is {typed(was)}, not {typed(now)}" for key, (was, now) in refused.items())
        raise ConfigurationError(
            f"a resumed run keeps what it computes: {named}; leave that out, or start a new run"
        )
    if settings.rounds < (done := rounds_done(read_journal(run.journal))):
        raise ConfigurationError(f"rounds must be at least {done}, which are done, got {settings.rounds}")
    return settings, {key: change for key, change in changes.items() if key != RESUME}


def changed_since(before: Line, now: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each thing that has changed since a run was last begun or continued.

    Args:
        before: Its ``start`` line.
        now: What that line would hold now.
    """
    for key, what in (
        ("code", "the code that trains"),
        ("server-code", "the server's code"),
        ("commit", "the commit"),
        ("device", "the server's device"),
        ("held-out", "the held-out clips, so that scores before and after don't compare"),
    ):
        if key in before and key in now and before[key] != now[key]:
            yield f"{what} changed: {before[key]} before, {now[key]} now"
    earlier, later = before.get("versions", {}), now.get("versions", {})
    moved = [
        f"{name} {earlier[name]} -> {later.get(name)}" for name in earlier if earlier[name] != later.get(name)
    ]
    if moved:
        yield f"versions changed: {', '.join(moved)}"


def about_changes(settings: Settings, changes: Changes) -> Iterator[str]:
    """A sentence for each value that a resumed run has changed."""
    for key, (was, now) in changes.items():
        yield f"{key} is {typed(now)} from here on, was {typed(was)}"
    if "rounds" in changes:
        yield (
            f"what depends on the number of rounds, as schedules ('{settings.names['schedule']}') and weights"
            f" of some strategies ('{settings.names['strategy']}') do, goes on as in a run of"
            f" {settings.rounds}; the rounds before weren't trained so"
        )


def _with(saved: Settings, given: list[tuple[str, Any]]) -> Settings:
    plain = saved.model_dump()
    for key, value in given:
        if key in saved.names:
            continue
        *sections, name = key.split(".")
        inner: Any = plain
        for section in sections:
            inner = inner.get(section) if isinstance(inner, dict) else None
        if not isinstance(inner, dict) or (name not in inner and not sections):
            raise ConfigurationError(f"there is no key '{key}'{nearest(key, flatten(plain))}")
        inner[name] = value
    if sentences := schema_problems(plain):
        raise ConfigurationError("\n".join(sentences))
    return Settings.model_validate(plain)


def _changes(saved: Settings, settings: Settings) -> Iterator[tuple[str, list[Any]]]:
    before, after = saved.model_dump(mode="json"), settings.model_dump(mode="json")
    for key in sorted(flatten(before) | flatten(after)):
        was, now = select(before, key), select(after, key)
        if was != now and not (isinstance(was, Mapping) and isinstance(now, Mapping)):
            yield key, [was, now]


def _other_options(saved: Settings, given: list[tuple[str, Any]]) -> Changes:
    return {
        key: [saved.names[key], option]
        for key, option in given
        if key in saved.names and saved.names[key] != option
    }


def _may_change(key: str) -> bool:
    return any(key == allowed or key.startswith(f"{allowed}.") for allowed in MAY_CHANGE)
