"""Promises: Charbonnier on PyWavelets' details, for any size, wavelet and level, with the exact gradient."""

import sys
import warnings

import numpy as np
import pytest
import pywt
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvsr_core.errors import ConfigurationError, MissingToolError, ShapeError
from fedvsr_core.losses import haar_charbonnier
from fedvsr_core.losses.detail_bands import HaarBands, PtwtBands, PytorchWaveletsBands
from fedvsr_core.losses.high_frequency import HighFrequencyLoss

SHAPES = st.tuples(st.integers(1, 2), *[st.integers(1, 9)] * 4)
LIBRARIES = ["ptwt", "pytorch-wavelets"]
OTHERS = ["db2", "sym5", "coif1", "bior2.2", "rbio3.1"]
RELATIVE = {torch.float64: 1e-12, torch.float32: 1e-6}
FLOOR = 1e-9**0.5


def clips(shape, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype) for _ in range(2)]


def by_pywavelets(output, target, wavelet="haar", levels=1, eps=1e-9):
    """All detail coefficients of the difference, in space only if there is one frame."""
    difference = (output.double() - target.double()).numpy()
    axes = (1, 3, 4) if difference.shape[1] > 1 else (3, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that all coefficients feel the edges
        bands = pywt.wavedecn(difference, wavelet, mode="symmetric", level=levels, axes=axes)[1:]
    coefficients = np.concatenate([band.ravel() for level in bands for band in level.values()])
    return np.sqrt(coefficients**2 + eps).mean()


def test_by_hand():
    # One 2 x 2 x 2 block with difference 1 at one place: all eight coefficients are 1 / sqrt(8) in magnitude.
    output = torch.zeros(1, 2, 1, 2, 2)
    output[0, 0, 0, 0, 0] = 1
    assert HighFrequencyLoss(eps=1e-12)(output, torch.zeros_like(output)).item() == pytest.approx(8**-0.5)


def test_a_constant_difference_has_no_detail():
    output = torch.full((1, 3, 2, 5, 7), 0.25)
    assert HighFrequencyLoss()(output, torch.zeros_like(output)).item() == pytest.approx(FLOOR, rel=1e-6)


def test_one_frame_is_transformed_in_space():
    # [[a, b], [c, d]] = [[1, 0], [0, 0]]: three details of 1/2
    output = torch.zeros(1, 1, 1, 2, 2)
    output[..., 0, 0] = 1
    assert HighFrequencyLoss(eps=1e-12)(output, torch.zeros_like(output)).item() == pytest.approx(0.5)


@settings(deadline=None, max_examples=60)
@given(shape=SHAPES, levels=st.integers(1, 3), dtype=st.sampled_from(list(RELATIVE)), seed=st.integers(0, 9))
def test_haar_agrees_with_pywavelets(shape, levels, dtype, seed):
    output, target = clips(shape, dtype, seed)
    loss = HighFrequencyLoss(levels=levels)(output, target)
    assert loss.dtype == dtype
    assert loss.item() == pytest.approx(by_pywavelets(output, target, levels=levels), rel=RELATIVE[dtype])


@pytest.mark.parametrize("shape", [(1, 1, 1, 1, 1), (2, 5, 1, 9, 8), (1, 4, 2, 7, 16)], ids=str)
@pytest.mark.parametrize("wavelet", OTHERS)
@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("library", LIBRARIES)
def test_other_wavelets_agree_with_pywavelets(shape, wavelet, levels, library):
    output, target = clips(shape)
    loss = HighFrequencyLoss(wavelet, levels, library=library)(output, target)
    assert loss.item() == pytest.approx(by_pywavelets(output, target, wavelet, levels), rel=1e-12)


@pytest.mark.parametrize("library", LIBRARIES)
def test_wavelets_of_every_family(library):
    names = pywt.wavelist(kind="discrete")[::7]
    assert {"bior", "coif", "db", "rbio", "sym"} <= {name.rstrip("0123456789.") for name in names}
    output, target = clips((1, 3, 1, 4, 5))
    for name in names:
        found = HighFrequencyLoss(name, library=library)(output, target).item()
        assert found == pytest.approx(by_pywavelets(output, target, name), rel=1e-9), name


@pytest.mark.parametrize("shape", [(1, 2, 1, 4, 2), (1, 3, 2, 3, 1), (2, 1, 1, 3, 2)], ids=str)
@pytest.mark.parametrize(("wavelet", "levels"), [("haar", 1), ("haar", 2), ("db2", 1), ("bior2.2", 2)])
@pytest.mark.parametrize("library", LIBRARIES)
def test_gradient(shape, wavelet, levels, library):
    output, target = (clip.requires_grad_() for clip in clips(shape))
    loss = HighFrequencyLoss(wavelet, levels, eps=1e-3, library=library)
    assert isinstance(loss.bands, (HaarBands, PtwtBands if library == "ptwt" else PytorchWaveletsBands))
    assert torch.autograd.gradcheck(loss, (output, target))


@settings(deadline=None, max_examples=40)
@given(shape=SHAPES, levels=st.integers(1, 3), cached=st.sampled_from([1, 60, 1 << 19]))
def test_the_fast_haar_path_is_the_plain_one(shape, levels, cached):
    output, target = (clip.requires_grad_() for clip in clips(shape))
    plain, fast = HighFrequencyLoss(levels=levels), HighFrequencyLoss(levels=levels)
    plain.is_haar = False
    assert isinstance(plain.bands, HaarBands)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(haar_charbonnier, "CACHED", cached)
        quick = fast(output, target)
    slow = plain(output, target)
    torch.testing.assert_close(quick, slow, rtol=1e-12, atol=0)
    for one, other in zip(
        *(torch.autograd.grad(loss, (output, target)) for loss in (quick, slow)), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-15)


def test_small_detail_on_a_large_offset():
    # The low band is 1000 times the details: what is subtracted must not be what was just added.
    output, target = clips((1, 4, 3, 32, 32))
    output, target = (output * 1e-3 + 0.5).float(), torch.zeros(1, 4, 3, 32, 32)
    found = HighFrequencyLoss()(output, target).item()
    assert found == pytest.approx(by_pywavelets(output, target), rel=1e-6)


def test_layouts_don_t_matter():
    output, target = clips((2, 4, 3, 6, 8), torch.float32)
    expected = HighFrequencyLoss()(output, target)
    permuted = output.permute(0, 2, 1, 4, 3).contiguous().permute(0, 2, 1, 4, 3).requires_grad_()
    found = HighFrequencyLoss()(permuted, target)
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    assert permuted.grad.shape == output.shape


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    output, target = clips((1, 4, 3, 8, 8), dtype)
    output.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = HighFrequencyLoss()(output, target.float())
    loss.backward()
    assert loss.dtype == torch.float32
    assert output.grad.dtype == dtype
    assert loss.item() == pytest.approx(by_pywavelets(output.detach(), target), rel=1e-6)
    assert HighFrequencyLoss()(output, output).item() == pytest.approx(FLOOR, rel=1e-6)


@pytest.mark.parametrize(("wavelet", "library"), [("haar", "ptwt"), *(("db2", name) for name in LIBRARIES)])
def test_compiles_into_one_graph(wavelet, library):
    output, target = clips((1, 3, 2, 5, 6), torch.float32)
    output.requires_grad_()
    loss = HighFrequencyLoss(wavelet, library=library)
    eager = torch.autograd.grad(loss(output, target), output)[0]
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    torch.testing.assert_close(torch.autograd.grad(compiled(output, target), output)[0], eager)


def test_memory_stays_below_twice_the_difference():
    output, target = clips((1, 8, 3, 128, 128), torch.float32)
    output.requires_grad_()
    loss = HighFrequencyLoss()
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        loss(output, target).backward()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = np.cumsum([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())])
    assert len(events) > 10
    size = output.numel() * output.element_size()
    assert size < held.max() < 2.01 * size


@pytest.mark.parametrize(
    ("output", "target"),
    [((1, 2, 3, 4), (1, 2, 3, 4)), ((1, 2, 3, 4, 4), (1, 2, 3, 4, 5)), ((1, 0, 3, 4, 4), (1, 0, 3, 4, 4))],
    ids=["four axes", "unequal", "empty"],
)
def test_refuses_shapes(output, target):
    with pytest.raises(ShapeError, match="clips of one shape"):
        HighFrequencyLoss()(torch.zeros(output), torch.zeros(target))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"levels": 0}, "levels must be at least 1 and eps > 0, got 0"),
        ({"eps": 0.0}, "got 1 and 0.0"),
        ({"eps": float("nan")}, "got 1 and nan"),
        ({"wavelet": "morl"}, "discrete one of PyWavelets, such as 'db2', got 'morl'"),
        ({"wavelet": "haarr"}, "got 'haarr'"),
        ({"wavelet": "haarr", "library": "pytorch-wavelets"}, "got 'haarr'"),
        ({"library": "pywt"}, "library must be one of ptwt, pytorch-wavelets, got 'pywt'"),
    ],
)
def test_refuses_arguments(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        HighFrequencyLoss(**arguments)


@pytest.mark.parametrize(
    ("library", "install"),
    [("ptwt", "'fedvsr[wavelets]'"), ("pytorch-wavelets", "pytorch-wavelets==1.3.0 'setuptools<81'")],
)
def test_tells_what_to_install(monkeypatch, library, install):
    monkeypatch.setitem(sys.modules, library.replace("-", "_"), None)
    with pytest.raises(MissingToolError) as refused:
        HighFrequencyLoss("db2", library=library)
    assert str(refused.value).startswith(f"wavelet 'db2' needs {library} (")
    assert str(refused.value).endswith(f"; pip install {install}, or use 'haar'")
    HighFrequencyLoss(library=library)  # Haar needs nothing


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
def test_second_derivatives_are_right_or_refused(wavelet):
    # The derivative of (d/dx (x^2 + 1000 loss))^2: wrong if the gradient of the loss counts as a constant.
    output, target = clips((1, 2, 1, 2, 2))
    loss = HighFrequencyLoss(wavelet, eps=1e-3)

    def squared_gradient(x):
        value = (x * x).sum() + 1000 * loss(x, target)
        (gradient,) = torch.autograd.grad(value, x, create_graph=True)
        return gradient.square().sum()

    output.requires_grad_()
    if wavelet == "haar":
        with pytest.raises(RuntimeError, match="the high-frequency loss has a first derivative only"):
            squared_gradient(output)
    else:
        assert torch.autograd.gradcheck(squared_gradient, output)
