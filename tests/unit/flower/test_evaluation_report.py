"""Promises: sums over clips cross the wire unchanged, and nothing that makes no sense is read."""

import math

import pytest

from fedvsr_core.flower import keys
from fedvsr_core.flower.evaluation_report import EvaluationReport
from fedvsr_core.metrics.average import Mean

METRICS = ("psnr-y", "lpips")
SUMS = {
    whose: {"psnr-y": Mean(61.5, 2, 1, 1), "lpips": Mean(0.75, 3, 0, 0)} for whose in ("model", "bicubic")
}


def report(**changes):
    facts = {"client": "north", "clips": 3, "frames": 90, "sums": SUMS, "seconds": 1.5, "code": "abc"}
    return EvaluationReport(**{**facts, **changes})


def test_a_report_survives_the_wire():
    assert EvaluationReport.unpack(report().pack(), METRICS) == report()
    none = report(clips=0, frames=0, sums={})
    assert EvaluationReport.unpack(none.pack(), METRICS) == none


def test_only_sums_leave_the_site():
    content = report().pack()
    assert set(content) == {keys.METRICS, keys.ABOUT}
    assert set(content[keys.ABOUT]) == {keys.CLIENT, keys.CODE}
    assert len(content[keys.METRICS]) == 3 + 2 * 2 * 4


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("num-clips", -1, ValueError),
        ("num-clips", 1.5, ValueError),
        ("seconds", math.nan, TypeError),
        ("model-psnr-y-sum", math.inf, TypeError),
        ("bicubic-lpips-count", -3, ValueError),
        ("bicubic-lpips-count", [1, 2], TypeError),
        ("model-lpips-left-out", None, KeyError),
    ],
)
def test_nonsense_is_not_read(key, value, error):
    content = report().pack()
    numbers = content[keys.METRICS]
    assert key in numbers
    del numbers[key]
    if value is not None:
        numbers[key] = value
    with pytest.raises(error):
        EvaluationReport.unpack(content, METRICS)
