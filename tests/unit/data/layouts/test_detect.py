"""Promises: every layout is recognised by what lies there, splits as published, refuses what isn't whole."""

import numpy as np
import pytest

from fedvsr_core.data.clips import ALL
from fedvsr_core.data.degradation import Bicubic, GaussianBlur, bd12
from fedvsr_core.data.layouts.benchmark import Benchmark
from fedvsr_core.data.layouts.detect import Folders, Split, detect
from fedvsr_core.data.layouts.kinetics import Kinetics
from fedvsr_core.data.layouts.reds import REDS4, Reds
from fedvsr_core.data.layouts.videos import Videos
from fedvsr_core.data.layouts.vimeo90k import Vimeo90K
from fedvsr_core.data.store import ClipStore
from fedvsr_core.data.synthetic import Synthetic
from fedvsr_core.errors import DataError

KINDS = {
    "reds": Reds,
    "vid4": Benchmark,
    "spmcs": Benchmark,
    "udm10": Benchmark,
    "vimeo90k": Vimeo90K,
    "kinetics": Kinetics,
    "videos": Videos,
    "store": ClipStore,
}


def names(shots):
    return [shot.name for shot in shots]


@pytest.mark.parametrize("name", KINDS)
def test_what_lies_there_is_recognised(fake, name):
    assert set(KINDS) <= set(fake.names)
    assert type(detect(str(fake(name)), scale=4)) is KINDS[name]


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"there is no folder '.*none'"):
        detect(str(tmp_path / "none"), scale=4)


def test_reds4_is_never_trained_on(fake):
    reds = Reds(folder=str(fake("reds")), scale=4)
    assert names(reds.train()) == ["001", "002"]
    assert names(reds.held_out()) == ["000", "011"]
    assert not set(names(reds.train())) & REDS4
    leaking = Reds(folder=str(reds.folder), scale=4)
    leaking._open = lambda entries: reds.held_out()  # whatever it is that goes wrong one day
    with pytest.raises(DataError, match="clips 000, 011 of REDS4 must not be trained on"):
        leaking.train()


def test_low_frames_of_reds_are_used_where_they_are_those_that_are_wanted(fake):
    shot = Reds(folder=str(fake("reds")), scale=4).train()[0]
    assert shot.degraded(Bicubic(4)).low[ALL].shape == (100, 4, 6, 3)
    assert (shot.degraded(Bicubic(4)).low[ALL] == 2).all()  # what the fake brings for clip 1
    np.testing.assert_array_equal(
        shot.degraded(GaussianBlur(12, 4)).low[0:2, :, :], bd12(shot.high[0:2, :, :])
    )
    assert Reds(folder=str(fake("videos").with_name("reds")), scale=2).train()[0].low is None


def test_reds_in_the_folder_that_the_archives_make(fake):
    folder = fake("reds")
    (folder / "train").mkdir()
    for part in ("train_sharp", "train_sharp_bicubic"):
        (folder / part).rename(folder / "train" / part)
    assert names(detect(str(folder), scale=4).train()) == ["001", "002"]


def test_all_defects_of_a_published_set_at_once(fake):
    folder = fake("reds")
    (folder / "train_sharp" / "001" / "00000007.png").unlink()
    (folder / "train_sharp_bicubic" / "X4" / "002" / "00000099.png").unlink()
    with pytest.raises(DataError) as caught:
        Reds(folder=str(folder), scale=4).train()
    assert "2 clips of" in str(caught.value)
    assert "clip '001' has 99 frames" in str(caught.value)
    assert "published set has 100; extract it anew" in str(caught.value)
    assert "clip '002' has 100 high-resolution frames, but 99 low-resolution ones" in str(caught.value)


def test_low_frames_of_another_size_are_refused(fake):
    reds = Reds(folder=str(fake("reds")), scale=4)
    (reds.folder / "train_sharp_bicubic" / "X4").rename(reds.folder / "train_sharp_bicubic" / "X2")
    with pytest.raises(
        DataError, match=r"clip '001' is 24x16, .* must be 12x8 for scale 2, but those .* are 6x4"
    ):
        Reds(folder=str(reds.folder), scale=2).train()


def test_benchmarks_in_both_arrangements(fake):
    vid4 = Benchmark(folder=str(fake("vid4")), low="BDx4", clips={"calendar": 41, "walk": 47}, scale=4)
    assert vid4.train() == []
    assert {shot.name: shot.frames for shot in vid4.held_out()} == {"calendar": 41, "walk": 47}
    spmcs = Benchmark(folder=str(fake("spmcs")), low="input4", clips=None, scale=4).held_out()
    assert names(spmcs) == ["car05_001", "hdclub_003"]
    assert [shot.low.shape for shot in spmcs] == [(7, 6, 8, 3)] * 2
    with pytest.raises(DataError, match="expected the clips rooftop in"):
        Benchmark(folder=str(vid4.folder), low=None, clips={"rooftop": 3}, scale=4).held_out()


def test_vimeo_is_split_by_its_lists(fake):
    vimeo = detect(str(fake("vimeo90k")), scale=4)
    assert names(vimeo.train()) == ["00001/0001", "00001/0002"]
    assert names(vimeo.held_out()) == ["00002/0001"]
    assert vimeo.train()[0].high[ALL].shape == (7, 256, 448, 3)
    (vimeo.folder / "sep_testlist.txt").write_text("00001/0002\n")
    with pytest.raises(DataError, match=r"1 clips are on both lists .* such as '00001/0002'"):
        vimeo.train()
    (vimeo.folder / "sep_testlist.txt").unlink()
    with pytest.raises(DataError, match=r"expected the list '.*sep_testlist.txt' of Vimeo-90K"):
        vimeo.train()


def kinetics(folder, **changed):
    settings = {"annotations": None, "labels": None, "clips_per_label": None, "max_frames": 5, "fps": None}
    return Kinetics(folder=str(folder), scale=4, **settings | changed)


def test_kinetics_takes_labels_from_folders_or_from_the_list(fake, tmp_path):
    folder = fake("kinetics")
    assert {(shot.label, shot.frames) for shot in kinetics(folder).train()} == {
        ("abseiling", 5),
        ("zumba", 5),
    }
    assert len(kinetics(folder, clips_per_label=1).train()) == 2
    assert {shot.label for shot in kinetics(folder, labels=1).train()} == {"abseiling"}
    # Frames at 0, 80, ... ms: every second one is 6.25 a second.
    assert {shot.frames for shot in kinetics(folder, fps=6.25).train()} == {4}
    listed = tmp_path / "list.csv"
    listed.write_text("label,youtube_id,time_start,time_end,split\nbowling,abcdefghij1,10,20,train\n")
    assert {shot.label for shot in kinetics(folder, annotations=str(listed)).train()} == {"bowling"}
    listed.write_text("name\nx\n")
    with pytest.raises(DataError, match=r"'.*list.csv' can't be read as the list of Kinetics"):
        kinetics(folder, annotations=str(listed)).train()


def test_held_out_clips_of_another_folder(fake):
    videos, vid4, reds = (str(fake(name)) for name in ("videos", "vid4", "reds"))
    other = {"folder": videos, "max_frames": 3, "scale": 4}
    assert Folders(**other, held_out_folder=None).held_out() == []
    assert names(Folders(**other, held_out_folder=vid4).held_out()) == ["calendar", "city", "foliage", "walk"]
    assert names(Folders(**other, held_out_folder=reds).held_out()) == ["000", "011"]
    others = Folders(**other | {"folder": vid4}, held_out_folder=videos).held_out()
    assert [shot.frames for shot in others] == [3] * 4
    assert {shot.frames for shot in Folders(**other, held_out_folder=None).train()} == {3}
    made = Synthetic(scale=4, clips=1, held_out_clips=1, frames=2, height=4, width=4, seed=0)
    assert names(Split(to_train=made, held_out_folder=None, max_frames=None, scale=4).held_out()) == [
        "synthetic/held-out-001"
    ]


def test_nobody_trains_on_what_is_scored(fake, tmp_path):
    videos = fake("videos")
    (tmp_path / "link").symlink_to(videos)
    for held_out in (videos, tmp_path, tmp_path / "link", videos / "inside"):
        folders = Folders(folder=str(videos), held_out_folder=str(held_out), max_frames=None, scale=4)
        for clips in (folders.train, folders.held_out):
            with pytest.raises(
                DataError, match=r"must lie apart from the folder to train on, got .*move one"
            ):
                clips()
