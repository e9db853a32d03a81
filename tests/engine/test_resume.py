"""A run that ends early loses the round in flight, and nothing else."""

import pytest

from fedvsr_core.checkpoints.store import load_model
from server_app.checkpoints import LAST

FAILED = "finished:failed"


@pytest.mark.slow
def test_killed_twice_it_ends_with_the_same_bytes(federation, app, uninterrupted):
    # First kill: after the checkpoint of round 1.
    first = federation.submit(app)
    first.wait_until(lambda: first.done == 1, "the checkpoint of round 1")
    first.kill_server()
    assert first.checkpoint() == uninterrupted.checkpoint("round-0001.safetensors")

    # Second kill: in the middle of round 2, which is in the journal but not yet scored and in no checkpoint.
    second = federation.resume(app, first)
    second.wait_until(lambda: 2 in second.trained(), "the journal's line of round 2")
    second.kill_server()
    assert second.done == 1
    assert 2 in second.trained()

    third = federation.resume(app, second).finish()
    assert third.checkpoint() == uninterrupted.checkpoint()
    assert sorted(third.trained()) == [1, 2, 3]
    assert [line["round"] for line in third.lines("evaluate")] == [0, 1, 2, 3]
    assert [line.get("resumed-after") for line in third.lines("start")] == [None, 1, 1]
    assert (third.dir.path / "journal.discarded.jsonl").read_text().count('"train"') == 1
    same = ("client", "loss", "parts", "weight", "batches", "examples", "steps")
    for number, line in third.trained().items():
        theirs = uninterrupted.trained()[number]
        assert [{key: row[key] for key in same} for row in line["clients"]] == [
            {key: row[key] for key in same} for row in theirs["clients"]
        ]


@pytest.mark.slow
def test_a_dead_worker_ends_the_run_and_a_resume_completes_it(federation, faulty_app):
    two = "num-supernodes=2 client-resources-num-cpus=1 init-args-num-cpus=2"
    federation.faults({"2": {"1": "die"}})
    run = federation.submit(faulty_app, federation=two).finish(FAILED)
    assert "a worker process of the simulation engine died" in run.log()
    assert "resume this run" in run.lines("end")[-1]["outcome"]
    assert [refusal["client"] for refusal in run.trained()[2]["refused"]] == ["partition-1"]
    assert run.done == 1
    assert load_model(run.dir.checkpoints / LAST) is not None
    assert run.checkpoint() == run.checkpoint("round-0001.safetensors")
    assert run.dir.summary.exists()

    federation.faults({})
    again = federation.resume(faulty_app, run, federation=two).finish()
    assert sorted(again.trained()) == [1, 2, 3]
    assert all(len(line["clients"]) == 2 for line in again.trained().values())
    assert again.done == 3
