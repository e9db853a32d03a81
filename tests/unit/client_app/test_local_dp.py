"""A site that insists on privacy sends clipped weights with the noise that was promised, and no loss."""

import math

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, RecordDict

from client_app.app import app
from client_app.local_dp import add_local_noise, stricter_privacy
from fedvsr_core.components import build
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import record_from_arrays, to_arrays, to_record
from fedvsr_core.flower.declines import why_declined
from fedvsr_core.flower.differences import from_difference
from fedvsr_core.flower.training_report import TrainingReport
from fedvsr_core.settings import Privacy

SITE = {"epsilon": 2.0, "delta": 1e-5, "clipping-norm": 0.5}
REPORT = TrainingReport("north", 90, 10, 0.02, {"charbonnier": 0.02}, 1.0, 700.0, "cpu", "ab", "cd")


@pytest.fixture
def message(settings):
    def make(arrays, **changed):
        text = settings.model_copy(update=changed).model_dump_json()
        config = ConfigRecord({keys.SETTINGS: text, keys.SERVER_ROUND: 1})
        content = RecordDict({keys.ARRAYS: arrays, keys.CONFIG: config})
        message = Message(content, dst_node_id=7, message_type=MessageType.TRAIN)
        message.metadata.__dict__["_message_id"] = "1"
        return message

    return make


def trained(update):
    """A client that has learned an update."""

    def train(message, context):
        start = to_arrays(message.content.array_records[keys.ARRAYS])
        arrays = record_from_arrays({name: array + update for name, array in start.items()})
        return Message(RecordDict({keys.ARRAYS: arrays, **REPORT.pack()}), reply_to=message)

    return train


def learned(message, reply):
    start, end = (to_arrays(content.content.array_records[keys.ARRAYS]) for content in (message, reply))
    return np.concatenate([(end[name] - start[name]).ravel() for name in start])


def test_the_noise_is_that_of_two_updates_as_far_apart_as_can_be(message, context):
    # sensitivity 2 * 0.5, so sigma = 1 * 1.99381 as in test_gaussian_mechanism; the update is cut to 0.5
    asked = message(record_from_arrays({"w": np.ones(40_000, np.float32)}))
    update = learned(
        asked, add_local_noise(asked, context(**{"epsilon": 2.0, "clipping-norm": 0.5}), trained(3.0))
    )
    assert np.std(update) == pytest.approx(1.99381, rel=0.02)
    assert abs(np.mean(update)) < 0.05  # 3 without clipping, 0.0025 with it; the noise of the mean is 0.012


def test_without_noise_to_speak_of_an_update_is_clipped(message, context):
    asked = message(record_from_arrays({"a": np.zeros((3, 1), np.float32), "b": np.zeros(1, np.float32)}))
    reply = add_local_noise(asked, context(**{"epsilon": 1e15, "clipping-norm": 0.5}), trained(3.0))
    np.testing.assert_allclose(learned(asked, reply), 0.25, atol=1e-6)  # norm 6 -> 0.5


def test_losses_stay(message, context):
    asked = message(record_from_arrays({"w": np.zeros(4, np.float32)}))
    report = TrainingReport.unpack(add_local_noise(asked, context(**SITE), trained(1.0)).content)
    assert report.withheld
    assert math.isnan(report.loss)
    assert list(map(math.isnan, report.parts.values())) == [True]
    assert (report.epsilon, report.delta) == (2.0, 1e-5)
    assert (report.examples, report.steps) == (90, 10)


def test_nothing_changes_where_nobody_asks(message, context):
    asked = message(record_from_arrays({"w": np.zeros(4, np.float32)}))
    reply = add_local_noise(asked, context(site="north"), trained(1.0))
    assert learned(asked, reply).tolist() == [1.0] * 4
    assert TrainingReport.unpack(reply.content) == REPORT


def test_two_runs_never_share_their_noise(message, context):
    asked = message(record_from_arrays({"w": np.zeros(4, np.float32)}))
    first, second = (learned(asked, add_local_noise(asked, context(**SITE), trained(1.0))) for _ in range(2))
    assert not np.allclose(first, second)


def test_single_numbers_get_noise_too_and_every_dtype_stays(message, context):
    start = {"scale": np.ones((), np.float32), "w": np.ones((2, 3), np.float64)}
    asked = message(record_from_arrays(start))
    reply = to_arrays(add_local_noise(asked, context(**SITE), trained(0.0)).content[keys.ARRAYS])
    assert {name: (array.shape, array.dtype) for name, array in reply.items()} == {
        name: (array.shape, array.dtype) for name, array in start.items()
    }
    assert all((reply[name] != start[name]).all() for name in start)


def test_an_update_that_is_not_finite_is_noise_alone(message, context):
    asked = message(record_from_arrays({"w": np.ones(1000, np.float32)}))
    update = learned(asked, add_local_noise(asked, context(**SITE), trained(math.nan)))
    assert np.std(update) == pytest.approx(1.99, rel=0.1)


def test_more_than_the_model_is_refused(message, context):
    asked = message(record_from_arrays({"w": np.zeros(4, np.float32)}))
    asked.content[keys.VARIATES] = ArrayRecord()
    with pytest.raises(ConfigurationError, match="for the model alone"):
        add_local_noise(asked, context(**SITE), pytest.fail)  # nothing is trained


def test_a_reply_with_more_than_the_model_is_refused(message, context):
    def train_more(message, context):
        reply = trained(1.0)(message, context)
        reply.content[keys.VARIATES] = ArrayRecord()
        return reply

    asked = message(record_from_arrays({"w": np.zeros(4, np.float32)}))
    with pytest.raises(ConfigurationError, match="for the model alone"):
        add_local_noise(asked, context(**SITE), train_more)


@pytest.mark.parametrize(
    ("run", "site", "expected"),
    [
        ({}, {}, (None, 1e-5, 0.1)),
        ({}, {"epsilon": 1}, (1.0, 1e-5, 0.1)),
        ({"epsilon": 8.0, "delta": 1e-3}, {}, (8.0, 1e-3, 0.1)),
        ({"epsilon": 8.0, "delta": 1e-3}, {"epsilon": 1.0}, (1.0, 1e-5, 0.1)),
        ({"epsilon": 0.5, "delta": 1e-6}, {"epsilon": 1.0}, (0.5, 1e-6, 0.1)),
        ({"clipping_norm": 0.3}, {"epsilon": 1.0}, (1.0, 1e-5, 0.3)),
        ({"clipping_norm": 0.3}, {"epsilon": 1.0, "clipping-norm": 2}, (1.0, 1e-5, 2.0)),
    ],
    ids=str,
)
def test_the_stricter_of_site_and_run_counts(run, site, expected):
    asked = stricter_privacy(Privacy(**run), site)
    assert (asked.epsilon, asked.delta, asked.clipping_norm) == expected


@pytest.mark.parametrize(
    "site", [{"epsilon": 0}, {"epsilon": "much"}, {"epsilon": 1.0, "delta": 1.0}], ids=str
)
def test_numbers_without_sense_are_refused(site):
    with pytest.raises(ConfigurationError, match="must have an epsilon > 0"):
        stricter_privacy(Privacy(), site)


@pytest.fixture
def real(settings, message, context):
    """What the whole ClientApp answers, with other settings."""

    def answer(training="weights", **node_config):
        arrays = to_record(build(settings.model).state_dict())
        changed = settings.training.model_copy(update={"upload": training})
        asked = message(arrays, training=changed)
        node = {"partition-id": 0, "num-partitions": 2, "device": "cpu", **node_config}
        return asked, app(asked, context(**node))

    return answer


def test_differences_are_taken_of_weights_that_have_their_noise(real):
    asked, reply = real("float16", **SITE)
    start = asked.content.array_records[keys.ARRAYS]
    sent = reply.content.array_records[keys.ARRAYS]
    assert {array.dtype for array in sent.values()} == {"float16"}
    before = to_arrays(start)
    reply.content[keys.ARRAYS] = record_from_arrays(
        {name: from_difference(array, before[name]) for name, array in to_arrays(sent).items()}
    )
    assert np.std(learned(asked, reply)) == pytest.approx(1.99, rel=0.1)


def test_a_site_without_sense_declines(real):
    _, reply = real(epsilon=-1)
    assert "node configuration" in why_declined(reply.content)


def test_a_site_that_pins_other_code_declines_before_it_reads_anything(real, monkeypatch):
    monkeypatch.setattr("client_app.training_round.local_shots", pytest.fail)
    _, reply = real(code="0123456789abcdef")
    assert why_declined(reply.content).startswith(
        "it declines: it runs the code that its operator has reviewed"
    )
