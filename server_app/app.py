"""The ServerApp: compose, build, run, save; nothing else."""

import json
import logging
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedvsr_core import devices
from fedvsr_core.checkpoints.atomic import storing, write_atomically
from fedvsr_core.checkpoints.start import initial_model
from fedvsr_core.components import build
from fedvsr_core.errors import REFUSED, FederationError, FedVSRError, StorageError
from fedvsr_core.evaluation.held_out import HeldOut, Sample, build_held_out, protocol_of
from fedvsr_core.flower.arrays import to_record
from fedvsr_core.flower.code import code_digest, digest_of
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.settings import Settings
from server_app.checkpoints import LAST
from server_app.config import save
from server_app.preflight import check_parts
from server_app.records.history import outcome, starts
from server_app.records.journal import COMPLETED, Journal, read_journal
from server_app.records.page_writer import PageWriter
from server_app.records.provenance import provenance
from server_app.records.report import write_report
from server_app.records.run_dir import ANNOUNCED, RunDir
from server_app.resume import about_changes, changed_since, settings_of_run
from server_app.rounds import Rounds
from server_app.secure_check import check_secure
from server_app.selection import check_selection
from server_app.state import RunState
from server_app.strategies.aggregator import Aggregator
from server_app.strategies.stock import adapted
from server_app.tracking.follower import Follower
from server_app.tracking.trackers import check_installed

app = ServerApp()

LEFT_BEHIND_S = 120.0
"""How long the process of a run that Flower has given up may still write to its directory."""

_log = logging.getLogger(__name__)


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run a federation as the run-config says, or continue one."""
    with _log_to(logging.StreamHandler()):
        try:
            _run(grid, context)
        except FedVSRError as error:
            _log.error("%s%s", REFUSED, error)  # the sentence by itself, before Flower prints the traceback
            raise


def _run(grid: Grid, context: Context) -> None:
    run_config = context.run_config
    settings, changes = settings_of_run(run_config)
    model, strategy, held_out = _build(settings)
    state = RunState(settings, model, strategy)
    if settings.run.resume:
        run_dir = RunDir.open(settings.run.resume)
    else:
        run_dir = RunDir.create(settings.run.root, [settings.names["strategy"], settings.names["model"]])
        save(settings, run_dir.config)  # before there is a journal, which makes it a run that can be resumed
    with (
        run_dir.locked(LEFT_BEHIND_S if settings.run.resume else 0),
        _log_to(_RunLog(run_dir.log)),
        Journal(run_dir.journal) as journal,
    ):
        _log.info("%s%s", ANNOUNCED, run_dir.path)
        begun = starts(read_journal(run_dir.journal))[:1]
        journal.listeners += [Follower(name, run_dir, *begun) for name in settings.tracking]
        journal.listeners.append(PageWriter(run_dir))
        done = _restore(state, run_dir, journal) if settings.run.resume else None
        if done == settings.rounds:
            _finish(run_dir, journal, done)
            return
        for sentence in about_changes(settings, changes):
            _log.info("%s", sentence)
        if changes:
            kept = settings.run.model_copy(update={"resume": None})
            save(settings.model_copy(update={"run": kept}), run_dir.config)
        facts = provenance(
            run_id=context.run_id,
            run_config=run_config,
            typed=settings.run.command,
            seed=settings.seed,
            device=devices.describe(devices.choose()),
            code=code_digest(),
        )
        write_atomically(run_dir.provenance, json.dumps(facts, indent=2).encode())
        rounds = Rounds(settings, grid=grid, state=state, held_out=held_out, run_dir=run_dir, journal=journal)
        before = next(reversed(starts(read_journal(run_dir.journal))), {})
        began, earlier = time.monotonic(), before.get("names")
        try:
            clients = rounds.gather()
            _check_same(clients, earlier)
            start = _start(settings, model, facts, clients, done) | {"held-out": held_out.digest}
            if changes:
                start["changes"] = changes
            for sentence in changed_since(before, start):
                _log.warning("%s", sentence)
            journal.append({"phase": "start", **start})
            rounds.run(done)
        except BaseException as error:
            outcome = str(error) if isinstance(error, FedVSRError) else repr(error)
            with suppress(StorageError):  # which is then what ended it
                _end(run_dir, journal, began, outcome)
            _report(run_dir)
            raise
        _end(run_dir, journal, began, COMPLETED)
        with state.scored():
            _report(run_dir, held_out.samples(model))


def _restore(state: RunState, run_dir: RunDir, journal: Journal) -> int | None:
    """Take a run back to its last checkpoint; returns the rounds done, None if it has none."""
    last = state.restore(run_dir.checkpoints / LAST)
    done = None if last is None else last.round
    journal.cut_after(-1 if done is None else done)
    state.learn_deadlines(read_journal(run_dir.journal))
    if done is not None:
        _log.info("continuing after round %d", done)
    return done


def _finish(run_dir: RunDir, journal: Journal, done: int) -> None:
    """Say that a run is complete, and write what it lacks if it was killed after its last round."""
    _log.info("all %d rounds are done; nothing to do", done)
    completed = outcome(read_journal(run_dir.journal)) == COMPLETED
    if not completed:
        _end(run_dir, journal, time.monotonic(), COMPLETED)
    if not completed or not run_dir.summary.exists():
        _report(run_dir)


def _end(run_dir: RunDir, journal: Journal, began: float, outcome: str) -> None:
    journal.append({"phase": "end", "seconds": time.monotonic() - began, "outcome": outcome})
    _log.info("%s%s", ANNOUNCED, run_dir.path)


def _report(run_dir: RunDir, samples: Sequence[Sample] = ()) -> None:
    """Write plots and summary; a run doesn't fail because they can't be drawn."""
    again = shlex.join(["fedvsr", "report", str(run_dir.path)])
    try:
        write_report(run_dir, samples)
    except OSError as error:
        _log.warning("the report can't be written: %s; to try again: %s", error, again)
    except Exception:
        _log.exception("the report can't be written; to try again: %s", again)


def _check_same(clients: list[str], earlier: list[str] | None) -> None:
    """Refuse to continue a simulation with another number of clients, which would divide the clips anew.

    Raises:
        FederationError: If one of the clients is missing, or there is a new one.
    """
    if earlier is not None and clients != earlier and any(name.startswith("partition-") for name in earlier):
        raise FederationError(
            f"this run had {len(earlier)} clients, but {len(clients)} are here; resume it with"
            f" --clients {len(earlier)}"
        )


def _start(
    settings: Settings, model: VideoModel, facts: Mapping[str, Any], clients: list[str], done: int | None
) -> dict[str, Any]:
    known = ("command", "seed", "device", "commit", "code", "versions")
    weights = sha256(b"".join(array.data for array in to_record(model.state_dict()).values())).hexdigest()
    return {
        "strategy": settings.names["strategy"],
        "model": settings.names["model"],
        "data": settings.names["data"],
        "rounds": settings.rounds,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        **{name: facts[name] for name in known},
        "server-code": digest_of([Path(__file__).parent]),
        "settings": sha256(settings.for_clients().model_dump_json().encode()).hexdigest()[:16],
        "clients": len(clients),
        "names": clients,
        **({"initial-weights": weights[:16]} if done is None else {"resumed-after": done}),
    }


def _build(settings: Settings) -> tuple[VideoModel, Aggregator, HeldOut]:
    """Build all parts, the clients' too: what any of them refuses is refused before a client starts."""
    check_installed(settings.tracking)
    model = initial_model(settings)
    if settings.flow.frozen_steps and model.late and settings.flow.weights is settings.start.weights is None:
        _log.warning(
            "the flow network has random weights, and keeps them for %d steps; give flow.weights",
            settings.flow.frozen_steps,
        )
    strategy = adapted(build(settings.strategy.server, num_rounds=settings.rounds))
    check_secure(settings, strategy)
    check_parts(settings, model, strategy)
    check_selection(settings, protocol_of(settings))
    return model, strategy, build_held_out(settings, build(settings.data).held_out(), devices.choose())


class _RunLog(logging.FileHandler):
    """The log of a run: what a full disk doesn't take of it is lost, and said elsewhere."""

    def __init__(self, path: Path) -> None:
        with storing(path):
            super().__init__(path, encoding="utf-8", errors="backslashreplace")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (as in logging)
        """Nothing: a traceback for each line would hide what happened."""

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            super().close()


class _OneLine(logging.Formatter):
    """Indents what follows the first line: what a client says can't look like a line of ours."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n    ".join(super().format(record).splitlines())


@contextmanager
def _log_to(handler: logging.Handler) -> Iterator[None]:
    """Show our own log lines, down to INFO, while the block runs."""
    handler.setFormatter(_OneLine("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S%z"))
    loggers = [logging.getLogger(name) for name in ("server_app", "fedvsr_core")]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()
