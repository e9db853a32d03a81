"""Promises: a client scores the model on held-out clips of its own, and tells sums."""

import pytest
import torch
from flwr.app import ConfigRecord, Message, MessageType, RecordDict

from client_app.app import app
from client_app.held_out import own_held_out
from client_app.local_data import local_shots
from fedvsr.inference.frame_writer import Output, Timing, open_writer
from fedvsr_core.components import build
from fedvsr_core.errors import ConfigurationError, DataError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import to_record
from fedvsr_core.flower.evaluation_report import EvaluationReport
from server_app.config import compose

CPU = torch.device("cpu")


def frames(settings):
    return list(build(settings.data).train()[0].clip().high)


@pytest.fixture
def site(settings, tmp_path):
    """Folders of frames of one site: to train on, and held out."""
    for name in ("train", "held-out/one", "held-out/two"):
        folder = tmp_path / name
        folder.parent.mkdir(exist_ok=True)
        with open_writer(Output(folder, Timing.constant(25))) as writer:
            for frame in frames(settings):
                writer.write(frame)
    return tmp_path


def ask(settings, context):
    torch.manual_seed(0)
    content = {
        keys.ARRAYS: to_record(build(settings.model).state_dict()),
        keys.CONFIG: ConfigRecord({keys.SERVER_ROUND: 1, keys.SETTINGS: settings.model_dump_json()}),
    }
    reply = app(Message(RecordDict(content), 7, MessageType.EVALUATE), context)
    return EvaluationReport.unpack(reply.content, ("psnr-y", "ssim-y", "psnr-rgb", "ssim-rgb"))


def test_a_clip_of_the_simulation_belongs_to_one_client(context):
    settings = compose(
        {"data": "synthetic", "overrides": "data.held_out_clips=3 data.frames=2 data.height=8 data.width=8"}
    ).for_clients()
    counts = [
        own.clips if (own := own_held_out(settings, {"partition-id": i, "num-partitions": 4}, CPU)) else 0
        for i in range(4)
    ]
    assert counts == [1, 1, 1, 0]


def test_a_client_with_a_camera_has_all_clips_by_its_own(settings):
    overrides = "partition=by_degradation data.held_out_clips=2 data.frames=2 data.height=32 data.width=32"
    seen = compose({"data": "synthetic", "overrides": overrides}).for_clients()
    lows = [
        [clip.low for clip in own_held_out(seen, {"partition-id": i, "num-partitions": 2}, CPU)._clips]
        for i in range(2)
    ]
    assert [len(clips) for clips in lows] == [2, 2]
    for one, other in zip(*lows, strict=True):
        assert (one != other).any()


@pytest.mark.parametrize(("parts", "clips"), [("[]", 3), ("[1]", 1), ("[0,2]", 2)])
def test_one_client_in_the_place_of_several(parts, clips):
    overrides = (
        f"pool.clients=3 pool.parts={parts} data.clips=3 data.held_out_clips=3 data.frames=2 data.height=8"
        " data.width=8 partition.min_frames=1 partition.min_size=8"
    )
    pooled = compose({"data": "synthetic", "overrides": overrides}).for_clients()
    alone = {"partition-id": 0, "num-partitions": 1}
    several = compose({"data": "synthetic", "overrides": overrides[overrides.index("data.") :]})
    whole = [
        shot.name
        for part in ([0, 1, 2] if parts == "[]" else [int(one) for one in parts[1:-1].split(",")])
        for shot in local_shots(several.for_clients(), {"partition-id": part, "num-partitions": 3})
    ]
    assert [shot.name for shot in local_shots(pooled, alone)] == whole
    assert len(whole) == clips == own_held_out(pooled, alone, CPU).clips
    with pytest.raises(ConfigurationError, match=r"lets one client stand for 3, but there are 2"):
        local_shots(pooled, {"partition-id": 0, "num-partitions": 2})


def test_a_client_scores_on_the_low_frames_that_the_server_means(settings):
    own = own_held_out(settings, {"partition-id": 0, "num-partitions": 1}, CPU)
    assert (settings.protocol["low"], own.protocol.low) == (None, "bi")
    other = settings.model_copy(update={"names": {**settings.names, "degradation": "bd12"}})
    protocol = {**settings.protocol, "low": "bi"}
    with pytest.raises(ConfigurationError, match="defined on low-resolution frames 'bi', got 'bd12'"):
        own_held_out(
            other.model_copy(update={"protocol": protocol}), {"partition-id": 0, "num-partitions": 1}, CPU
        )


def test_sums_of_a_client(settings, context):
    first = ask(settings, context(partition_id=0, num_partitions=2))
    assert (first.client, first.clips, first.frames) == ("partition-0", 1, 4)
    assert first.sums["model"]["psnr-y"].count == 1
    assert first.sums["model"]["psnr-y"].value == pytest.approx(
        first.sums["bicubic"]["psnr-y"].value, abs=0.1
    )
    second = ask(settings, context(partition_id=1, num_partitions=2))
    assert (second.clips, second.frames, second.sums) == (0, 0, {})


def test_a_sites_own_folder(settings, context, site):
    held_out = {"data_dir": str(site / "train"), "held_out_dir": str(site / "held-out"), "site": "north"}
    report = ask(settings, context(**held_out))
    assert (report.client, report.clips, report.frames) == ("north", 2, 8)
    without = ask(settings, context(data_dir=str(site / "train"), site="north"))
    assert without.clips == 0


@pytest.mark.parametrize(
    ("train", "held_out"), [("train", "train/../train/"), (".", "held-out"), ("held-out/one", "held-out")]
)
def test_what_is_trained_on_is_not_held_out(settings, site, train, held_out):
    node = {"data-dir": f"{site}/{train}", "held-out-dir": f"{site}/{held_out}"}
    for use in (lambda: own_held_out(settings, node, CPU), lambda: local_shots(settings, node)):
        with pytest.raises(DataError, match="the held-out folder must lie apart from the folder to train on"):
            use()


def test_a_site_takes_few_frames_of_held_out_videos(settings, site, monkeypatch):
    monkeypatch.setattr("client_app.local_data._MAX_FRAMES", 3)
    node = {"data-dir": str(site / "train"), "held-out-dir": str(site / "held-out"), "site": "few"}
    assert own_held_out(settings, node, CPU).frames == 2 * 3
