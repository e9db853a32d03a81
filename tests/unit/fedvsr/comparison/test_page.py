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


def made(crops, **options):
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
        reference="fedavg",
        facts=[("clients", 2)],
        command="fedvsr compare --strategies fedavg",
        crops=crops,
        **options,
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
    assert (centralised["colour"], bicubic["colour"]) == ("--c1", "--soft")  # dashed both, and told apart
    assert centralised["y"][-1] == 30.0
    assert bicubic["y"] == [28.0] * 5
    # A round sends 2000 bytes; bounds have no line there, since they send nothing.
    cost = data["charts"][2]
    assert [line["name"] for line in cost["lines"]] == ["fedavg"]
    assert cost["x"] == [0.0, 0.002, 0.004, 0.006, 0.008]
    # Over the seeds: both have sent as much when they stand at 28.4 and at 29.2 dB.
    assert (cost["lines"][0]["low"][-1], cost["lines"][0]["high"][-1]) == (28.4, 29.2)
    assert data["crops"] is None


def test_differences_have_their_intervals_beside_the_tables():
    text, data = made({}, tuning=(["strategy", "lr=1"], [["fedavg", "**29.1**"]]), about_bounds="*local* is.")
    (row,) = data["intervals"][0]["rows"]
    # Seeds 0 and 1: 30 - 28.4 and 30 - 29.2, mean 1.2, deviation 0.8 / sqrt(2), half width 12.71 * 0.4.
    assert row["text"] == "+1.200 [-3.884, +6.284]"
    assert (row["low"], row["mean"], row["high"]) == (-3.884, 1.2, 6.284)
    assert row["colour"] == "--c1"
    assert data["intervals"][0]["title"] == "PSNR-Y (dB) (higher is better)"
    assert "<strong>29.1</strong>" in text
    assert "<strong>28.800 ± 0.1</strong>" in text
    assert " local is." in text
    assert "Only one strategy has a result." in text


def test_while_runs_are_still_to_come_the_page_says_so_and_can_be_loaded_again():
    text, _ = made({}, left=3)
    assert "Only one strategy has a result; 3 runs are still to come." in text
    assert 'id="reload"' in text
    assert 'id="reload"' not in made({})[0]


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
    # The whole frame's score: one pixel of 160 x 200 differs. Of equal frames there is none to say.
    scores = [kind["pictures"][0]["scores"] for kind in data["crops"]["kinds"]]
    assert [bool(each[0]) for each in scores] == [False, False, True, False]
    assert scores[2][0].startswith("PSNR-Y ")
