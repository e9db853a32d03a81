"""Promises: a client whose process is killed in the middle of a stage is lost for that round alone."""

import os
import pickle
import signal

import pytest
from flwr.app import Error, Message, RecordDict

from tests.unit.server_app.secure_sites import STAGES, SecureSites
from tests.unit.server_app.test_secure_round import check_mean


class Processes(SecureSites):
    """Sites that answer each message in a process of its own, as SuperNodes do.

    Attributes:
        killed: Stage and client whose process is killed once it has begun.
    """

    killed = ("", "")

    def ask(self, message, state=None):
        node, (into, out) = message.metadata.dst_node_id, os.pipe()[::-1]
        stage = message.metadata.message_type.rpartition("secure_")[2]
        child = os.fork()
        if not child:
            os.close(out)
            if self.killed == (stage, self.names[node]):
                from client_app import secure_stages, secure_training

                die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
                secure_stages.answer = secure_training.answer = die  # all but the answer is done
            reply = super().ask(message)
            with os.fdopen(into, "wb") as pipe:
                pickle.dump((dict(reply.content), dict(self.states[node])), pipe)
            os._exit(0)
        os.close(into)
        with os.fdopen(out, "rb") as pipe:
            said = pipe.read()
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            return Message(Error(0, "ClientApp crashed"), reply_to=message)  # its state is that of before
        content, kept = pickle.loads(said)
        self.states[node] = RecordDict(kept)
        return Message(RecordDict(content), reply_to=message)


@pytest.mark.parametrize("stage", STAGES)
def test_a_process_killed_at_a_stage_is_lost_for_that_round(tiny, monkeypatch, stage):
    sites = Processes(4, tiny("secure.enabled=true"))
    monkeypatch.setattr("client_app.app.train_and_report", sites.train)
    sites.killed = stage, "c2"
    outcome = sites.round()
    counted = set(sites.losses) - (set() if stage == "unmask" else {"c2"})
    check_mean(sites, outcome, dict.fromkeys(counted, 1.0))
    assert [(refusal.client, refusal.code) for refusal in outcome.refused] == [("c2", "error")]
    sites.killed = "", ""
    check_mean(sites, sites.round(server_round=2), dict.fromkeys(sites.losses, 1.0))
