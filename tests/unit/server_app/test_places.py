"""Promises: what stands in a place of the configuration is of its kind, and sound, before anything starts."""

import math

import pytest
import torch

from fedvsr_core.components import build
from fedvsr_core.errors import FedVSRError
from fedvsr_core.models.size import MOST_TENSORS, check_size
from server_app.config import compose, options
from server_app.places import PLACES, problems_at
from server_app.preflight import check_parts
from server_app.strategies.stock import adapted

NEEDED = {
    **dict.fromkeys(("videos", "store", "reds", "vid4", "udm10", "spmcs", "vimeo90k"), "data.folder=/videos"),
    "kinetics": "data.to_train.folder=/videos",
    "pairs": "data.folder=/videos data.low_folder=/low",
}
SMALL = ("recurrent", "basicvsr_small", "basicvsrpp_small", "iart_small", "rvrt_small", "vrt_small")
"""Networks that stand for the larger ones of the same classes."""
TARGETS = {
    "model": "fedvsr_core.models.recurrent.Recurrent",
    "loss": "fedvsr_core.losses.weighted_sum.WeightedSum",
    "loss module": "fedvsr_core.losses.charbonnier.Charbonnier",
    "optimiser": "torch.optim.Adam",
    "schedule": "fedvsr_core.schedules.Cosine",
    "scheduler": "torch.optim.lr_scheduler.LambdaLR",
    "data": "fedvsr_core.data.sample.Sample",
    "degradation": "fedvsr_core.data.degradation.Bicubic",
    "step of a camera": "fedvsr_core.data.camera.Blur",
    "partition": "fedvsr_core.data.partition.Equal",
    "protocol": "fedvsr_core.metrics.protocol.Protocol",
    "strategy.server": "flwr.serverapp.strategy.FedAdam",
    "strategy.client": "client_app.objectives.plain.Plain",
}
"""One component of each kind."""


@pytest.fixture(scope="module")
def settings():
    """From a group and an option to the whole configuration, as plain values, on a tiny dataset."""
    composed = {}

    def of(group, option):
        if (group, option) not in composed:
            overrides = f"training.patch=8 {group}={option} {NEEDED.get(option, '')}"
            composed[group, option] = compose({"overrides": overrides})
        return composed[group, option]

    return of


def numbers(value, path=()):
    """The places of all numbers, and of what may be one, in plain values."""
    if isinstance(value, dict | list | tuple):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(item, (*path, key))
    elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        yield path, value


def changed(value, path, new):
    """Plain values with another one at a place."""
    if not path:
        return new
    items = dict(value) if isinstance(value, dict) else list(value)
    items[path[0]] = changed(value[path[0]], path[1:], new)
    return items


def refusal(parts, model):
    """What the server says to parts before it asks anyone; nothing if they are sound."""
    try:
        check_parts(parts, model, adapted(build(parts.strategy.server, num_rounds=parts.rounds)))
    except FedVSRError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("place", "kind"), [(place, kind) for place in PLACES for kind in TARGETS if kind != place]
)
def test_another_kind_is_refused_by_one_sentence(place, kind):
    plain = {"_target_": TARGETS[kind]}
    for key in reversed(place.split(".")):
        plain = {key: plain}
    (sentence,) = problems_at(plain)
    known = PLACES[place].kind
    assert sentence == (
        f"{place}: _target_ must name a {known.__name__} ({known.__module__}), got '{TARGETS[kind]}';"
        f" conf/{place.partition('.')[0]} shows how"
    )


@pytest.mark.parametrize("place", PLACES)
def test_its_own_kind_is_not(place):
    plain = {"_target_": TARGETS[place]}
    for key in reversed(place.split(".")):
        plain = {key: plain}
    assert not [sentence for sentence in problems_at(plain) if "_target_" in sentence]


OPTIONS = [(group, option) for group in ("loss", "optimiser", "data", "degradation", "partition", "protocol",
                                          "strategy") for option in options(group)]  # fmt: skip
MODELS = [("model", option) for option in SMALL]


@pytest.mark.parametrize(("group", "option"), OPTIONS + MODELS)
def test_numbers_that_are_none_are_refused_everywhere(group, option, settings):
    plain = settings(group, option).model_dump()
    for path, _ in numbers(plain[group]):
        for value in (math.nan, math.inf, -math.inf):
            sentences = list(problems_at({**plain, group: changed(plain[group], path, value)}))
            assert len(sentences) == 1, (path, value, sentences)


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_any_other_number_is_refused_by_a_sentence_or_sound(group, option, settings):
    plain = settings(group, option).model_dump()
    model = build(settings(group, option).model)
    for path, old in numbers(plain[group]):
        for value in (-1, 0, 10**9):
            value = float(value) if isinstance(old, float) else value
            new = {**plain, group: changed(plain[group], path, value)}
            sentences = list(problems_at(new))
            assert len(sentences) <= 1, (path, value, sentences)
            if sentences or (group == "data" and option != "synthetic"):
                continue
            parts = settings(group, option).model_validate(new)
            assert "\n" not in refusal(parts, model), (path, value)


@pytest.mark.parametrize(
    ("group", "option"),
    [
        pytest.param(*model, marks=() if model[1] in ("recurrent", "iart_small") else pytest.mark.slow)
        for model in MODELS
    ],
)
def test_any_other_size_of_a_network_is_refused_by_a_sentence_or_sound(group, option, settings):
    plain = settings(group, option).model_dump()
    for path, old in numbers(plain[group]):
        for value in (-1, 0, 10**9):
            value = float(value) if isinstance(old, float) else value
            new = {**plain, group: changed(plain[group], path, value)}
            sentences = list(problems_at(new))
            assert len(sentences) <= 1, (path, value, sentences)
            if not sentences and path[0] != "img_size":  # nothing depends on that
                parts = settings(group, option).model_validate(new)
                assert "\n" not in refusal(parts, build(parts.model)), (path, value)


def test_a_network_without_end_is_refused_by_its_tensors():
    settings = {"_target_": TARGETS["model"], "width": 1, "blocks": 10**9, "scale": 4}
    with pytest.raises(FedVSRError, match=f"more than {MOST_TENSORS} tensors of weights; make it shallower"):
        check_size(settings)


def test_a_network_beyond_the_memory_is_refused_by_the_figures(monkeypatch):
    settings = {"_target_": TARGETS["model"], "width": 256, "blocks": 1, "scale": 4}
    weights = sum(one.nbytes for one in build(settings).parameters())
    with monkeypatch.context() as patch:
        patch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 4 * weights}))
        check_size(settings)
        patch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 4 * weights - 1}))
        with pytest.raises(FedVSRError, match=r"need 0\.\d GB and more, but 0\.\d GB are free here; make"):
            check_size(settings)


def test_sizes_are_checked_without_a_trace():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    check_size({"_target_": TARGETS["model"], "width": 4, "blocks": 1, "scale": 4})
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.nn.Linear(2, 2).weight.device.type == "cpu"
