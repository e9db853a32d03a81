"""Promises: settings become the object they describe, nested parts first, and name nothing foreign."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedvsr_core.components import ALLOWED, build, find, nearest, problems
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.losses.charbonnier import Charbonnier
from fedvsr_core.losses.weighted_sum import WeightedSum
from fedvsr_core.models.recurrent import Recurrent

RECURRENT = {"_target_": "fedvsr_core.models.recurrent.Recurrent", "width": 4, "blocks": 1, "scale": 2}
CHARBONNIER = {"_target_": "fedvsr_core.losses.charbonnier.Charbonnier", "eps": 1e-6}
WEIGHTED = {
    "_target_": "fedvsr_core.losses.weighted_sum.WeightedSum",
    "parts": {"near": {"weight": 2.0, "loss": CHARBONNIER}},
}
ADAM = {"_target_": "torch.optim.Adam", "lr": 0.5, "betas": [0.9, 0.99]}


def changed(settings, **changes):
    return {key: value for key, value in {**settings, **changes}.items() if value != "removed"}


def test_a_component_gets_its_arguments():
    model = build(RECURRENT)
    assert isinstance(model, Recurrent)
    assert model.scale == 2
    assert model.fuse.weight.shape == (4, 8, 1, 1)


def test_nested_components_are_built_first():
    loss = build(WEIGHTED)
    assert isinstance(loss, WeightedSum)
    assert isinstance(loss.losses["near"], Charbonnier)
    assert loss.weights == {"near": 2.0}


def test_what_the_caller_knows_goes_where_it_is_taken():
    weight = torch.nn.Parameter(torch.zeros(1))
    assert build(ADAM, params=[weight], unheard_of=1).param_groups[0]["params"] == [weight]


def test_what_the_caller_knows_wins():
    assert build(RECURRENT, scale=3).scale == 3


def test_settings_stay_as_they_were():
    before = repr(WEIGHTED)
    build(WEIGHTED)
    assert repr(WEIGHTED) == before


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            changed(RECURRENT, width=0),
            "fedvsr_core.models.recurrent.Recurrent: width, blocks and scale must be",
        ),
        (changed(RECURRENT, width="removed"), "missing 1 required keyword-only argument: 'width'"),
        (changed(RECURRENT, depth=3), "unexpected keyword argument 'depth'"),
        (changed(ADAM, params=[], lr=0.1), "torch.optim.Adam: optimizer got an empty parameter list"),
    ],
)
def test_what_a_constructor_refuses_names_the_component(settings, sentence):
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        build(settings)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.Popen",
        "builtins.eval",
        "torch.load",
        "torch.nn.Conv2d",
        "fedvsr_core_evil.Thing",
        # names that our modules have imported
        "fedvsr_core.data.sample.Path",
        "fedvsr_core.data.loaders.Callable",
        "fedvsr_core.metrics.vmaf.subprocess",
        "fedvsr_core.metrics.vmaf.Path",
        "server_app.app.ServerApp",
        "server_app.cohort.Grid",
        "torch.optim.lr_scheduler.partial",
        # what isn't a class
        "fedvsr_core.data.degradation.bicubic_up",
        "fedvsr_core.data.sample",
        "fedvsr_core.flower.keys.ARRAYS",
        "fedvsr_core.components.ALLOWED",
        # what isn't a name
        None,
        3,
        "",
        "fedvsr_core",
        ["fedvsr_core.models.recurrent.Recurrent"],
    ],
    ids=str,
)
def test_nothing_else_can_be_named(target):
    with pytest.raises(
        ConfigurationError, match=r"^_target_ must name a class below fedvsr_core\., server_app\."
    ):
        find({"_target_": target})


@pytest.mark.parametrize(
    "target",
    [
        "fedvsr_core.metrics.vmaf.subprocess.Popen",
        "fedvsr_core..os.system",
        "fedvsr_core.",
        "fedvsr_core.models.recurent.Recurrent",
        "fedvsr_core.models.recurrent.Recurent",
        "torch.optim.Adma",
    ],
)
def test_what_is_not_there(target):
    with pytest.raises(ConfigurationError, match=f"^_target_ '{re.escape(target)}' can't be imported: "):
        find({"_target_": target})


def test_settings_without_a_target():
    with pytest.raises(ConfigurationError, match=r"must name a class below .*, got None"):
        build({"width": 3})


def test_a_nested_component_is_held_to_the_same():
    parts = {"near": {"weight": 1.0, "loss": {"_target_": "os.system", "command": "true"}}}
    with pytest.raises(ConfigurationError, match=r"must name a class below .*, got 'os\.system'"):
        build(changed(WEIGHTED, parts=parts))


@pytest.mark.parametrize(
    ("settings", "known"),
    [(RECURRENT, Recurrent), (ADAM, torch.optim.Adam), (CHARBONNIER, Charbonnier)],
    ids=["ours", "torch", "nested"],
)
def test_what_may_be_named(settings, known):
    assert find(settings) is known
    assert f"{known.__module__}.".startswith(ALLOWED)


def test_flowers_strategies_may_be_named():
    assert find({"_target_": "flwr.serverapp.strategy.FedAdam"}).__name__ == "FedAdam"


@pytest.mark.parametrize("settings", [RECURRENT, WEIGHTED, CHARBONNIER], ids=["flat", "nested", "loss"])
def test_sound_settings_have_no_problems(settings):
    assert list(problems(settings, "place")) == []


def test_arguments_that_are_added_later_are_no_problem():
    assert list(problems(ADAM, "optimiser", ["params"])) == []
    assert list(problems(ADAM, "optimiser")) == ["optimiser.params: torch.optim.Adam needs this argument"]


@pytest.mark.parametrize(
    ("settings", "sentences"),
    [
        (changed(RECURRENT, blokcs=2), ["has no such argument; did you mean 'blocks'?"]),
        (changed(RECURRENT, colour=2), ["has no such argument; there are: blocks, lookahead, scale, width"]),
        (
            changed(RECURRENT, width="removed"),
            ["here.width: fedvsr_core.models.recurrent.Recurrent needs this argument"],
        ),
        (changed(RECURRENT, width="4"), ['here.width: must be a whole number, got "4"']),
        (changed(RECURRENT, width=4.0), ["here.width: must be a whole number, got 4.0"]),
        (changed(RECURRENT, width=None), ["here.width: must be a whole number, got null"]),
        (changed(RECURRENT, width=True), ["here.width: must be a whole number, got true"]),
        (changed(RECURRENT, width=[4]), ["here.width: must be a whole number, got [4]"]),
        (changed(CHARBONNIER, eps="small"), ["here.eps: must be a number, got small"]),
        (changed(ADAM, lr="fast"), ["here.lr: must be a number, got fast"]),
        (changed(ADAM, betas=0.9), ["here.betas: must be a list such as [a,b], got 0.9"]),
        (changed(RECURRENT, width="a", depth=3, blocks=1.5), ["here.width", "here.depth", "here.blocks"]),
        (
            changed(WEIGHTED, parts={"a": {"weight": 1.0, "loss": {**CHARBONNIER, "epps": 1}}}),
            ["here.parts.a.loss.epps: fedvsr_core.losses.charbonnier.Charbonnier has no such argument"],
        ),
        (
            changed(WEIGHTED, parts={"a": {"weight": 1.0, "loss": {"_target_": "os.system"}}}),
            ["here.parts.a.loss: _target_ must name a class below"],
        ),
    ],
    ids=str,
)
def test_problems_by_their_place(settings, sentences):
    found = list(problems(settings, "here", ["params"]))
    assert len(found) == len(sentences)
    for sentence in sentences:
        assert any(sentence in one for one in found), found


@pytest.mark.parametrize("value", [None, {}, 3, {"near": {"weight": 1.0}}, {"near": 1.0}])
def test_a_type_that_cannot_be_checked_is_left_to_the_constructor(value):
    settings = changed(WEIGHTED, parts=value)
    assert list(problems(settings, "loss")) == []
    with pytest.raises(ConfigurationError, match=r"fedvsr_core\.losses\.weighted_sum\.WeightedSum: "):
        build(settings)


@given(st.text(max_size=10), st.lists(st.text(max_size=10), max_size=4))
def test_nearest_says_what_there_is(name, known):
    said = nearest(name, known)
    assert said.startswith(("; did you mean '", "; there are: "))
    assert any(one in said for one in known) or not known
