"""Promises: what a site's limits don't allow is declined, and named; what runs usually ask is allowed."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Message, MessageType, RecordDict

from client_app.app import app
from client_app.audit_log import AuditLog
from client_app.limits import Limits
from client_app.training_round import train_and_report
from fedvsr.deploy.site import Site, site_text
from fedvsr_core import devices
from fedvsr_core.components import build
from fedvsr_core.errors import ConfigurationError, LimitError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import to_record
from server_app.config import compose, options

DEFAULTS = Site.parse(site_text("north", Path("/v"), "h:1", Path("/w")), Path("/site.toml")).node_config()


WARM = {"_target_": "fedvsr_core.schedules.WarmUp", "share": 1.0}


def composed(overrides="", **choices):
    return compose({**choices, "overrides": overrides}).for_clients()


def changed(component, **values):
    """The default settings with other values of a component."""
    known = composed()
    return known.model_copy(update={component: {**getattr(known, component), **values}})


@pytest.mark.parametrize("strategy", options("strategy"))
def test_every_strategy_may_be_run(strategy):
    Limits.of(DEFAULTS).check_settings(composed(strategy=strategy))


@pytest.mark.parametrize("model", options("model"))
def test_every_model_may_be_trained(model):
    frames = "training.window=16" if "16" in model else "training.window=6"
    Limits.of(DEFAULTS).check_settings(composed(f"{frames} degradation=bi", model=model))


@pytest.mark.parametrize("experiment", ["quickstart", "rvrt_24gb", "vrt_80gb"])
def test_experiments_may_be_run(experiment):
    asked = composed(experiment=experiment)
    Limits.of(DEFAULTS).check_settings(asked)
    Limits.of(DEFAULTS).check_amount(asked.training.steps, asked.training.batch)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (composed("training.patch=15"), "'least-patch' is 16, but training.patch is 15"),
        (composed("optimiser.lr=0.11"), "'most-lr' is 0.1, but optimiser.lr is 0.11"),
        (changed("optimiser", lr=-0.1), "'most-lr' is 0.1, but optimiser.lr is -0.1"),
        (composed("flow.step_size=1000"), "with weights of 1000 together"),
        (composed("loss.parts.charbonnier.weight=1e7"), "with weights of 1e+07 together"),
        (changed("objective", weight=1e12, temperature=1e-9), "with weights of 1e+21 together"),
        (changed("objective", temperature=0.0), "objective.temperature must be > 0"),
        (composed("loss.parts.charbonnier.loss.eps=1e-2"), "'most-loss-eps' is 0.001, but an eps is 0.01"),
        (
            changed("schedule", _target_="fedvsr_core.schedules.Late"),
            "'schedule' allows Constant Cosine",
        ),
        (changed("schedule", then={"_target_": "fedvsr_core.schedules.Late"}), "'schedule' allows Constant"),
        (changed("loss", schedule={"_target_": "fedvsr_core.schedules.Late"}), "'losses' allows Weighted"),
        (changed("schedule", **{**WARM, "then": WARM}), "'schedule' allows one WarmUp"),
        (changed("optimiser", foreach={"lr": 1e-3}, lr=10.0), "optimiser.foreach must be a plain value"),
        (changed("optimiser", weight_decay=[50.0, -50.0]), "weight_decay and mu, times optimiser.lr"),
        (
            changed("loss", parts={str(part): {"weight": 1.0} for part in range(1000)}),
            "with weights of 1000 together",
        ),
        (changed("optimiser", eps=1e3), "'most-eps' is 1e-06, but an eps is 1000"),
        (changed("optimiser", lr=float("nan")), "'lr' must be a finite number, got 'nan'"),
        (changed("optimiser", betas=[1.5, 0.9]), "optimiser.betas must be within 0 and 0.9999, got 1.5"),
        (changed("optimiser", momentum=1e3), "optimiser.momentum must be within 0 and 0.99, got 1000"),
        (changed("optimiser", dampening=-1e3), "optimiser.dampening must be within 0 and 0.99, got -1000"),
        (changed("optimiser", weight_decay=25.0), "weight_decay and mu, times optimiser.lr, may be 0.02"),
        (changed("optimiser", weight_decay=-1.0), "weight_decay and mu, times optimiser.lr, may be 0.02"),
        (
            changed("objective", mu=2.5e4),
            "may be 0.02 together and none below 0, got 25",
        ),
        (changed("optimiser", lambd=1e-4), "the effect of optimiser.lambd isn't bounded"),
        (changed("optimiser", _target_="torch.optim.ASGD"), "'optimisers' allows Adam AdamW SGD, but one is"),
        (changed("optimiser", _target_="fedvsr_core.models.SGD"), "'optimisers' allows Adam AdamW SGD"),
        (changed("model", _target_="fedvsr_core.layers.x.Recurrent"), "'models' allows Recurrent BasicVSR"),
        (changed("loss", x={"_target_": "torch.optim.SGD"}), "'losses' allows WeightedSum Charbonnier"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)
def test_what_isolates_a_step_or_makes_updates_linear_is_declined(asked, sentence):
    with pytest.raises(LimitError) as caught:
        Limits.of(DEFAULTS).check_settings(asked)
    assert sentence in str(caught.value)


def test_a_node_without_limits_has_none():
    Limits.of({"site": "north"}).check_settings(composed("training.patch=4 optimiser.lr=1e6 optimiser=sgd"))
    Limits.of({}).check_amount(1, 1)


@pytest.mark.parametrize(("steps", "batch", "fits"), [(19, 9, False), (20, 1, False), (20, 2, True)])
def test_the_amount(steps, batch, fits):
    if fits:
        Limits.of(DEFAULTS).check_amount(steps, batch)
    else:
        with pytest.raises(LimitError, match=r"'least-(steps|windows)' is (20|40)"):
            Limits.of(DEFAULTS).check_amount(steps, batch)


def test_limits_without_sense_are_named():
    with pytest.raises(ConfigurationError, match="least-steps='few'"):
        Limits.of({"least-steps": "few"})


@pytest.fixture
def round_of(settings, context):
    """Train a round on a partition with limits."""

    def train(node_config, changes, model=None):
        asked = settings.model_copy(update={"training": settings.training.model_copy(update=changes)})
        network = build(asked.model)
        config = ConfigRecord({keys.SERVER_ROUND: 1, keys.SETTINGS: asked.model_dump_json()})
        content = RecordDict({keys.ARRAYS: to_record(network.state_dict()), keys.CONFIG: config})
        node = context(partition_id=0, num_partitions=2, **node_config)
        return train_and_report(content, node.node_config, node.state, devices.choose("cpu"))

    return train


def test_epochs_count_by_the_steps_that_they_make(round_of):
    # the partition has 2 windows of 3 frames: 3 epochs in batches of 2 are 3 steps
    assert round_of({"least_steps": 3}, {"epochs": 3.0})
    with pytest.raises(LimitError, match="'least-steps' is 4, but the round has 3"):
        round_of({"least_steps": 4}, {"epochs": 3.0})
    with pytest.raises(LimitError, match="'least-windows' is 7, but the round has 6"):
        round_of({"least_windows": 7}, {"epochs": 3.0})


@pytest.fixture
def ask(settings, context):
    def answer(kind=MessageType.TRAIN, **node_config):
        content = {keys.ARRAYS: to_record(build(settings.model).state_dict())}
        config = ConfigRecord({keys.SERVER_ROUND: 1, keys.SETTINGS: settings.model_dump_json()})
        message = Message(RecordDict({**content, keys.CONFIG: config}), 7, kind)
        reply = app(message, context(partition_id=0, num_partitions=2, **node_config))
        return dict(reply.content[keys.ABOUT]).get("declined", "answered")

    return answer


def test_rounds_a_day_are_counted_over_all_runs(ask, tmp_path):
    limits = {"audit_dir": str(tmp_path), "rounds_a_day": 2}
    said = [ask(**limits) for _ in range(4)]  # with one id: a server chooses them
    assert said == ["answered", "answered", "limits", "limits"]
    assert ask(MessageType.EVALUATE, **limits) == "answered"  # of scores, there may be as many
    path = tmp_path / "audit.jsonl"
    old = (datetime.now(UTC) - timedelta(hours=25)).isoformat()
    lines = [json.loads(line) | {"time": old} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert ask(**limits) == "answered"


def test_rounds_are_counted_in_the_record_or_not_at_all(ask):
    assert ask(rounds_a_day=2) == "configuration"


def test_a_site_may_score_no_models(ask):
    assert ask(MessageType.EVALUATE, evaluate=False) == "limits"
    assert ask(MessageType.EVALUATE, evaluate=True) == "answered"
    assert ask(MessageType.QUERY, evaluate=False) == "answered"


def test_a_round_that_was_asked_and_never_answered_counts(ask, tmp_path):
    log = AuditLog(tmp_path)
    log.append({"event": "asked", "kind": "train", "run": "1", "message": "0"})
    assert ask(audit_dir=str(tmp_path), rounds_a_day=1) == "limits"
