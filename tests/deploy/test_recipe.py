"""Promises: what deploy/README.md says, done as it says, trains a model on separate machines."""

import cv2
import pytest

from server_app.records.journal import read_journal
from tests.deploy.conftest import FRAMES
from tests.deploy.recipe import steps, unmarked

pytestmark = pytest.mark.slow
WINDOW = 5


@pytest.fixture(scope="module")
def run_dir(installation):
    (found,) = (installation.server.srv / "fedvsr/runs").iterdir()
    return found


def test_every_block_says_where_it_runs():
    assert len(steps()) == 9
    assert unmarked() == 0


def test_both_sites_train_on_their_own_videos(run_dir):
    lines = [line for line in read_journal(run_dir / "journal.jsonl") if line["phase"] == "train"]
    examples = {name: sum(frames - WINDOW + 1 for frames in lengths) for name, lengths in FRAMES.items()}
    assert [line["round"] for line in lines] == [1, 2]
    for line in lines:
        assert {row["client"]: row["examples"] for row in line["clients"]} == examples
        assert line["refused"] == []


def test_the_checkpoint_upscales_a_video(installation):
    video = cv2.VideoCapture(str(installation.server.srv / "out.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert (video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (320, 256)
