"""Promises: crops of evenly spread rounds are kept, the newest one moves, and none of it holds up a run."""

import logging

import numpy as np
from PIL import Image

from server_app.page.pictures import MOST_BYTES, crops_of
from server_app.records.crop_series import CropSeries, rounds_of, side_by_side
from server_app.records.run_dir import RunDir
from tests.pages import clip, draw_crops


def test_which_rounds_stay(tmp_path):
    run = RunDir(tmp_path)
    draw_crops(run, range(41))
    # Of 40 rounds every fourth stays, and the newest.
    assert list(rounds_of(run.crop_series)) == [*range(0, 41, 4)]


def test_a_resumed_run_drops_the_crops_of_later_rounds(tmp_path):
    run = RunDir(tmp_path)
    draw_crops(run, range(7))
    draw_crops(run, (3, 4))
    assert list(rounds_of(run.crop_series)) == [0, 1, 2, 3, 4]


def test_the_sizes_of_the_pictures(tmp_path):
    run = RunDir(tmp_path)
    draw_crops(run, (0, 1), clips=2)
    sizes = {path.name: Image.open(path).size for path in run.crop_series.glob("*.webp")}
    # 128 pixels, two clips below each other, twelve frames beside each other.
    moving, still = (12 * 128, 2 * 128), (128, 2 * 128)
    assert sizes == {
        "truth.webp": moving, "bicubic.webp": moving, "newest.webp": moving,
        "round-00000.webp": still, "round-00001.webp": still,
    }  # fmt: skip
    assert side_by_side(run.crop_series, 1).shape == (256, 3 * 128, 3)
    assert side_by_side(run.crop_series, 5) is None


def test_a_round_that_was_not_seen_whole_is_left_out(tmp_path):
    series = CropSeries(tmp_path / "crops", [clip("a", 0)], 4)
    series.see("a", 3, np.zeros((128, 160, 3), np.uint8))
    series.keep(1)
    assert rounds_of(tmp_path / "crops") == {}


def test_a_full_disk_ends_no_run(tmp_path, caplog):
    (tmp_path / "crops").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        draw_crops(RunDir(tmp_path), (0,))
    assert "the crops of round 0 can't be written" in caplog.text


def test_pictures_without_room_lose_their_motion_first(tmp_path, monkeypatch):
    run = RunDir(tmp_path)
    draw_crops(run, range(6))
    assert crops_of(run.crop_series, [])["frames"] == 12
    monkeypatch.setattr("server_app.page.pictures.MOST_BYTES", 1000)
    assert MOST_BYTES > 1000
    crops = crops_of(run.crop_series, [])
    assert crops["frames"] == 1
    assert [picture["round"] for picture in crops["kinds"][1]["pictures"]] == [0, 5]
