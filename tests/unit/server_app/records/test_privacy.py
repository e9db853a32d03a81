"""The summary tells what was promised: figures where they hold, plain words where they don't."""

import pytest

from server_app.records.privacy import privacy


def section(lines):
    return "\n".join(privacy(lines))


def test_no_privacy_no_section(journal):
    assert section(journal) == ""


@pytest.fixture
def local(journal):
    for line in journal:
        for one in line.get("clients", ()) if line["phase"] == "train" else ():
            if one["client"] == "partition-1":
                one |= {"epsilon": 1.0, "delta": 1e-5, "loss": "nan"}
    return journal


def test_every_round_that_a_site_was_asked_in_counts(local):
    # partition-1 was let in once and refused twice; its noise is 3.73 times the distance; 1.835 by
    # dp-accounting 0.6.0, as in test_gaussian_mechanism
    assert "| partition-1 | 1 | 3 | 1.83 | 1e-05 |" in section(local)
    assert "partition-0" not in section(local)


def test_a_resumed_run_may_have_repeated_a_round(local):
    assert "| partition-1 | 1 | 4 |" in section([*local, {**local[0], "resumed-after": 3}])


def central(journal, **facts):
    lines = [line for line in journal if line["phase"] == "train"]
    return [{**line, "refused": [], "clipping-norm": 1.0, **facts} for line in lines]


def test_central_noise(journal):
    # A noise multiplier of 2 * 4.8448, for which the PLD accountant of dp-accounting has 1.37, too
    said = section(central(journal, **{"noise-multiplier": 2 * 4.8448}))
    assert "The 3 rounds together: epsilon **1.37** at a delta of 1e-05." in said
    assert "losses" in said


def test_little_noise_promises_nothing(journal):
    assert "promises nothing" in section(central(journal, **{"noise-multiplier": 0.01}))
    assert "promises nothing" in section(central(journal, **{"noise-multiplier": 0.0}))


def test_where_no_figure_holds_there_is_none(journal):
    refused = central(journal, **{"noise-multiplier": 10.0})
    refused[1]["refused"] = [{"client": "partition-1", "code": "timeout", "reason": "late"}]
    assert "epsilon" not in section(refused)
    assert "**no figure**" in section(refused)
