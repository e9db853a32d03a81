"""Promises: a report comes back as it was, and is nothing but numbers and words."""

import math
from dataclasses import replace

import pytest
from flwr.app import ConfigRecord, MetricRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from fedvsr_core.flower import keys
from fedvsr_core.flower.training_report import TrainingReport

REPORT = TrainingReport(
    client="partition-0",
    examples=12,
    steps=3,
    loss=0.25,
    parts={"charbonnier": 0.125, "high-frequency": 0.125},
    seconds=1.5,
    peak_memory_mb=512.0,
    device="cpu",
    code="0123456789abcdef",
    batches="ab12",
)


@given(
    loss=st.floats(),
    examples=st.integers(-(2**63), 2**63 - 1),
    client=st.text(),
    parts=st.dictionaries(st.text(min_size=1), st.floats()),
)
def test_a_report_comes_back(loss, examples, client, parts):
    report = replace(REPORT, loss=loss, examples=examples, client=client, parts=parts)
    assert repr(TrainingReport.unpack(RecordDict(report.pack()))) == repr(report)  # repr: NaN equals NaN


def test_what_flowers_strategies_look_for_is_where_they_look():
    metrics = REPORT.pack()["metrics"]
    assert metrics["num-examples"] == 12
    assert all(isinstance(value, int | float) for value in metrics.values())
    assert metrics["loss-high-frequency"] == 0.125


def test_a_part_called_like_another_entry_hides_nothing():
    report = replace(REPORT, parts={"loss": 2.0, "examples": 3.0})
    assert TrainingReport.unpack(RecordDict(report.pack())) == report


@pytest.mark.parametrize("name", [keys.METRICS, keys.ABOUT])
def test_a_missing_record(name):
    records = REPORT.pack()
    del records[name]
    with pytest.raises(KeyError, match=name):
        TrainingReport.unpack(RecordDict(records))


@pytest.mark.parametrize(
    "key", sorted(REPORT.pack()[keys.METRICS].keys() - {"loss-charbonnier", "loss-high-frequency"})
)
def test_a_missing_number(key):
    records = REPORT.pack()
    records[keys.METRICS] = MetricRecord(
        {name: v for name, v in records[keys.METRICS].items() if name != key}
    )
    with pytest.raises(KeyError, match=key):
        TrainingReport.unpack(RecordDict(records))


@pytest.mark.parametrize("key", list(REPORT.pack()[keys.ABOUT]))
def test_a_missing_word(key):
    records = REPORT.pack()
    records[keys.ABOUT] = ConfigRecord({name: v for name, v in records[keys.ABOUT].items() if name != key})
    with pytest.raises(KeyError, match=key):
        TrainingReport.unpack(RecordDict(records))


@pytest.mark.parametrize("key", ["loss", "num-examples", "loss-charbonnier"])
def test_a_list_is_no_number(key):
    records = REPORT.pack()
    records[keys.METRICS] = MetricRecord({**records[keys.METRICS], key: [1.0, 2.0]})
    with pytest.raises(TypeError, match=f"^'{key}' must be a number, got list$"):
        TrainingReport.unpack(RecordDict(records))


@pytest.mark.parametrize(("value", "error"), [(math.nan, ValueError), (math.inf, OverflowError)])
def test_examples_that_cannot_be_counted(value, error):
    records = REPORT.pack()
    records[keys.METRICS] = MetricRecord({**records[keys.METRICS], keys.NUM_EXAMPLES: value})
    with pytest.raises(error):
        TrainingReport.unpack(RecordDict(records))
