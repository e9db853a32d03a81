"""Promises: a configuration has one shape, and clients are told only what they need."""

import json
import math

import pytest
from pydantic import ValidationError

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.settings import ClientSettings, Cohort, Settings, Training
from server_app.config import compose

TRAINING = {"steps": 1, "batch": 1, "window": 1, "patch": 4, "clip_norm": None, "upload": "weights"}
COHORT = {"clients_per_round": None, "nodes": None, "wait_s": 1, "timeout_s": 1, "min_replies": 1}


@pytest.fixture(scope="module")
def settings():
    return compose({"data": "synthetic", "overrides": "run.root=/servers/own/runs"})


def test_clients_learn_nothing_of_the_servers_machine(settings):
    sent = settings.for_clients().model_dump_json()
    assert settings.run.root == "/servers/own/runs"
    assert "/servers" not in sent
    assert not any(isinstance(value, str) and value.startswith("/") for value in _leaves(json.loads(sent)))
    assert set(json.loads(sent)) == {
        "seed", "model", "loss", "optimiser", "data", "degradation", "partition", "protocol", "training",
        "evaluation", "objective", "start", "flow", "privacy", "secure", "names",
        "rounds", "schedule", "pool",
    }  # fmt: skip


def test_clients_get_the_clients_half_of_the_strategy(settings):
    assert settings.for_clients().objective == settings.strategy.client


def test_settings_survive_the_wire(settings):
    sent = settings.for_clients()
    assert ClientSettings.model_validate_json(sent.model_dump_json()) == sent
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_infinities_survive_the_wire(settings):
    limit = settings.training.model_copy(update={"clip_norm": math.inf})
    client = {**settings.strategy.client, "bound": -math.inf}
    sent = settings.for_clients().model_copy(update={"training": limit, "objective": client})
    came = ClientSettings.model_validate_json(sent.model_dump_json())
    assert (came.training.clip_norm, came.objective["bound"]) == (math.inf, -math.inf)


def test_settings_do_not_change(settings):
    with pytest.raises(ValidationError, match="frozen"):
        settings.seed = 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", 0),
        ("batch", 0),
        ("window", 0),
        ("patch", 3),
        ("clip_norm", 0),
        ("clip_norm", math.nan),
        ("steps", 1.5),
    ],
)
def test_training_out_of_range(key, value):
    assert Training(**TRAINING).steps == 1
    with pytest.raises(ValidationError, match=key):
        Training(**{**TRAINING, key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("clients_per_round", 0),
        ("nodes", 0),
        ("wait_s", 0),
        ("timeout_s", -1),
        ("min_replies", 0),
        ("fraction", 0.5),
    ],
)
def test_cohort_out_of_range(key, value):
    assert Cohort(**COHORT).min_replies == 1
    with pytest.raises(ValidationError, match=key):
        Cohort(**{**COHORT, key: value})


@pytest.mark.parametrize("key", TRAINING)
def test_nothing_has_a_default_of_its_own(key):
    with pytest.raises(ValidationError, match=rf"{key}\n  Field required"):
        Training(**{name: value for name, value in TRAINING.items() if name != key})


def _leaves(value):
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    return [value]


def test_parts_of_a_pool_must_be_there():
    with pytest.raises(ConfigurationError, match=r"parts are counted from 0 to below clients = 3, got 3"):
        compose({"overrides": "pool.clients=3 pool.parts=[1,3]"})
