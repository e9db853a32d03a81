"""From high dynamic range to the standard one: what is as bright as paper stays, highlights are rolled off.

Source: ITU-R BT.2100-2 (PQ, HLG), BT.2408 (white at 203 cd/m2), BT.2087 (primaries), BT.1886 (gamma 2.4).
"""

import functools

import numpy as np
import numpy.typing as npt

from fedvsr_core.data.containers import PQ

_WHITE = 203.0
"""Brightness of white paper in cd/m2."""
_PEAK = 1000.0
"""Brightness that HLG is made for, in cd/m2."""
_KNEE = 0.75
"""Where the roll-off begins, of white."""
_FROM_2020 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]],
    np.float32,
)
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)


def tone_mapped(frame: npt.NDArray[np.uint16], transfer: int) -> npt.NDArray[np.uint16]:
    """Map a frame to BT.709.

    Args:
        frame: (H, W, 3), RGB with the primaries of BT.2020, 65535 is the largest value.
        transfer: 16 (PQ) or 18 (HLG), as in H.273.

    Returns:
        (H, W, 3), RGB with the primaries of BT.709 and a gamma of 2.4.
    """
    linear = _linear(transfer)[frame]
    if transfer != PQ:  # HLG is of the scene: the display's gamma of 1.2 makes it light
        linear *= _PEAK / _WHITE * np.maximum(linear @ _LUMA_2020, 1e-6)[..., None] ** 0.2
    linear = np.maximum(linear @ _FROM_2020.T, 0)
    brightest = np.maximum(linear.max(axis=-1, keepdims=True), 1e-6)
    above = np.maximum(brightest - _KNEE, 0) / (1 - _KNEE)
    mapped = np.where(brightest > _KNEE, 1 - (1 - _KNEE) * np.exp(-above), brightest)
    return np.asarray(np.rint((linear * (mapped / brightest)) ** (1 / 2.4) * 65535), np.uint16)


@functools.cache
def _linear(transfer: int) -> npt.NDArray[np.float32]:
    """Light of each 16-bit value: of the display over white for PQ, of the scene for HLG."""
    value = np.arange(65536) / 65535
    if transfer == PQ:
        power = value ** (1 / 78.84375)
        light = (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
        return (light * 10000 / _WHITE).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(value <= 0.5, value**2 / 3, (np.exp((value - c) / a) + b) / 12).astype(np.float32)
