"""The summary tells a person what ran, how well, what went wrong and what to do next."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from server_app.records.run_dir import RunDir
from server_app.records.summary import ROWS, summary

Lines = list[dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir.create(str(tmp_path / "my runs"), ["fedvsr", "recurrent"])
    for path in (run.journal, run.psnr_plot, run.checkpoints / "best.safetensors"):
        path.touch()
    (run.checkpoints / "round-0003.safetensors").touch()
    return run


def rows(text: str, section: str) -> list[list[str]]:
    part = text.split(f"## {section}\n")[1].split("\n## ")[0]
    table = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in table if row[0].strip() != "---"]


def test_what_ran(journal: Lines, run: RunDir) -> None:
    text = summary(journal, run)
    assert text.startswith(
        "# fedvsr recurrent: 3 rounds\n\nOutcome: **completed**. Training and evaluation took 19 s."
    )
    facts = dict(row for row in rows(text, "What ran") if row[0])
    assert facts["Command"] == "`flwr run . --stream`"
    assert facts["Versions"] == "torch 2.6.0, flwr 1.41.0"
    assert (facts["Seed"], facts["Clients"]) == ("0", "2")


def test_scores_by_hand(journal: Lines, run: RunDir) -> None:
    text = summary(journal, run)
    assert "The final model's mean PSNR-Y against bicubic: **+0.375** dB." in text
    table = rows(text, "Scores on held-out video")
    assert table[1:4] == [
        ["bicubic", "", "28.000", "0.8000", "26.500", "0.7500"],
        ["best (round 2)", "+0.500", "28.500", "0.8000", "27.000", "0.7500"],
        ["final (round 3)", "+0.375", "28.375", "0.8000", "26.875", "0.7500"],
    ]
    assert table[5] == ["bikes/138-186", "+0.375", "24.000", "24.375"]


def test_rounds_between_that_have_the_headline_alone(headline_between: Lines, run: RunDir) -> None:
    text = summary(headline_between, run)
    header, *table = rows(text, "Scores on held-out video")
    assert header[2:] == ["PSNR-Y (dB)", "SSIM-Y", "PSNR-RGB (dB)", "SSIM-RGB", "tOF (pixels)"]
    assert table[:3] == [
        ["bicubic", "", "28.000", "0.8000", "26.500", "0.7500", ""],
        ["best (round 2)", "+0.500", "28.500", "", "", "", ""],
        ["final (round 3)", "+0.375", "28.375", "0.8000", "26.875", "0.7500", "0.2500"],
    ]
    killed = summary(headline_between[:6], run)  # after round 2
    assert rows(killed, "Scores on held-out video")[3][:4] == ["final (round 2)", "+0.500", "28.500", ""]
    assert rows(text, "Rounds")[2][:3] == ["1", "28.250", "+0.250"]


def test_rounds_by_hand(journal: Lines, run: RunDir) -> None:
    table = rows(summary(journal, run), "Rounds")
    assert table[1] == ["0", "28.000", "+0.000", "", "", "", "", "", ""]
    assert table[2] == ["1", "28.250", "+0.250", "0.03000", "2", "0", "0.0125", "0.500", "5.0"]
    assert table[4] == ["3", "28.375", "+0.375", "0.02000", "1", "1", "0.0125", "0.500", "5.0"]


def test_a_round_that_kept_the_model_says_so(journal: Lines, run: RunDir) -> None:
    journal[4] |= {"clients": [], "kept-model": True, "hellinger": None, "mixing": None}
    assert rows(summary(journal, run), "Rounds")[3][3:8] == ["", "0 (model kept)", "1", "", ""]


def test_long_runs_are_condensed(journal: Lines, run: RunDir) -> None:
    long = [journal[0], journal[1]]
    for number in range(1, 201):
        gain = 9.0 if number == 117 else 0.0
        long += [{**journal[2], "round": number}, {**journal[3], "round": number, "psnr-y": 28.0 + gain}]
    text = summary(long, run)
    numbers = [int(row[0]) for row in rows(text, "Rounds")[1:]]
    assert numbers == sorted(set(numbers))
    assert {0, 117, 200} <= set(numbers)
    assert ROWS <= len(numbers) <= ROWS + 1
    assert f"{len(numbers)} of 201 rounds" in text
    assert len(rows(summary(long[:60], run), "Rounds")) == 31  # a header and rounds 0 to 29


def test_refusals_name_the_client(journal: Lines, run: RunDir) -> None:
    text = summary(journal, run)
    assert "Refused in most rounds, look at these sites first: **partition-1**." in text
    reason = "'fuse.weight' holds 3 values that aren't finite"
    assert rows(text, "Replies left out")[1:] == [["partition-1", "non-finite", "2", "2-3", reason]]


def test_a_clean_run_has_no_refusals(journal: Lines, run: RunDir) -> None:
    for line in journal:
        if line["phase"] == "train":
            line["refused"] = []
    assert "Replies left out" not in summary(journal, run)


def test_only_files_that_exist_are_listed(journal: Lines, run: RunDir) -> None:
    files = [row[0] for row in rows(summary(journal, run), "Files")[1:]]
    assert files == [
        "`journal.jsonl`",
        "`psnr.png`",
        "`checkpoints/best.safetensors`",
        "`checkpoints/round-0003.safetensors`",
    ]


def test_the_commands_can_be_pasted(journal: Lines, run: RunDir) -> None:
    ended = [line for line in journal if line["phase"] != "end"]
    upscale, resume = re.findall(r"```bash\n(.*)\n```", summary(ended, run))
    assert shlex.split(upscale)[-1] == str(run.checkpoints / "best.safetensors")
    assert shlex.split(resume) == ["fedvsr", "run", "--resume", str(run.path)]
    assert "--resume" not in summary([*ended, {"phase": "end", "round": 3, "outcome": "completed"}], run)


def test_a_killed_run_is_not_called_completed(journal: Lines, run: RunDir) -> None:
    resumed = {**journal[0], "resumed-after": 3}
    text = summary([*journal, resumed, {**journal[6], "round": 4}], run)
    assert text.startswith(
        "# fedvsr recurrent: 4 rounds\n\nOutcome: **no end on record: running or killed**."
    )
    assert ["Resumed after round", "3"] in rows(text, "What ran")


def test_a_run_that_never_started_a_round_has_a_summary(journal: Lines, run: RunDir) -> None:
    text = summary([journal[0], {"phase": "end", "seconds": 1.0, "outcome": "2 nodes | were missing"}], run)
    assert "Outcome: **2 nodes | were missing**" in text
    assert "No round was scored." in text
    assert "## Rounds" not in text


def test_models_that_were_given_up(journal: Lines, run: RunDir) -> None:
    assert "Models given up" not in summary(journal, run)
    line = {"phase": "roll-back", "round": 3, "to": 2, "fell": 20.61, "against": ["north", "south"]}
    assert rows(summary([*journal, line], run), "Models given up")[1:] == [
        ["3", "2", "20.61", "north, south"]
    ]
