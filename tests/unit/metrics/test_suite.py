"""Promises: several metrics at once, frame by frame, to the values that each has by itself."""

import cv2
import numpy as np
import pytest
import torch

from fedvsr_core.errors import ConfigurationError, MissingToolError
from fedvsr_core.metrics.backbones import VARIABLES
from fedvsr_core.metrics.names import METRICS
from fedvsr_core.metrics.psnr import psnr
from fedvsr_core.metrics.ssim import ssim
from fedvsr_core.metrics.suite import Suite
from fedvsr_core.metrics.temporal import tlp, tof, warping_error
from fedvsr_core.metrics.vmaf import vmaf

CPU = torch.device("cpu")


def run(suite, output, target, step):
    with suite.clip(fps=30) as scorer:
        for start in range(0, len(output), step):
            scorer.add(output[start : start + step], target[start : start + step])
        return scorer.values()


@pytest.mark.parametrize("step", [1, 3, 100])
def test_a_stream_equals_the_whole(golden_clip, step):
    output, target, _, _ = golden_clip
    output, target = output[:5], target[:5]
    names = ["psnr-y", "psnr-rgb", "ssim-y", "ssim-rgb", "tof", "warping", "vmaf"]
    found = run(Suite(names, border=4, device=CPU), output, target, step)
    expected = {
        "tof": tof(output, target),
        "warping": 1000 * warping_error(output, target)[0],
        "warping-truth": 1000 * warping_error(output, target)[1],
        "vmaf": vmaf(output, target).per_frame,
        **{f"psnr-{one}": psnr(output, target, channel=one, border=4) for one in ("y", "rgb")},
        **{f"ssim-{one}": ssim(output, target, channel=one, border=4) for one in ("y", "rgb")},
    }
    assert found.keys() == expected.keys() <= METRICS.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_lpips_and_tlp_in_a_stream(golden_clip, lpips, backbone, monkeypatch):
    if backbone:
        monkeypatch.setenv(VARIABLES["alex"], str(backbone))
    output, target = golden_clip[0][:3], golden_clip[1][:3]
    found = run(Suite(["tlp", "lpips"], border=0, device=CPU), output, target, 1)
    np.testing.assert_allclose(found["lpips"], lpips(output, target), atol=1e-6)
    np.testing.assert_allclose(found["tlp"], tlp(output, target, lpips), atol=1e-4)


def test_one_frame_has_no_pairs():
    frame = np.zeros((1, 48, 48, 3), np.uint8)
    found = run(Suite(["tof", "ssim-y", "warping"], border=0, device=CPU), frame, frame, 1)
    assert {name: values.shape for name, values in found.items()} == {
        "ssim-y": (1,), "tof": (0,), "warping": (0,), "warping-truth": (0,),
    }  # fmt: skip


def test_what_is_missing_shows_at_once(nowhere):
    for name in ("lpips", "lpips-vgg", "tlp"):
        with pytest.raises(MissingToolError, match="needs torchvision's ImageNet weights"):
            Suite(["psnr-y", name], border=0, device=CPU)
    with pytest.raises(ConfigurationError, match="metric 'vmafs' is unknown; did you mean 'vmaf'"):
        Suite(["vmafs"], border=0, device=CPU)


def test_only_what_is_asked_for_is_loaded(nowhere, monkeypatch):
    def absent():
        raise MissingToolError("VMAF needs the package imageio-ffmpeg")

    monkeypatch.setattr("fedvsr_core.metrics.measure.find_ffmpeg", absent)
    suite = Suite(["psnr-y", "tof", "warping"], border=0, device=CPU)
    assert suite.made_by == dict.fromkeys(("tof", "warping"), f"Farneback's flow of OpenCV {cv2.__version__}")
    with pytest.raises(MissingToolError, match="VMAF needs"):
        Suite(["psnr-y", "vmaf"], border=0, device=CPU)
