"""Promises: a run of secure rounds is reported by its sums, and names no client's loss."""

import pytest

from server_app.records.history import MEAN, client_series, loss_parts, reports
from server_app.records.lines import check_line
from server_app.records.secure import secure
from server_app.tracking.numbers import numbers_of


def stage(name, answered=4):
    return {"stage": name, "asked": 4, "answered": answered, "seconds": 2.0, "bytes-down": 8, "bytes-up": 4e6}


def line(number, **facts):
    sums = {
        "clients": 4.0,
        "loss": 0.2,
        "loss-charbonnier": 0.16,
        "loss-high-frequency": 0.04,
        "num-examples": 90.0,
        "num-steps": 40.0,
        "seconds": 80.0,
    }
    return {
        "phase": "train",
        "round": number,
        "seconds": 5.0,
        "clients": [{"client": f"c{k}"} for k in range(4)],
        "refused": [],
        "kept-model": False,
        "secure": {"stages": [stage("keys"), stage("vector", 3)], "least": 3, "sums": sums, **facts},
    }


@pytest.fixture
def lines():
    void = line(2, void="3 clients must be left after the stage 'vector', got 2")
    return [line(1, bits=21, **{"word-bits": 32}), {**void, "clients": [], "kept-model": True}]


def test_its_means_stand_for_the_clients(lines):
    [row] = reports(lines[0])
    assert (row["client"], row["loss"], row["seconds"]) == (MEAN, pytest.approx(0.05), 20.0)
    assert client_series(lines, "loss") == {MEAN: pytest.approx({1: 0.05, 2: 0.05})}
    assert client_series(lines, "weight") == {}
    assert loss_parts(lines)["high-frequency"] == {MEAN: pytest.approx({1: 0.01, 2: 0.01})}
    assert numbers_of(lines[0])["loss/mean"] == pytest.approx(0.05)


def test_the_summary_has_its_stages(lines, tmp_path):
    text = "\n".join(secure(lines))
    assert "1 of 2 rounds came to a sum, 1 were void." in text
    assert "Bits after the point: 21 of 32." in text
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in text.splitlines() if row[:1] == "|"]
    assert rows[-2:] == [["keys", "2.0", "1.000", "0"], ["vector", "2.0", "1.333", "2"]]
    assert secure([{**lines[0], "secure": None}][:0]) == []


def test_the_lines_are_checked(lines):
    check_line(lines[0])
    lines[0]["secure"]["sums"]["clients"] = 0
    with pytest.raises(ValueError, match="its sums are of no client"):
        check_line(lines[0])
