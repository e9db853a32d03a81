"""The path of a round: draw, send, read, combine, score, checkpoint, journal."""

import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence

from flwr.app import ArrayRecord, ConfigRecord, MessageType, RecordDict
from flwr.serverapp import Grid

from fedvsr_core import devices
from fedvsr_core.errors import FederationError
from fedvsr_core.evaluation.held_out import HeldOut, Scores
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import NamedArrays, size_bytes, to_record
from fedvsr_core.flower.travelling import frozen_digest, travelling
from fedvsr_core.metrics.names import METRICS
from fedvsr_core.settings import Settings
from fedvsr_core.training.late_start import is_frozen
from server_app.asking import Asking, Refusal, log_all
from server_app.checkpoints import BEST, load_round
from server_app.client_evaluation import evaluate_on_clients
from server_app.cohort import Member, Members, draw, lost_uploads, warn_of_hidden_gpu
from server_app.private_norm import private_norm
from server_app.reach import reach
from server_app.records.crop_series import CropSeries
from server_app.records.history import pointed_against, starts
from server_app.records.journal import Journal, Line, read_journal
from server_app.records.markdown import signed
from server_app.records.run_dir import RunDir
from server_app.round_log import RoundLog
from server_app.screening import Screen
from server_app.secure_check import check_cohort, check_noise, mean_of_shares
from server_app.secure_round import Sent, train_securely
from server_app.selection import ON_CLIENTS, merit, scorings_without_gain
from server_app.spool import Spool
from server_app.state import RunState
from server_app.updates import ReportedUpdate, UpdateReader, floating

_log = logging.getLogger(__name__)

MOST_IDLE = 3
"""Rounds in a row that may leave the model as it was; more would only burn the clients' time."""


class Rounds:
    """Takes a run over its rounds, from any round on.

    Args:
        settings: The run's configuration.
        grid: The federation.
        state: What the run is.
        held_out: The clips that score the model.
        run_dir: Where checkpoints go.
        journal: Where every phase leaves a line.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        grid: Grid,
        state: RunState,
        held_out: HeldOut,
        run_dir: RunDir,
        journal: Journal,
    ) -> None:
        self._settings, self._grid, self._state = settings, grid, state
        self._held_out, self._run_dir, self._journal = held_out, run_dir, journal
        self._client_settings = settings.for_clients().model_dump_json()
        names = {name for line in starts(read_journal(journal.path)) for name in line["names"]}
        self._members = Members(grid, settings.cohort, names)
        self._idle = 0
        self._given_up = 0  # models in a row
        self._crops = CropSeries(run_dir.crop_series, held_out.footage, settings.rounds)

    def gather(self) -> list[str]:
        """Wait for the federation to be complete; returns the names of its clients.

        Raises:
            FederationError: As `Members.gather`.
            ConfigurationError: If the strategy can't work with so many clients.
        """
        members = self._members.gather()
        _log.info("%d clients: %s", len(members), ", ".join(members))
        warn_of_hidden_gpu(members.values())
        message_bytes = size_bytes(self._travelling(1))
        _log.info(
            "a message with the model has %.1f MB; the first replies are waited for up to %.0f s",
            message_bytes / 1e6,
            self._state.deadlines["train"].limit_s(message_bytes),
        )
        drawn = self._settings.cohort.clients_per_round or len(members)
        if self._settings.secure.enabled:
            check_cohort(min(drawn, len(members)))
            check_noise(self._settings, floating(self._travelling(1)))
        self._state.strategy.prepare(clients=len(members), cohort=min(drawn, len(members)))
        return list(members)

    def run(self, done: int | None) -> None:
        """Run the rounds after ``done``; None if not even the untrained model has been scored.

        Raises:
            FederationError: If the federation can't go on. The last checkpoint is that of the round before.
        """
        if done is None:
            self._score_and_save(0, due=True)
        for server_round in range((done or 0) + 1, self._settings.rounds + 1):
            if self._is_over(server_round - 1):
                return
            self._train(server_round)
            due = server_round % self._settings.evaluation.every == 0 or server_round == self._settings.rounds
            self._score_and_save(server_round, due=due)

    def _train(self, server_round: int) -> None:
        began, state, title = time.monotonic(), self._state, f"round {server_round}/{self._settings.rounds}"
        cohort = self._cohort(server_round)
        if self._settings.secure.enabled:
            self._train_securely(server_round, cohort)
            return
        clients = {member.node: member.client for member in cohort}
        sent = state.strategy.outgoing(server_round, self._travelling(server_round), len(cohort))
        reader = self._reader(server_round, floating(sent[keys.ARRAYS]), clients.values())
        deadline = state.deadlines["train"]
        timeout_s = deadline.limit_s(sum(map(size_bytes, sent.values())))
        contents = self._contents(server_round, sent, clients)
        asking = Asking(
            self._grid, contents, MessageType.TRAIN, read=reader.read, clients=clients, lifetime_s=timeout_s
        )
        del contents
        log = RoundLog(title, of=asking.sent)
        spool = Spool(self._run_dir.path)
        updates = [spool.keep(update) for update in log.updates(asking.answers(timeout_s))]
        combining = time.monotonic()
        screened = self._screen(floating(sent[keys.ARRAYS])).judge(updates)
        del updates
        log.screened(screened)
        log.refused += asking.missing()
        weights = self._combine(server_round, screened.updates)
        aggregation_s = time.monotonic() - combining
        del screened
        deadline.learn(log.rows)
        log_all(log.refused, f"round {server_round}")
        self._journal.append(
            {
                "phase": "train",
                "round": server_round,
                "seconds": time.monotonic() - began,
                "aggregation-seconds": aggregation_s,
                "bytes-down": asking.bytes_down,
                "bytes-up": asking.bytes_up,
                "server-memory-mb": devices.peak_memory_mb(devices.choose("cpu")),
                "clients": log.weighted_rows(weights or {}),
                **(state.strategy.diagnostics if weights is not None else {}),
                "refused": [refusal.row() for refusal in log.refused],
                "kept-model": weights is None,
            }
        )
        if asking.dead_worker and all(member.of for member in cohort):  # a simulation
            raise _dead_worker(title, asking.dead_worker)
        self._stop_if_idle(server_round, len(log.rows), log.refused, learned=weights is not None)

    def _train_securely(self, server_round: int, cohort: Sequence[Member]) -> None:
        """A round of which only sums are seen: training, screening and combining in one."""
        began, state, title = time.monotonic(), self._state, f"round {server_round}/{self._settings.rounds}"
        clients = {member.node: member.client for member in cohort}
        deadline, (strategy, share) = state.deadlines["train"], mean_of_shares(state.strategy, server_round)
        sent = strategy.outgoing(server_round, self._travelling(server_round), len(cohort))
        contents = self._contents(server_round, sent, clients)
        outcome = train_securely(
            self._settings,
            self._grid,
            strategy,
            Sent(server_round, share, sent[keys.ARRAYS], contents, clients),
            deadline=deadline,
            lost=self._lost(server_round, clients.values()),
        )
        if outcome.mean is not None:
            state.accept(server_round, outcome.mean.arrays.items(), outcome.here)
            strategy.moved()
        deadline.learn([outcome.line])
        log_all(outcome.refused, f"round {server_round}")
        self._journal.append(
            {
                "phase": "train",
                "round": server_round,
                "seconds": time.monotonic() - began,
                "server-memory-mb": devices.peak_memory_mb(devices.choose("cpu")),
                **outcome.line,
                **(strategy.diagnostics if outcome.mean is not None else {}),
                "kept-model": outcome.mean is None,
            }
        )
        if outcome.dead_worker and all(member.of for member in cohort):  # a simulation
            raise _dead_worker(title, outcome.dead_worker)
        self._stop_if_idle(server_round, len(outcome.here), outcome.refused, learned=outcome.mean is not None)

    def _combine(self, server_round: int, updates: list[ReportedUpdate]) -> Mapping[str, float] | None:
        """Make the updates the new model; returns what each counted, None if the model stays as it was."""
        state, before = self._state, self._state.strategy.state()
        combined = state.strategy.combine(server_round, updates)
        if combined is None or len(updates) < self._settings.cohort.min_replies:
            state.strategy.load_state(before)
            return None
        state.accept(server_round, combined.arrays, [update.client for update in updates])
        return combined.weights

    def _cohort(self, server_round: int) -> list[Member]:
        members = self._members.online()
        count, seed = self._settings.cohort.clients_per_round, self._settings.seed
        return [members[client] for client in draw(members, count, seed=seed, server_round=server_round)]

    def _travelling(self, server_round: int) -> ArrayRecord:
        """The arrays of the model that travel in a round; a new record each time.

        In simulation, messages that wait share theirs with whoever made them.
        """
        return to_record(travelling(self._state.model, frozen=is_frozen(self._settings, server_round)))

    def _contents(
        self, server_round: int, sent: Mapping[str, ArrayRecord], clients: Mapping[int, str]
    ) -> dict[int, RecordDict]:
        """What each node is sent: arrays, settings, which run this is, and which of its rounds counts."""
        settings: dict[str, str | int] = {
            keys.SERVER_ROUND: server_round,
            keys.SETTINGS: self._client_settings,
            keys.FROZEN_DIGEST: frozen_digest(
                self._state.model, frozen=is_frozen(self._settings, server_round)
            ),
            keys.RUN: self._run_dir.identity(),
        }
        accepted = self._state.last_accepted
        return {
            node: RecordDict(
                {**sent, keys.CONFIG: ConfigRecord({**settings, keys.LAST_ACCEPTED: accepted.get(client, 0)})}
            )
            for node, client in clients.items()
        }

    def _reader(self, server_round: int, sent: NamedArrays, clients: Iterable[str]) -> UpdateReader:
        settings, strategy = self._settings, self._state.strategy
        furthest = math.inf if strategy.clips else reach(settings, self._state.model, sent)
        return UpdateReader(
            sent,
            limits=settings.screening,
            extra=strategy.extra,
            furthest=furthest,
            furthest_private=max((settings.screening.norm_factor or math.inf) * furthest, self._noise(sent)),
            parts=settings.loss.get("parts"),
            needs_loss=strategy.needs_loss,
            differences=settings.training.upload == "float16",
            lost=self._lost(server_round, clients),
        )

    def _lost(self, server_round: int, clients: Iterable[str]) -> set[str]:
        rate, seed = self._settings.cohort.upload_failure, self._settings.seed
        return lost_uploads(clients, rate, seed=seed, server_round=server_round)

    def _screen(self, sent: NamedArrays) -> Screen:
        strategy = self._state.strategy
        return Screen(
            self._settings.screening,
            sent,
            extra=strategy.extra,
            private_norm=self._noise(sent),
            counts_only=strategy.clips,
        )

    def _noise(self, sent: NamedArrays) -> float:
        return private_norm(self._settings.privacy, sent)

    def _stop_if_idle(
        self, server_round: int, sound: int, refused: Iterable[Refusal], *, learned: bool
    ) -> None:
        needed = self._settings.cohort.min_replies
        if sound < needed:
            _log.warning(
                "round %d: %d sound replies, but %d needed; the model stays as it was",
                server_round,
                sound,
                needed,
            )
        lost = any(refusal.code == "lost" for refusal in refused)
        self._idle = 0 if learned or lost else self._idle + 1
        if self._idle == min(MOST_IDLE, self._settings.rounds):
            raise FederationError(
                f"{self._idle} rounds in a row, up to round {server_round}, have had too few sound replies;"
                " the log says why each was left out: mend that, and resume this run"
            )

    def _score_and_save(self, server_round: int, *, due: bool) -> None:
        by, headline = self._settings.evaluation.select, self._held_out.protocol.headline
        scores = None
        if due:
            with self._state.scored():
                scores = self._evaluate(server_round)
            if by in (None, headline) and self._roll_back(server_round, scores[headline]):
                with self._state.scored():
                    scores = self._evaluate(server_round)
        with self._state.scored():
            on_clients = self._evaluate_on_clients(server_round)
        score = merit(by, headline, scores, on_clients)
        self._state.save(self._run_dir.checkpoints, server_round, score)
        if self._given_up == MOST_IDLE:
            raise FederationError(
                f"{MOST_IDLE} models in a row, up to round {server_round}, had to be given up for the best"
                " (screening.roll_back): mend what makes them worse, such as a step size that is too large or"
                " the clients that the log names, and resume this run"
            )

    def _roll_back(self, server_round: int, score: float) -> bool:
        """Go back to the best model so far, if this one is far worse; returns whether it is."""
        path, limit = self._run_dir.checkpoints / BEST, self._settings.screening.roll_back
        if limit is None or METRICS[self._held_out.protocol.headline].unit != "dB" or not path.exists():
            return False
        best = load_round(path)
        if best.score is None or best.round >= server_round or score >= best.score - limit:
            self._given_up = 0
            return False
        self._state.go_back(path)
        self._given_up += 1
        fell, against = best.score - score, pointed_against(read_journal(self._journal.path), server_round)
        _log.warning(
            "round %d: the held-out score has fallen %.3g dB below the best, so the model is again that of"
            " round %d (screening.roll_back=%g); against the others pointed %s",
            server_round,
            fell,
            best.round,
            limit,
            ", ".join(against) or "nobody whose update counted",
        )
        self._journal.append(
            {"phase": "roll-back", "round": server_round, "to": best.round, "fell": fell, "against": against}
        )
        return True

    def _is_over(self, server_round: int) -> bool:
        """Whether the run ends here, since it has stopped to get better."""
        patience = self._settings.evaluation.patience
        if patience is None or scorings_without_gain(read_journal(self._journal.path)) < patience:
            return False
        _log.info("the run ends after round %d: no better score in %d scorings", server_round, patience)
        if self._settings.evaluation.all_metrics == "ends":
            with self._state.scored():
                self._evaluate(server_round, end=True)
        return True

    def _evaluate(self, server_round: int, *, end: bool = False) -> Scores:
        began = time.monotonic()
        end = end or server_round in (0, self._settings.rounds)
        by, headline = self._settings.evaluation.select, self._held_out.protocol.headline
        selects = by not in (None, headline, *ON_CLIENTS)  # and so must be measured each time
        headline_only = self._settings.evaluation.all_metrics == "ends" and not (end or selects)
        scores = self._held_out.score(
            self._state.model, headline_only=headline_only, onlooker=self._crops.see
        )
        self._crops.keep(server_round)
        bicubic, protocol = self._held_out.bicubic, self._held_out.protocol
        metric, about = protocol.headline, METRICS[protocol.headline]
        _log.info(
            "round %d/%d: held-out %s %s, %s against bicubic (%.1f s)",
            server_round,
            self._settings.rounds,
            about.label,
            about.value(scores[metric]),
            signed(scores[metric] - bicubic[metric]),
            time.monotonic() - began,
        )
        self._journal.append(
            {
                "phase": "evaluate",
                "round": server_round,
                "seconds": time.monotonic() - began,
                "protocol": protocol.facts(),
                "made-by": self._held_out.made_by,
                **scores,
                "bicubic": bicubic,
            }
        )
        return scores

    def _evaluate_on_clients(self, server_round: int) -> Line | None:
        every, last = self._settings.evaluation.clients, server_round == self._settings.rounds
        if every is None or (server_round % every and not last):
            return None
        try:
            members = self._members.online().values()
        except FederationError as error:  # what was learned in this round is still to be saved
            _log.warning("round %d: no client scores the model: %s", server_round, error)
            return None
        clients = {member.node: member.client for member in members}
        sent = {keys.ARRAYS: self._travelling(server_round)}
        line = evaluate_on_clients(
            self._grid,
            self._contents(server_round, sent, clients),
            clients=clients,
            title=f"round {server_round}/{self._settings.rounds}",
            protocol=self._held_out.protocol,
            deadline=self._state.deadlines["evaluate-clients"],
        )
        self._journal.append({"phase": "evaluate-clients", "round": server_round, **line})
        return line


def _dead_worker(title: str, said: str) -> FederationError:
    """The engine hands a dead worker out again and again: every later round would lose the same clients."""
    return FederationError(
        f"{title}: a worker process of the simulation engine died, most likely of too little memory"
        f" ({said.strip().splitlines()[0][:200]}); give each client more room or run fewer at once"
        " (--federation-config 'client-resources-num-cpus=...'), then resume this run"
    )
