"""The round loop: configure, send, screen, aggregate, evaluate, checkpoint, journal."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from fedvsr_core.errors import FederationError
from fedvsr_core.evaluation.held_out import HeldOut
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import size_bytes, to_record, to_state
from fedvsr_core.flower.code import code_digest
from fedvsr_core.flower.records import records_of
from fedvsr_core.flower.travelling import frozen_digest, travelling
from fedvsr_core.metrics.names import METRICS
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.settings import Settings
from fedvsr_core.training.late_start import is_frozen
from server_app.checkpoints import TrainingCheckpoint, save_round
from server_app.client_evaluation import evaluate_on_clients
from server_app.cohort import CohortGrid, Member, Members, draw, lost_uploads, warn_of_hidden_gpu
from server_app.deadline import Deadline, replied_in
from server_app.exchange import Exchange, restored
from server_app.moving_average import MovingAverage
from server_app.norms import Norms
from server_app.observation import Observation, Waiting
from server_app.records.journal import Journal, Line, read_journal
from server_app.records.markdown import signed
from server_app.records.run_dir import RunDir
from server_app.screening import Refusal, Screening
from server_app.strategies.resumable import ResumableStrategy

_log = logging.getLogger(__name__)

MOST_IDLE = 3
"""Rounds in a row that may leave the model as it was; more would only burn the clients' time."""


class Rounds:
    """Drives a strategy over the rounds of a run, from any round on.

    Args:
        settings: The run's configuration.
        grid: The federation.
        strategy: Sees only sound replies, of a cohort drawn from (seed, round).
        model: The global model; holds the weights of the latest round.
        held_out: The clips that score it.
        run_dir: Where checkpoints go.
        journal: Where every phase leaves a line.
        norms: How large the updates of the rounds so far were, and what came beside them; by the name of
            the record.
        counted: The last round whose update entered the model, by client; for a run that is resumed.
        average: Scored in the place of the model, or None.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        grid: Grid,
        strategy: ResumableStrategy,
        model: VideoModel,
        held_out: HeldOut,
        run_dir: RunDir,
        journal: Journal,
        norms: Mapping[str, Norms],
        counted: Mapping[str, int] | None = None,
        average: MovingAverage | None = None,
    ) -> None:
        self._settings = settings
        self._grid = grid
        self._strategy = strategy
        self._model = model
        self._held_out = held_out
        self._run_dir = run_dir
        self._journal = journal
        self._client_settings = settings.for_clients().model_dump_json()
        self._norms = norms
        self._counted = dict(counted or {})
        self._average = average
        lines = read_journal(journal.path)
        earlier = {name for line in lines if line["phase"] == "start" for name in line["names"]}
        self._members = Members(grid, settings.cohort, earlier)
        self._patience = {
            phase: Deadline(settings, _replied(lines, phase)) for phase in ("train", "evaluate-clients")
        }
        self._idle = 0

    def gather(self) -> list[str]:
        """Wait for the federation to be complete; returns the names of its clients.

        Raises:
            FederationError: As `Members.gather`.
            ConfigurationError: If the strategy can't work with so many clients.
        """
        members = self._members.gather()
        _log.info("%d clients: %s", len(members), ", ".join(members))
        warn_of_hidden_gpu(members.values())
        message_bytes = size_bytes(self._outgoing(1)[0])
        _log.info(
            "a message with the model has %.1f MB; the first replies are waited for up to %.0f s",
            message_bytes / 1e6,
            self._patience["train"].limit_s(message_bytes),
        )
        drawn = self._settings.cohort.clients_per_round or len(members)
        self._strategy.prepare(clients=len(members), cohort=min(drawn, len(members)))
        return list(members)

    def run(self, done: int | None) -> None:
        """Run the rounds after ``done``; None if not even the untrained model has been scored.

        Raises:
            FederationError: If the federation can't go on. The last checkpoint is that of the round before.
        """
        if done is None:
            self._score_and_save(0, due=True)
        for server_round in range((done or 0) + 1, self._settings.rounds + 1):
            self._train(server_round, self._cohort(server_round))
            due = server_round % self._settings.evaluation.every == 0 or server_round == self._settings.rounds
            self._score_and_save(server_round, due=due)

    def _score_and_save(self, server_round: int, *, due: bool) -> None:
        beside = self._average.beside(self._model) if self._average else {}
        with self._average.in_place_of(self._model) if self._average else nullcontext():
            score = self._evaluate(server_round) if due else None
            self._evaluate_on_clients(server_round)
            self._checkpoint(server_round, score, beside)

    def _cohort(self, server_round: int) -> list[Member]:
        members = self._members.online()
        drawn = draw(
            members,
            self._settings.cohort.clients_per_round,
            seed=self._settings.seed,
            server_round=server_round,
        )
        return [members[client] for client in drawn]

    def _addressed(self, messages: Iterable[Message], names: Mapping[int, str]) -> Iterator[Message]:
        """Tell each client which run this is, and which of its rounds was the last to enter the model."""
        for message in messages:
            node = message.metadata.dst_node_id
            config = ConfigRecord(
                {
                    **records_of(message.content, ConfigRecord)[keys.CONFIG],
                    keys.RUN: self._run_dir.identity(),
                    keys.LAST_ACCEPTED: self._counted.get(names[node], 0),
                }
            )
            content = RecordDict({**message.content, keys.CONFIG: config})
            yield Message(content, dst_node_id=node, message_type=message.metadata.message_type)

    def _outgoing(self, server_round: int) -> tuple[ArrayRecord, ConfigRecord]:
        """The model and the settings for a round's clients; new records each time.

        In simulation, messages that wait share theirs with whoever made them.
        """
        frozen = is_frozen(self._settings, server_round)
        config = ConfigRecord(
            {
                keys.SERVER_ROUND: server_round,
                keys.SETTINGS: self._client_settings,
                keys.FROZEN_DIGEST: frozen_digest(self._model, frozen=frozen),
            }
        )
        return to_record(travelling(self._model, frozen=frozen)), config

    def _train(self, server_round: int, cohort: list[Member]) -> None:
        began, settings = time.monotonic(), self._settings
        names = {member.node: member.client for member in cohort}
        arrays, config = self._outgoing(server_round)
        grid = CohortGrid(self._grid, list(names))
        messages = list(
            self._addressed(self._strategy.configure_train(server_round, arrays, config, grid), names)
        )
        bytes_down = {message.metadata.dst_node_id: _size(message) for message in messages}
        timeout_s = self._patience["train"].limit_s(max(bytes_down.values(), default=0))
        exchange = Exchange(self._grid, messages, timeout_s)
        del messages
        lost = lost_uploads(
            names.values(), settings.cohort.upload_failure, seed=settings.seed, server_round=server_round
        )
        screening = Screening(
            arrays,
            sent=exchange.sent,
            clients=names,
            parts=settings.loss.get("parts"),
            max_examples=settings.screening.max_examples,
            max_loss=settings.screening.max_loss,
            beside={name: self._norms[name] for name in self._strategy.beside},
            weighs_by_loss=self._strategy.weighs_by_loss,
            lost=[node for node, client in names.items() if client in lost],
            code=code_digest(),
            norms=self._norms[keys.ARRAYS],
        )
        observation = Observation(f"round {server_round}/{settings.rounds}", of=len(exchange.sent))

        before = self._strategy.state()
        replies = observation.arriving(exchange.replies(timeout_s))
        if settings.training.upload == "float16":
            replies = restored(replies, arrays)
        sound = screening.admit(replies)
        waiting = Waiting(observation.admitted(sound))
        aggregating = time.monotonic()
        updated, _ = self._strategy.aggregate_train(server_round, waiting)
        aggregation_s = time.monotonic() - aggregating - waiting.seconds
        screening.close()
        self._patience["train"].learn(observation.clients)

        learned = updated is not None and len(observation.clients) >= settings.cohort.min_replies
        if updated is not None and learned:
            self._model.load_state_dict(to_state(updated, self._model.state_dict()))
            if self._average is not None:
                self._average.update(self._model.state_dict())
            self._counted |= {str(row["client"]): server_round for row in observation.clients}
        else:
            self._strategy.load_state(before)
            if len(observation.clients) < settings.cohort.min_replies:
                _log.warning(
                    "round %d: %d sound replies, but %d needed; the model stays as it was",
                    server_round,
                    len(observation.clients),
                    settings.cohort.min_replies,
                )
        refused = screening.refused + [
            Refusal(
                names[node],
                node,
                "unsent",
                "Flower didn't take its message: it has left, or the model is too large",
            )
            for node in exchange.unsent
        ]
        for one in refused:
            _log.warning("round %d: left out %s (%s): %s", server_round, one.client, one.code, one.reason)
        self._journal.append(
            {
                "phase": "train",
                "round": server_round,
                "seconds": time.monotonic() - began,
                "aggregation-seconds": aggregation_s,
                "bytes-down": sum(bytes_down[node] for node in exchange.sent.values()),
                **observation.line(self._strategy.diagnostics if learned else {}),
                "refused": [asdict(one) | {"node": str(one.node)} for one in refused],
                "kept-model": not learned,
            }
        )
        if all(member.of for member in cohort):  # a simulation
            observation.stop_if_a_worker_died()
        self._idle = 0 if learned or lost else self._idle + 1
        if self._idle == min(MOST_IDLE, settings.rounds):
            raise FederationError(
                f"{self._idle} rounds in a row, up to round {server_round}, have had too few sound replies;"
                " the log says why each was left out: mend that, and resume this run"
            )

    def _evaluate(self, server_round: int) -> float:
        began = time.monotonic()
        scores = self._held_out.score(self._model)
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
        return -float(scores[metric]) if about.best == "low" else float(scores[metric])

    def _evaluate_on_clients(self, server_round: int) -> None:
        every, last = self._settings.evaluation.clients, server_round == self._settings.rounds
        if every is None or (server_round % every and not last):
            return
        try:
            members = self._members.online()
        except FederationError as error:  # what was learned in this round is still to be saved
            _log.warning("round %d: no client scores the model: %s", server_round, error)
            return
        arrays, config = self._outgoing(server_round)
        line = evaluate_on_clients(
            self._grid,
            members.values(),
            title=f"round {server_round}/{self._settings.rounds}",
            arrays=arrays,
            config=config,
            protocol=self._held_out.protocol,
            patience=self._patience["evaluate-clients"],
        )
        self._journal.append({"phase": "evaluate-clients", "round": server_round, **line})

    def _checkpoint(self, server_round: int, score: float | None, beside: Mapping[str, np.ndarray]) -> None:
        checkpoint = TrainingCheckpoint(
            round=server_round,
            state=self._model.state_dict(),
            model_settings=self._settings.model,
            strategy_state={**self._strategy.state(), **beside},
            history={
                "norms": {name: norms.known for name, norms in self._norms.items()},
                "counted": self._counted,
            },
            score=score,
        )
        save_round(self._run_dir.checkpoints, checkpoint, keep=self._settings.run.keep)


def _replied(lines: Iterable[Line], phase: str) -> list[float]:
    return [seconds for line in lines if line["phase"] == phase for seconds in replied_in(line["clients"])]


def _size(message: Message) -> int:
    """Bytes of all arrays of a message."""
    return sum(map(size_bytes, records_of(message.content, ArrayRecord).values()))
