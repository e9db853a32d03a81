"""Promises: VMAF equals that of separate files through libvmaf, with lengths that can't come apart."""

import os

import numpy as np
import pytest

from fedvsr_core.errors import MissingToolError, ShapeError
from fedvsr_core.metrics import vmaf as module
from fedvsr_core.metrics.vmaf import find_ffmpeg, open_vmaf, vmaf


@pytest.fixture
def clip():
    return np.random.default_rng(0).integers(0, 256, (3, 20, 24, 3), dtype=np.uint8)


@pytest.mark.compared("vmaf")
def test_equals_golden(golden_clip):
    output, target, _, expected = golden_clip
    golden, found = expected["vmaf"], vmaf(output, target)
    tolerance = 1e-3 if found.libvmaf == golden["libvmaf_version"] else 0.3
    np.testing.assert_allclose(found.per_frame, golden["per_frame"], atol=tolerance, rtol=0)
    assert found.mean == pytest.approx(golden["pooled"]["vmaf"]["mean"], abs=tolerance)
    assert found.harmonic_mean == pytest.approx(golden["pooled"]["vmaf"]["harmonic_mean"], abs=tolerance)
    assert vmaf(target, output).mean == pytest.approx(golden["swapped_inputs_mean"], abs=tolerance)
    neg = vmaf(output, target, model="vmaf_v0.6.1neg")
    assert neg.mean == pytest.approx(golden["vmaf_v0.6.1neg_mean"], abs=tolerance)
    assert (neg.model, found.model) == ("vmaf_v0.6.1neg", "vmaf_v0.6.1")


def test_a_perfect_copy_is_not_a_hundred(golden_clip):
    _, target, _, expected = golden_clip
    found = vmaf(target, target, fps=30)
    np.testing.assert_allclose(found.per_frame, expected["vmaf"]["self_per_frame"], atol=0.3)
    assert found.per_frame[0] == pytest.approx(97.428, abs=0.3)
    assert vmaf(target[:1], target[:1]).per_frame.shape == (1,)


def test_odd_sizes_and_one_frame_at_a_time(clip):
    odd = clip[:, :19, :23]
    with open_vmaf() as scorer:
        for frame in odd:
            scorer.add(frame, frame)
        found = scorer.result()
    np.testing.assert_array_equal(found.per_frame, vmaf(odd, odd).per_frame)
    assert found.libvmaf
    assert found.ffmpeg


@pytest.mark.parametrize(
    ("output", "target", "message"),
    [
        (slice(0, 3), slice(0, 2), "must both have shape"),
        (0, 0, r"VMAF compares clips \(T, H, W, 3\), got \(20, 24, 3\)"),
        ((..., slice(0, 16), slice(None), slice(None)),) * 2 + ("at least 17x17 pixels, got 24x16",),
    ],
    ids=["lengths", "frame", "small"],
)
def test_refuses(clip, output, target, message):
    with pytest.raises(ShapeError, match=message):
        vmaf(clip[output], clip[target])


def test_refuses_in_a_stream(clip):
    with pytest.raises(ShapeError, match="needs at least one frame, got none"), open_vmaf() as scorer:
        scorer.result()
    with open_vmaf() as scorer:
        scorer.add(clip[0], clip[0])
        with pytest.raises(ShapeError, match="one size, got 20x20 after 24x20"):
            scorer.add(clip[0, :, :20], clip[0, :, :20])
    with pytest.raises(ShapeError, match=r"model must be one of vmaf_v0\.6\.1, .* got 'vmaf'"):
        vmaf(clip, clip, model="vmaf")


@pytest.fixture
def another_ffmpeg(tmp_path, monkeypatch):
    """Makes the ffmpeg that imageio-ffmpeg finds a script."""

    def make(script):
        program = tmp_path / "ffmpeg"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))
        find_ffmpeg.cache_clear()
        return program

    yield make
    monkeypatch.undo()
    find_ffmpeg.cache_clear()
    assert "imageio" in os.path.abspath(find_ffmpeg())


def test_an_ffmpeg_without_libvmaf_is_refused(another_ffmpeg, clip):
    program = another_ffmpeg("echo ' .. scale '")
    with pytest.raises(MissingToolError, match=rf"'{program}' has no libvmaf; .*fedvsr\[metrics\]"):
        vmaf(clip, clip)


def test_its_own_words_when_it_fails(another_ffmpeg, clip):
    another_ffmpeg('case "$*" in *filters*) echo " .. libvmaf ";; *) echo "no such model" >&2; exit 1;; esac')
    with pytest.raises(MissingToolError, match="libvmaf failed: no such model; "):
        vmaf(clip, clip)


def test_without_the_package_it_says_how_to_install_it(monkeypatch, clip):
    def absent(name):
        raise ModuleNotFoundError(f"No module named '{name}'")

    find_ffmpeg.cache_clear()
    monkeypatch.setattr(module.importlib, "import_module", absent)
    with pytest.raises(MissingToolError, match=r'imageio-ffmpeg; .* pip install "fedvsr\[metrics\]"'):
        vmaf(clip, clip)
