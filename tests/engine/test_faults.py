"""Ten real clients, most of which misbehave: the run goes on without them and names each."""

import math

import pytest

from server_app.checkpoints import load_round

FAULTS = {
    0: ("raise", "error"),
    1: ("nan-weights", "non-finite"),
    2: ("loss-zero", "loss"),
    3: ("loss-negative", "loss"),
    4: ("loss-nan", "loss"),
    5: ("extra-array", "names"),
    6: ("missing-array", "names"),
    7: ("hang", "timeout"),
}


@pytest.fixture(scope="module")
def run(federation, faulty_app):
    """Round 1: eight faults. Round 2: too few sound replies. Round 3: all is well."""
    federation.faults(
        {
            "1": {partition: fault for partition, (fault, _) in FAULTS.items()},
            "2": dict.fromkeys(range(9), "raise"),
        }
    )
    run = federation.submit(
        faulty_app,
        overrides="rounds=3 training.batch=1 data.clips=10 data.frames=8 data.height=16 data.width=16"
        " cohort.timeout_s=15 cohort.min_replies=2 run.keep=4",
        federation="num-supernodes=10 client-resources-num-cpus=1 init-args-num-cpus=3",
    )
    run.wait_until(lambda: 1 in run.trained(), "the end of round 1")
    federation.let_go()
    return run.finish()


def states(run):
    return [load_round(run.dir.checkpoints / f"round-{number:04d}.safetensors").state for number in range(4)]


def same(one, other):
    return all((one[name] == other[name]).all() for name in one)


def test_the_journal_names_each_faulty_client_with_its_fault(run):
    first = run.trained()[1]
    assert {refusal["client"]: refusal["code"] for refusal in first["refused"]} == {
        f"partition-{partition}": code for partition, (_, code) in FAULTS.items()
    }
    reasons = {refusal["code"]: refusal["reason"] for refusal in first["refused"]}
    assert "this client has lost its disk" in reasons["error"]
    log = run.dir.log.read_text()
    for partition, (_, code) in FAULTS.items():
        assert f"round 1: left out partition-{partition} ({code})" in log


def test_the_sound_clients_are_aggregated(run):
    first = run.trained()[1]
    assert [row["client"] for row in first["clients"]] == ["partition-8", "partition-9"]
    assert sum(row["weight"] for row in first["clients"]) == pytest.approx(1)
    assert not first["kept-model"]
    assert not same(states(run)[0], states(run)[1])


def test_the_model_stays_finite(run):
    assert all(tensor.isfinite().all() for state in states(run) for tensor in state.values())
    assert all(math.isfinite(float(line["psnr-y"])) for line in run.lines("evaluate"))


def test_too_few_sound_replies_leave_the_model_as_it_was(run):
    second = run.trained()[2]
    assert second["kept-model"]
    assert [row["client"] for row in second["clients"]] == ["partition-9"]
    assert same(states(run)[1], states(run)[2])
    assert "round 2: 1 sound replies, but 2 needed; the model stays as it was" in run.dir.log.read_text()


def test_all_ten_take_part_again_once_they_are_sound(run):
    third = run.trained()[3]
    assert len(third["clients"]) == 10
    assert third["refused"] == []
    assert not same(states(run)[2], states(run)[3])
