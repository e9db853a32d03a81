"""Promises: a comparison's page has its tables, a line a row with bounds, and crops where models differ."""

import json
import re

import numpy as np

from fedvsr.comparison.page import comparison_page
from server_app.records.crops import most_different
from tests.pages import HOSTILE, evaluation, long_journal


def journal(gain):
    lines = long_journal(4, 2)
    return [
        evaluation(line["round"], gain * line["round"]) if line["phase"] == "evaluate" else line
        for line in lines
    ]


def made(crops):
    results = {
        "fedavg": {0: [journal(0.1)], 1: [journal(0.3)]},
        "centralised": {0: [journal(0.5)], 1: [journal(0.5)]},
    }
    scores = (
        ["strategy", "seeds", "PSNR-Y (dB)"],
        [["fedavg", "2", "**28.800 ± 0.1**"], [HOSTILE[0], "2", "30"]],
    )
    content = comparison_page(
        results,
        metrics=["psnr-y", "ssim-y"],
        scores=scores,
        own=None,
        overhead=(["strategy", "MB"], [["fedavg", "1"]]),
        facts=[("clients", 2)],
        command="fedvsr compare --strategies fedavg",
        crops=crops,
    ).decode()
    return content, json.loads(re.search(r'id="data">(.*?)</script>', content, re.S)[1])


def test_lines_are_means_over_seeds_in_bands_with_bounds():
    text, data = made({})
    assert "28.800 ± 0.1" in text
    assert HOSTILE[0] not in text
    fedavg, centralised, bicubic = data["charts"][0]["lines"]
    # Round 4: seeds at 28 + 0.4 and 28 + 1.2 dB.
    assert (fedavg["low"][-1], fedavg["y"][-1], fedavg["high"][-1]) == (28.4, 28.8, 29.2)
    assert centralised["reference"]
    assert centralised["y"][-1] == 30.0
    assert bicubic["y"] == [28.0] * 5
    # A round sends 2000 bytes; bounds have no line there, since they send nothing.
    cost = data["charts"][2]
    assert [line["name"] for line in cost["lines"]] == ["fedavg"]
    assert cost["x"] == [0.0, 0.002, 0.004, 0.006, 0.008]
    assert data["crops"] is None


def test_crops_lie_where_the_models_differ():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 256, (160, 200, 3), dtype=np.uint8)
    other = truth.copy()
    other[150, 190] = 255 - other[150, 190]  # they differ in one pixel near the lower right corner
    assert most_different([truth, other], 128) == (23, 63)
    frames = {"bicubic": truth, "fedavg": truth, "fedvsr": other, "ground truth": truth}
    _, data = made({"clip": frames})
    assert [kind["name"] for kind in data["crops"]["kinds"]] == [
        "bicubic",
        "fedavg",
        "fedvsr",
        "ground truth",
    ]
    assert (data["crops"]["left"], data["crops"]["right"]) == (1, 2)
