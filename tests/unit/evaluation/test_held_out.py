"""Promises: a model's scores on held-out clips are those of each metric on each clip, beside bicubic's."""

import numpy as np
import pytest
import torch

from fedvsr_core.components import build
from fedvsr_core.data.degradation import bicubic_down, bicubic_up
from fedvsr_core.errors import ConfigurationError, DataError, MissingToolError
from fedvsr_core.evaluation.held_out import build_held_out, protocol_of
from fedvsr_core.metrics import vmaf
from fedvsr_core.metrics.psnr import psnr
from fedvsr_core.metrics.ssim import ssim
from server_app.config import compose

TINY = (
    "evaluation.chunk=4 model.width=4 model.blocks=1"
    " data.held_out_clips=2 data.frames=6 data.height=12 data.width=14"
)


@pytest.fixture
def composed():
    def compose_with(overrides=""):
        return compose({"data": "synthetic", "overrides": f"{TINY} {overrides}"})

    return compose_with


@pytest.fixture
def held_out():
    def make(settings):
        return build_held_out(settings, build(settings.data).held_out(), torch.device("cpu"))

    return make


def test_bicubic_by_itself(composed, held_out):
    settings = composed()
    one = held_out(settings)
    clips = [shot.clip() for shot in build(settings.data).held_out()]
    assert (one.clips, one.frames) == (2, 12)
    for clip in clips:
        output = bicubic_up(bicubic_down(clip.high))
        expected = {
            f"{name}-{channel}": metric(output, clip.high, channel=channel).mean()
            for name, metric in (("psnr", psnr), ("ssim", ssim))
            for channel in ("y", "rgb")
        }
        assert one.bicubic["clips"][clip.name] == pytest.approx(expected)
    for name in ("psnr-y", "ssim-rgb"):
        assert one.bicubic[name] == pytest.approx(
            np.mean([scores[name] for scores in one.bicubic["clips"].values()])
        )


def test_an_untrained_model_and_sums(composed, held_out):
    torch.manual_seed(0)
    settings = composed("protocol=vid4-y evaluation.metrics=[tof]")
    one, model = held_out(settings), build(settings.model)
    scores, sums = one.score(model), one.sums(model)
    assert set(scores) == {"psnr-y", "ssim-y", "tof", "clips"}
    assert scores["psnr-y"] == pytest.approx(one.bicubic["psnr-y"], abs=0.1)
    assert sums["model"]["tof"].value == pytest.approx(scores["tof"])
    assert sums["bicubic"]["psnr-y"].value == pytest.approx(one.bicubic["psnr-y"])
    assert sums["model"]["psnr-y"].count == 2
    assert len(one.samples(model)) == 2
    headline = one.score(model, headline_only=True)
    assert headline["psnr-y"] == scores["psnr-y"]
    assert headline["clips"] == {
        clip: {"psnr-y": of_clip["psnr-y"]} for clip, of_clip in scores["clips"].items()
    }


def test_the_border_and_the_frames_of_the_protocol_count(composed, held_out):
    settings = composed("protocol=vid4-y protocol.border=8 protocol.skip=2")
    clip = build(settings.data).held_out()[0].clip()
    output = bicubic_up(bicubic_down(clip.high))
    expected = psnr(output[2:4], clip.high[2:4], channel="y", border=8).mean()
    assert held_out(settings).bicubic["clips"][clip.name]["psnr-y"] == pytest.approx(expected)


def test_what_is_missing_shows_before_anything_is_decoded(composed, held_out, monkeypatch):
    def absent():
        raise MissingToolError("VMAF needs the package imageio-ffmpeg")

    monkeypatch.setattr("fedvsr_core.metrics.measure.find_ffmpeg", absent)
    with pytest.raises(MissingToolError, match="VMAF needs"):
        held_out(composed("evaluation.metrics=[vmaf]"))
    assert vmaf.find_ffmpeg()


def test_refuses(composed, held_out):
    with pytest.raises(DataError, match="expected held-out clips to score the model on, got none"):
        held_out(composed("data.held_out_clips=0"))
    with pytest.raises(ConfigurationError, match="metric 'psnr-x' is unknown"):
        held_out(composed("evaluation.metrics=[psnr-x]"))
    settings = composed()
    with pytest.raises(ConfigurationError, match="protocol must be a Protocol, got Bicubic"):
        protocol_of(settings.model_copy(update={"protocol": settings.degradation}))
