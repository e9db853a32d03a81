"""Promises: rounds train, aggregate, score and checkpoint; no fault of a client or the process ruins them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, Error, Message, MetricRecord, RecordDict

from fedvsr_core.checkpoints.start import initial_model
from fedvsr_core.components import build
from fedvsr_core.errors import FederationError
from fedvsr_core.evaluation.held_out import build_held_out
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import record_from_arrays, to_arrays
from fedvsr_core.flower.declines import decline
from fedvsr_core.metrics.names import METRICS
from server_app import rounds
from server_app.checkpoints import BEST, LAST, load_round
from server_app.cohort import draw, lost_uploads
from server_app.records.journal import Journal, read_journal
from server_app.records.run_dir import RunDir
from server_app.rounds import MOST_IDLE, Rounds
from server_app.state import RunState
from server_app.strategies.fedavg import FedAvg
from server_app.strategies.stock import adapted

ALL = ("psnr-y", "ssim-y", "psnr-rgb", "ssim-rgb")


class Run:
    """A run of tiny rounds with all its parts at hand."""

    def __init__(self, settings, grid, root, *, strategy=None, path=None):
        self.settings = settings
        self.grid = grid
        self.model = initial_model(settings)
        self.strategy = strategy or adapted(build(settings.strategy.server, num_rounds=settings.rounds))
        shots = build(settings.data).held_out()
        self.held_out = build_held_out(settings, shots, torch.device("cpu"))
        self.dir = path or RunDir.create(str(root), ["tiny"])

    def go(self, *, resumed=False):
        state = RunState(self.settings, self.model, self.strategy)
        last = state.restore(self.dir.checkpoints / LAST) if resumed else None
        with Journal(self.dir.journal) as journal:
            rounds = Rounds(
                self.settings,
                grid=self.grid,
                state=state,
                held_out=self.held_out,
                run_dir=self.dir,
                journal=journal,
            )
            self.clients = rounds.gather()
            rounds.run(None if last is None else last.round)
        return self

    def resume(self, grid):
        """Go on as a new process would: all parts are new, the state comes from the last checkpoint."""
        return Run(self.settings, grid, None, path=self.dir).go(resumed=True)

    def lines(self, phase):
        return [line for line in read_journal(self.dir.journal) if line["phase"] == phase]

    def last(self):
        return (self.dir.checkpoints / LAST).read_bytes()

    def weights(self):
        return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}


@pytest.fixture
def run(tiny, client_grid, tmp_path):
    """Makes a run of two clients."""

    def make(overrides="", *, clients=2, strategy="fedvsr", **options):
        return Run(tiny(overrides, strategy), client_grid(clients), tmp_path / "runs", **options)

    return make


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one | other)


@pytest.mark.parametrize("strategy", ["fedvsr", "fedavg"])
def test_two_rounds(run, strategy):
    one = run(strategy=strategy)
    untrained = one.weights()
    one.go()
    assert one.clients == ["partition-0", "partition-1"]
    assert [(line["phase"], line["round"]) for line in read_journal(one.dir.journal)] == [
        ("evaluate", 0), ("train", 1), ("evaluate", 1), ("train", 2), ("evaluate", 2),
    ]  # fmt: skip
    assert not same(one.weights(), untrained)
    for line in one.lines("train"):
        assert [row["client"] for row in line["clients"]] == ["partition-0", "partition-1"]
        assert math.isclose(math.fsum(row["weight"] for row in line["clients"]), 1)
        assert (line["refused"], line["kept-model"]) == ([], False)
        assert line["bytes-down"] == line["bytes-up"] > 0
        assert ("hellinger" in line) == ("mixing" in line) == (strategy == "fedvsr")


def test_the_model_becomes_the_mean_of_what_clients_return(run):
    one = run(strategy="fedavg")
    returned = []
    one.grid.spoil = dict.fromkeys(
        (0, 1), lambda reply: returned.append(to_arrays(reply.content["arrays"])) or reply
    )
    one.go()
    assert len(returned) == 4
    for name, tensor in one.weights().items():  # both clients have as many examples
        np.testing.assert_allclose(tensor.numpy(), (returned[2][name] + returned[3][name]) / 2, rtol=1e-6)


def test_differences_take_half_the_bytes_and_give_nearly_the_same_model(run):
    untrained = run().weights()
    whole, halved = (run(f"rounds=1 training.upload={upload}").go() for upload in ("weights", "float16"))
    [before], [after] = whole.lines("train"), halved.lines("train")
    assert (after["refused"], after["bytes-down"]) == ([], before["bytes-down"])
    assert after["bytes-up"] < 0.6 * before["bytes-up"]  # arrays have headers, too
    assert not same(halved.weights(), whole.weights())
    for name, tensor in halved.weights().items():
        step = float((tensor - untrained[name]).abs().max())
        np.testing.assert_allclose(tensor, whole.weights()[name], rtol=2.0**-23, atol=step * 2.0**-11)


@pytest.mark.parametrize(("limit", "code"), [("max_loss=1e-6", "loss"), ("max_examples=1", "examples")])
def test_limits_of_the_configuration(run, limit, code):
    one = run(f"screening.{limit} rounds=1")
    with pytest.raises(FederationError):
        one.go()
    assert {refused["code"] for refused in one.lines("train")[0]["refused"]} == {code}


def test_strategies_train_the_same_clients_on_the_same_batches(run):
    rounds = [
        [
            (row["client"], row["batches"])
            for line in run(strategy=strategy).go().lines("train")
            for row in line["clients"]
        ]
        for strategy in ("fedvsr", "fedavg")
    ]
    assert rounds[0] == rounds[1]
    assert len(set(rounds[0])) == 4


def test_untrained_it_scores_as_bicubic_interpolation(run):
    first = run().go().lines("evaluate")[0]
    assert first["psnr-y"] == pytest.approx(first["bicubic"]["psnr-y"], abs=0.02)


def test_the_same_seed_gives_the_same_bytes_on_other_nodes(run, client_grid):
    one, two = run(), run()
    two.grid = client_grid(2, first_node=7_000_000)
    two.grid.nodes.reverse()
    assert one.go().last() == two.go().last()
    assert one.last() != run("seed=1").go().last()


@pytest.mark.parametrize("strategy", ["fedvsr", "fedavg", "scaffold"])
@pytest.mark.parametrize("done", [0, 1, 2])
def test_resumed_it_ends_with_the_same_bytes(run, client_grid, strategy, done):
    whole = run("rounds=3", strategy=strategy).go()
    broken = run("rounds=3", strategy=strategy)

    def stop(reply):
        if len(broken.lines("train")) == done:
            raise KeyboardInterrupt
        return reply

    broken.grid.spoil[1] = stop
    with pytest.raises(KeyboardInterrupt):
        broken.go()
    assert load_round(broken.dir.checkpoints / LAST).round == done
    resumed = broken.resume(client_grid(2, first_node=500))
    assert resumed.last() == whole.last()
    assert (resumed.dir.checkpoints / BEST).read_bytes() == (whole.dir.checkpoints / BEST).read_bytes()
    assert len(resumed.lines("train")) == 3


def spoiled(change):
    """A reply whose arrays and metrics are changed."""

    def spoil(reply):
        arrays, metrics = to_arrays(reply.content[keys.ARRAYS]), dict(reply.content[keys.METRICS])
        arrays = {name: array.copy() for name, array in arrays.items()}
        change(arrays, metrics)
        reply.content[keys.ARRAYS] = record_from_arrays(arrays)
        reply.content[keys.METRICS] = MetricRecord(metrics)
        return reply

    return spoil


FAULTS = {
    "non-finite": spoiled(lambda arrays, metrics: arrays["fuse.weight"].fill(np.nan)),
    "names": spoiled(lambda arrays, metrics: arrays.pop("fuse.bias")),
    "loss": spoiled(lambda arrays, metrics: metrics.update(loss=0.0)),
    "error": lambda reply: Message(Error(2, "Traceback\nValueError: oops"), reply_to=reply),
    "declined": lambda reply: Message(decline("memory"), reply_to=reply),
    "timeout": lambda reply: None,
}


def answering(fault):
    """A fault in the place of a reply: an error must answer the message that was sent."""

    def spoil(reply):
        bad = fault(reply)
        if bad is not None and bad is not reply:
            bad.metadata.__dict__.update(reply.metadata.__dict__)
        return bad

    return spoil


@pytest.mark.parametrize("code", FAULTS)
def test_a_client_that_is_left_out_is_named(run, clock, caplog, code):
    one = run("cohort.timeout_s=1", clients=3, strategy="fedavg")
    returned = []
    one.grid.spoil = dict.fromkeys(
        (0, 2), lambda reply: returned.append(to_arrays(reply.content["arrays"])) or reply
    )
    one.grid.spoil[1] = answering(FAULTS[code])
    one.go()
    for line in one.lines("train"):
        assert [row["client"] for row in line["clients"]] == ["partition-0", "partition-2"]
        assert [(refused["client"], refused["node"], refused["code"]) for refused in line["refused"]] == [
            ("partition-1", "101", code)
        ]
        assert not line["kept-model"]
    assert f"round 1: left out partition-1 ({code})" in caplog.text
    for name, tensor in one.weights().items():
        np.testing.assert_allclose(tensor.numpy(), (returned[-2][name] + returned[-1][name]) / 2, rtol=1e-6)


def test_a_node_that_leaves_between_two_messages_is_named(run):
    one = run(clients=2)
    one.grid.spoil[0] = lambda reply: one.grid.refuses.add(101) or reply  # gone from round 2 on
    one.go()
    first, second = one.lines("train")
    assert first["refused"] == []
    assert [(refused["client"], refused["code"]) for refused in second["refused"]] == [
        ("partition-1", "unsent")
    ]
    assert not second["kept-model"]


class Counting(FedAvg):
    """FedAvg that keeps how many rounds it has combined."""

    def __init__(self):
        super().__init__()
        self.count = np.zeros(())

    def combine(self, server_round, updates):
        self.count = self.count + 1
        return super().combine(server_round, updates)

    def state(self):
        return {"count": self.count}

    def load_state(self, state):
        super().load_state(state)
        self.count = state["count"]


def test_too_few_sound_replies_keep_the_model_and_the_strategys_state(run, caplog):
    one = run("cohort.min_replies=2 rounds=3", strategy="fedavg", path=None)
    one.strategy = Counting()
    kept = []

    def spoil(reply):
        if len(one.lines("train")) == 1:  # in round 2
            kept.append(one.weights())
            return answering(FAULTS["error"])(reply)
        return reply

    one.grid.spoil[1] = spoil
    one.go()
    first, second, third = one.lines("train")
    assert [line["kept-model"] for line in (first, second, third)] == [False, True, False]
    assert [row["weight"] for row in second["clients"]] == [None]
    assert "round 2: 1 sound replies, but 2 needed; the model stays as it was" in caplog.text
    checkpoints = [load_round(one.dir.checkpoints / f"round-000{number}.safetensors") for number in (1, 2, 3)]
    assert [checkpoint.strategy_state["count"] for checkpoint in checkpoints] == [1, 1, 2]
    assert same(checkpoints[0].state, checkpoints[1].state)
    assert same(checkpoints[1].state, kept[0])
    assert not same(checkpoints[1].state, checkpoints[2].state)


def test_rounds_without_a_sound_reply_keep_the_model_and_end_the_run(run):
    one = run(f"rounds={MOST_IDLE + 2}")
    untrained = one.weights()
    one.grid.spoil = dict.fromkeys((0, 1), answering(FAULTS["error"]))
    sentence = (
        rf"^{MOST_IDLE} rounds in a row, up to round {MOST_IDLE}, have had too few sound replies; .* resume"
    )
    with pytest.raises(FederationError, match=sentence):
        one.go()
    assert same(one.weights(), untrained)
    assert [line["kept-model"] for line in one.lines("train")] == [True] * MOST_IDLE


def test_a_sound_round_in_between_goes_on(run):
    one = run(f"rounds={2 * MOST_IDLE} evaluation.every=99", clients=1)
    failing = answering(FAULTS["error"])
    one.grid.spoil[0] = lambda reply: reply if len(one.lines("train")) == MOST_IDLE - 1 else failing(reply)
    with pytest.raises(FederationError, match=rf"up to round {2 * MOST_IDLE}, have had too few"):
        one.go()
    kept = [line["kept-model"] for line in one.lines("train")]
    assert kept == [True] * (MOST_IDLE - 1) + [False] + [True] * MOST_IDLE


def test_a_client_that_changes_its_code_is_left_out(run):
    one = run()

    def foreign(reply):
        if len(one.lines("train")) == 1:
            reply.content[keys.ABOUT][keys.CODE] = "0" * 16
        return reply

    one.grid.spoil[0] = foreign
    first, second = one.go().lines("train")
    assert first["refused"] == []
    [refused] = second["refused"]
    assert (refused["client"], refused["code"]) == ("partition-0", "code")
    assert "restart its SuperNode" in refused["reason"]
    assert [row["client"] for row in second["clients"]] == ["partition-1"]


def test_no_site_can_end_a_run_by_speaking_of_a_dead_worker(run, monkeypatch):
    one = run()
    cohort = Rounds._cohort
    monkeypatch.setattr(
        Rounds, "_cohort", lambda self, number: [replace(member, of=None) for member in cohort(self, number)]
    )
    one.grid.spoil[0] = answering(lambda reply: Message(Error(0, "ActorDiedError"), reply_to=reply))
    assert [line["kept-model"] for line in one.go().lines("train")] == [False, False]


def test_a_dead_worker_ends_the_run_and_it_can_be_resumed(run, client_grid):
    whole, one = run().go(), run()
    dead = answering(
        lambda reply: Message(Error(0, "ray.exceptions.ActorDiedError: it died"), reply_to=reply)
    )
    one.grid.spoil[0] = dead
    with pytest.raises(FederationError, match=r"^round 1/2: a worker process of the simulation engine died"):
        one.go()
    assert one.resume(client_grid(2)).last() == whole.last()


def test_cohorts_are_drawn_by_seed_and_round(run):
    one = run("cohort.clients_per_round=2 seed=5", clients=4).go()
    for line in one.lines("train"):
        assert [row["client"] for row in line["clients"]] == draw(
            one.clients, 2, seed=5, server_round=line["round"]
        )


def test_a_client_that_cannot_take_part_is_not_asked(run):
    one = run(clients=3)
    one.grid.spoil[0] = lambda reply: one.grid.nodes.remove(102) or reply if 102 in one.grid.nodes else reply
    one.go()
    asked = [[row["client"] for row in line["clients"]] for line in one.lines("train")]
    assert asked == [["partition-0", "partition-1", "partition-2"], ["partition-0", "partition-1"]]


@pytest.mark.parametrize(("every", "scored"), [(1, [0, 1, 2, 3]), (2, [0, 2, 3]), (3, [0, 3]), (9, [0, 3])])
def test_when_the_model_is_scored(run, every, scored):
    one = run(f"rounds=3 evaluation.every={every}").go()
    assert [line["round"] for line in one.lines("evaluate")] == scored
    assert load_round(one.dir.checkpoints / LAST).round == 3


@pytest.mark.parametrize(("choice", "between"), [("ends", {"psnr-y"}), ("always", set(ALL))])
def test_which_metrics_are_measured_in_which_round(run, choice, between):
    one = run(f"rounds=3 evaluation.all_metrics={choice}").go()
    lines = one.lines("evaluate")
    for line, expected in zip(lines, [set(ALL), between, between, set(ALL)], strict=True):
        assert set(line) & set(METRICS) == expected
        assert all(set(scores) == expected for scores in line["clips"].values())
        assert set(line["bicubic"]) == {*ALL, "clips"}


@pytest.mark.parametrize("keep", [0, 2, 9])
def test_checkpoints_of_the_latest_rounds_are_kept(run, keep):
    one = run(f"rounds=3 run.keep={keep}").go()
    names = sorted(path.name for path in one.dir.checkpoints.iterdir())
    assert names == [BEST, LAST, *[f"round-{number:04d}.safetensors" for number in range(4)][-keep or 4 :]]


def test_the_best_checkpoint_is_that_of_the_highest_score(run, monkeypatch):
    one = run("rounds=3")
    scores = iter([20.0, 22.0, 21.0, 21.5])
    score = one.held_out.score
    monkeypatch.setattr(
        one.held_out, "score", lambda model, **how: {**score(model, **how), "psnr-y": next(scores)}
    )
    one.go()
    best = load_round(one.dir.checkpoints / BEST)
    assert (best.round, best.score) == (1, 22.0)
    assert load_round(one.dir.checkpoints / LAST).score == 21.5


def scored_as(one, monkeypatch, scores):
    """A run whose scorings on the server bring these numbers, by metric, one after the other."""
    score, left = one.held_out.score, {metric: iter(values) for metric, values in scores.items()}

    def instead(model, **how):
        real = score(model, **how)
        return {**real, **{metric: next(values) for metric, values in left.items() if metric in real}}

    monkeypatch.setattr(one.held_out, "score", instead)
    return one


def test_a_run_that_has_stopped_to_get_better_ends_with_all_its_metrics(run, client_grid, monkeypatch):
    one = run("rounds=6 evaluation.patience=2")
    scored_as(one, monkeypatch, {"psnr-y": [20.0, 22.0, 21.9, 22.0, 22.0]}).go()
    assert [line["round"] for line in one.lines("train")] == [1, 2, 3]
    lines = one.lines("evaluate")
    assert [line["round"] for line in lines] == [0, 1, 2, 3, 3]
    assert [set(line) & set(METRICS) for line in lines[2:]] == [{"psnr-y"}, {"psnr-y"}, set(ALL)]
    assert load_round(one.dir.checkpoints / BEST).round == 1
    assert load_round(one.dir.checkpoints / LAST).round == 3
    one.resume(client_grid(2))
    assert len(one.lines("train")) == 3


def test_a_run_that_gets_better_goes_on(run, monkeypatch):
    one = run("rounds=4 evaluation.patience=1")
    scored_as(one, monkeypatch, {"psnr-y": [20.0, 21.0, 22.0, 23.0, 24.0]}).go()
    assert len(one.lines("train")) == 4


@pytest.mark.parametrize(
    ("select", "best", "merit"),
    [("null", 3, 23.0), ("ssim-y", 0, 0.9), ("clients-mean", 1, 26.0), ("clients-worst", 2, 25.0)],
)
def test_what_selects_the_best_checkpoint(run, monkeypatch, select, best, merit):
    one = run(f"rounds=3 data.held_out_clips=2 evaluation.clients=1 evaluation.select={select}")
    scored_as(one, monkeypatch, {"psnr-y": [20.0, 21.0, 22.0, 23.0], "ssim-y": [0.9, 0.8, 0.7, 0.6]})
    own = iter([(10.0, 10.0), (32.0, 20.0), (26.0, 25.0), (24.0, 24.0)])  # means 10, 26, 25.5, 24
    ask = rounds.evaluate_on_clients

    def answered(*asked, **how):
        line = ask(*asked, **how)
        for row, score in zip(line["clients"], next(own), strict=True):
            assert "psnr-y" in row  # they have scored it
            row["psnr-y"] = score
        return line

    monkeypatch.setattr(rounds, "evaluate_on_clients", answered)
    one.go()
    kept = load_round(one.dir.checkpoints / BEST)
    assert (kept.round, kept.score) == (best, merit)


def test_what_clients_are_sent(run):
    one = run("run.root=/servers/own").go()
    trainings = [message for message in one.grid.pushed if message.metadata.message_type == "train"]
    configs = [message.content[keys.CONFIG] for message in trainings]
    assert [config[keys.SERVER_ROUND] for config in configs] == [
        1,
        1,
        2,
        2,
    ]  # the records of round 1 stay as sent
    assert all(set(message.content) == {keys.ARRAYS, keys.CONFIG, keys.NONCE} for message in trainings)
    assert not any("/servers" in str(config) for config in configs)
    assert isinstance(trainings[0].content, RecordDict)
    assert isinstance(trainings[0].content[keys.ARRAYS], ArrayRecord)


def test_uploads_are_lost_by_seed_round_and_client_and_more_at_higher_rates():
    clients = [f"partition-{number}" for number in range(200)]
    quarter, half, most = (lost_uploads(clients, rate, seed=3, server_round=5) for rate in (0.25, 0.5, 0.75))
    assert quarter < half < most
    assert [round(len(lost) / 200, 1) for lost in (quarter, half, most)] == pytest.approx(
        [0.25, 0.5, 0.75], abs=0.1
    )
    assert lost_uploads(reversed(clients), 0.25, seed=3, server_round=5) == quarter
    assert lost_uploads(clients, 0.25, seed=3, server_round=6) != quarter
    assert lost_uploads(clients, 0.25, seed=4, server_round=5) != quarter
    assert lost_uploads(clients, 0.0, seed=3, server_round=5) == set()


def test_lost_uploads_are_trained_and_named_and_do_not_end_the_run(run):
    one = run("cohort.upload_failure=0.75 rounds=6 evaluation.every=9", clients=2).go()
    lost = [{refused["client"] for refused in line["refused"]} for line in one.lines("train")]
    names = ("partition-0", "partition-1")
    assert lost == [lost_uploads(names, 0.75, seed=0, server_round=number) for number in range(1, 7)]
    assert {refused["code"] for line in one.lines("train") for refused in line["refused"]} == {"lost"}
    assert any(line["kept-model"] for line in one.lines("train"))


def test_scaffold_sends_twice_the_bytes_and_needs_the_variates(run):
    plain, one = run(strategy="fedavg"), run(strategy="scaffold")
    one.grid.spoil[1] = lambda reply: reply.content.pop("control-variates") and reply
    plain.go()
    one.go()
    for ours, theirs in zip(one.lines("train"), plain.lines("train"), strict=True):
        assert ours["bytes-down"] == 2 * theirs["bytes-down"]
        assert ours["bytes-up"] == 1.5 * theirs["bytes-up"]  # one of the two comes without
        assert [(refused["client"], refused["code"]) for refused in ours["refused"]] == [
            ("partition-1", "names")
        ]
        assert 0 <= ours["aggregation-seconds"] < ours["seconds"]


def lying(one, factor=-1.0, **numbers):
    """What a client that tells its step times a factor does to its reply."""

    def lie(reply):
        arrays, start = reply.content["arrays"], one.model.state_dict()
        for name, array in arrays.items():
            before = start[name].numpy()
            arrays[name] = Array(np.asarray(before + np.float32(factor) * (array.numpy() - before)))
        reply.content["metrics"].update(numbers)
        return reply

    return lie


UNSCREENED = "screening.clip=null screening.norm_factor=null screening.opposed=null training.epochs=1"


def test_a_model_that_has_become_far_worse_is_given_up_for_the_best(run, caplog):
    one = run(f"rounds=3 {UNSCREENED} screening.roll_back=2", clients=4)
    one.grid.spoil[0] = lambda reply: lying(one, -500)(reply) if len(one.lines("train")) == 1 else reply
    kept = {}
    append = Journal.append

    def watched(journal, line):
        append(journal, line)
        if line["phase"] == "evaluate":
            kept[line["round"]] = one.weights()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "append", watched)
        one.go()
    (line,) = one.lines("roll-back")
    assert (line["round"], line["to"]) == (2, max(range(2), key=lambda k: one.lines("evaluate")[k]["psnr-y"]))
    assert line["fell"] > 2
    assert line["against"] == ["partition-0"]
    best = kept[line["to"]]
    scored = {line["round"]: line["psnr-y"] for line in one.lines("evaluate")}
    assert scored[2] == scored[line["to"]]  # the round's score is that of the model that it leaves
    sent = [
        message.content["arrays"] for message in one.grid.pushed if message.metadata.message_type == "train"
    ]
    assert all(
        np.array_equal(array.numpy(), best[name].numpy()) for name, array in sent[-1].items()
    )  # round 3 starts from there
    assert "the held-out score has fallen" in caplog.text
    assert "against the others pointed partition-0" in caplog.text


def test_a_run_that_rolled_back_resumes_to_the_same_bytes(run, client_grid, tmp_path):
    overrides = f"rounds=3 {UNSCREENED} screening.roll_back=2"

    def grid_of(one):
        grid = client_grid(3)
        grid.spoil[0] = lambda reply: lying(one, -500)(reply) if len(one.lines("train")) == 1 else reply
        return grid

    whole = run(overrides, clients=3)
    whole.grid = grid_of(whole)
    whole.go()
    assert whole.lines("roll-back")
    stopped = run(overrides, clients=3)
    stopped.grid = grid_of(stopped)
    stopped.settings = stopped.settings.model_copy(update={"rounds": 2})
    stopped.go()
    stopped.settings = whole.settings
    stopped.resume(client_grid(3))
    assert stopped.last() == whole.last()


def test_without_a_limit_a_bad_model_stays(run):
    one = run(f"rounds=2 {UNSCREENED} screening.roll_back=null", clients=3)
    one.grid.spoil[0] = lying(one, -500)
    one.go()
    assert one.lines("roll-back") == []


def test_one_liar_of_four_is_named_and_left_out(run):
    one = run("rounds=1 training.steps=3 screening.opposed=-0.05", clients=4, strategy="fedavg")
    one.grid.spoil[2] = lying(one, **{"num-examples": 10**7})
    one.go()
    (line,) = one.lines("train")
    assert [(row["client"], row["code"]) for row in line["refused"]] == [("partition-2", "opposed")]
    assert all({"norm", "agreement"} <= row.keys() for row in line["clients"])
