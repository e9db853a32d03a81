"""Promises: the mean over all clients' clips is exact, and no reply can spoil it."""

import math

import pytest
import torch
from flwr.app import Error, Message

from fedvsr_core.components import build
from fedvsr_core.evaluation.held_out import build_held_out
from fedvsr_core.flower import keys
from server_app.records.journal import Journal, read_journal
from server_app.records.run_dir import RunDir
from server_app.records.summary import summary
from server_app.rounds import Rounds
from server_app.state import RunState


@pytest.fixture
def run(tiny, tmp_path):
    """Runs two rounds; returns the journal's lines and the run directory."""

    def go(grid, overrides="evaluation.clients=1 data.held_out_clips=3"):
        settings = tiny(overrides)
        directory = RunDir.create(str(tmp_path / "runs"), ["tiny"])
        held_out = build_held_out(settings, build(settings.data).held_out(), torch.device("cpu"))
        strategy = build(settings.strategy.server, num_rounds=2)
        with Journal(directory.journal) as journal:
            rounds = Rounds(
                settings,
                grid=grid,
                held_out=held_out,
                run_dir=directory,
                journal=journal,
                state=RunState(settings, build(settings.model), strategy),
            )
            rounds.gather()
            rounds.run(None)
        return read_journal(directory.journal), directory

    return go


def of(lines, phase):
    return [line for line in lines if line["phase"] == phase]


def spoil_scores(grid, change, of_partition=0):
    """Change what one client replies when it is asked to score."""
    answer = grid.answer

    def answered(message):
        reply = answer(message)
        if message.metadata.message_type == "evaluate" and message.metadata.dst_node_id == 100 + of_partition:
            return change(message, reply)
        return reply

    grid.answer = answered


@pytest.mark.parametrize("clients", [2, 5])
def test_the_federations_mean_is_that_of_all_clips_in_one_place(run, client_grid, clients):
    lines, _ = run(
        client_grid(clients), "evaluation.clients=1 data.held_out_clips=3 evaluation.all_metrics=always"
    )
    central, federated = of(lines, "evaluate"), of(lines, "evaluate-clients")
    assert [line["round"] for line in federated] == [line["round"] for line in central] == [0, 1, 2]
    for one, other in zip(central, federated, strict=True):
        for metric in ("psnr-y", "ssim-y", "psnr-rgb", "ssim-rgb"):
            assert other[metric] == pytest.approx(one[metric], rel=1e-6)
            assert other["bicubic"][metric] == pytest.approx(one["bicubic"][metric], rel=1e-12)
        assert other["clips"] == sum(row["clips"] for row in other["clients"]) == 3
        assert len(other["clients"]) == min(clients, 3)
        assert (other["refused"], other["bytes-down"] > 0, other["seconds"] > 0) == ([], True, True)
        assert other["protocol"] == one["protocol"]


@pytest.mark.parametrize(("every", "rounds"), [("null", []), (2, [0, 2]), (5, [0, 2])])
def test_when_clients_score(run, client_grid, every, rounds):
    lines, _ = run(client_grid(2), f"evaluation.clients={every} data.held_out_clips=2")
    assert [line["round"] for line in of(lines, "evaluate-clients")] == rounds


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda message, reply: Message(Error(0, "no GPU left"), reply_to=message), "no GPU left"),
        (lambda message, reply: set_number(reply, "model-psnr-y-sum", math.nan), "must be a finite number"),
        (lambda message, reply: set_number(reply, "model-psnr-y-sum", 1e12), "its psnr-y of model is 1e"),
        (lambda message, reply: set_number(reply, "model-psnr-y-count", 99), "counts more clips than its 1"),
        (lambda message, reply: set_number(reply, "model-psnr-y-sum", 101.0), "must be from 0 to 100"),
        (lambda message, reply: set_number(reply, "bicubic-ssim-y-sum", 1.1), "must be from -1 to 1"),
        (lambda message, reply: set_number(reply, "seconds", -1.0), "in -1 s make no sense"),
        (lambda message, reply: set_number(reply, "seconds", 1e300), "in 1e+300 s make no sense"),
        (lambda message, reply: set_number(reply, "num-frames", 0), "1 clips of 0 frames"),
        (lambda message, reply: add_numbers(reply), "100000 numbers weren't asked for, such as 'x0'"),
        (
            lambda message, reply: set_word(reply, keys.CLIENT, "partition-1"),
            "it says that it is 'partition-1'",
        ),
        (lambda message, reply: set_word(reply, keys.CODE, "other"), "it runs other code"),
        (lambda message, reply: None, "it didn't reply in time"),
    ],
    ids=[
        *("error", "nan", "huge", "count", "psnr", "ssim", "negative", "endless", "frames", "many"),
        *("identity", "code", "late"),
    ],
)
def test_a_reply_that_cannot_be_used_is_left_out_and_named(run, client_grid, change, reason):
    grid = client_grid(2)
    spoil_scores(grid, change)
    overrides = "evaluation.clients=1 data.held_out_clips=2 cohort.timeout_s=0.2"
    if reason == "it didn't reply in time":
        overrides += " rounds=1"
    lines, _ = run(grid, overrides)
    line = of(lines, "evaluate-clients")[0]
    assert [row["client"] for row in line["clients"]] == ["partition-1"]
    assert [one["client"] for one in line["refused"]] == ["partition-0"]
    assert reason in line["refused"][0]["reason"]
    assert math.isfinite(line["psnr-y"])


def test_whoever_claims_very_many_clips_does_not_decide_the_mean(run, client_grid):
    """2^39 clips at 99 dB among three honest clients with a clip each: they count for three."""

    def boast(message, reply):
        many = 2**39
        for key in list(reply.content[keys.METRICS]):
            if key.endswith(("-count", "-sum")):
                score = reply.content[keys.METRICS][key]
                set_number(reply, key, many if key.endswith("count") else score * many)
        set_number(reply, "model-psnr-y-sum", 99.0 * many)
        return set_number(set_number(reply, "num-clips", many), "num-frames", many)

    overrides = "evaluation.clients=1 data.held_out_clips=4"
    honest = of(run(client_grid(4), overrides)[0], "evaluate-clients")[0]
    grid = client_grid(4)
    spoil_scores(grid, boast)
    line = of(run(grid, overrides)[0], "evaluate-clients")[0]
    others = sum(row["psnr-y"] for row in honest["clients"][1:])
    assert line["psnr-y"] == pytest.approx((others + 3 * 99.0) / 6, rel=1e-9)
    assert [row.get("share", 1) for row in line["clients"]] == [3 / 2**39, 1, 1, 1]
    assert line["clips"] == 6
    assert line["refused"] == []


def test_without_any_clips_the_run_goes_on(run, client_grid):
    grid = client_grid(2)
    for partition in (0, 1):
        spoil_scores(grid, lambda message, _: Message(Error(0, "no clips"), reply_to=message), partition)
    lines, directory = run(grid)
    assert of(lines, "evaluate-clients")[-1]["psnr-y"] == "nan"
    assert len(of(lines, "train")) == 2
    assert "the clients' own held-out video" in summary(lines, directory)


def test_the_summary_shows_it_and_what_it_cost(run, client_grid):
    lines, directory = run(client_grid(2))
    text = summary(lines, directory)
    assert "## Scores on the clients' own held-out video" in text
    assert "exact mean over 3 clips of 2 clients" in text
    assert "Of these, evaluation took" in text
    assert "Protocol sample (PSNR-Y, SSIM-Y, PSNR-RGB, SSIM-RGB; all frames; border 0;" in text


def set_number(reply, key, value):
    reply.content[keys.METRICS][key] = value
    return reply


def add_numbers(reply):
    for number in range(100_000):
        reply.content[keys.METRICS][f"x{number}"] = 1.0
    return reply


def set_word(reply, key, value):
    reply.content[keys.ABOUT][key] = value
    return reply
