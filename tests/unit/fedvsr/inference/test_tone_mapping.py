"""Promises: grey stays grey, black black, paper nearly white, and what is brighter stays apart from it."""

import numpy as np
import pytest

from fedvsr.inference.tone_mapping import tone_mapped
from fedvsr_core.data.containers import HLG, PQ


def grey(*values):
    return np.repeat(np.rint(np.array(values) * 65535).astype(np.uint16)[None, :, None], 3, axis=-1)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_grey_stays_grey_and_in_order(transfer):
    mapped = tone_mapped(grey(*np.linspace(0, 1, 50)), transfer)[0].astype(int)
    assert np.ptp(mapped, axis=-1).max() <= 40  # of 65535
    assert (np.diff(mapped[:, 0]) >= 0).all()
    assert mapped[0].max() == 0


def test_values_by_hand():
    # PQ codes 100 cd/m2 as 0.508078: 100 / 203 of white, below the knee, so 0.4926 ** (1 / 2.4) = 0.7445.
    # White itself, 0.580689, is above: 1 - 0.25 * exp(-1) = 0.9080, and 0.9080 ** (1 / 2.4) = 0.9606.
    mapped = tone_mapped(grey(0.508078, 0.580689), PQ)[0, :, 0] / 65535
    np.testing.assert_allclose(mapped, [0.7445, 0.9606], atol=5e-4)
    # HLG has white at 0.75: (exp((0.75 - c) / a) + b) / 12 = 0.2650 of the scene; 1000 * 0.2650 ** 1.2 = 203.
    np.testing.assert_allclose(tone_mapped(grey(0.75), HLG)[0, 0, 0] / 65535, 0.9606, atol=1e-3)


def test_the_red_of_bt709_stays_red():
    # BT.709's red in BT.2020 is (0.6274, 0.0691, 0.0164) of light; a tenth of white isn't rolled off.
    light = np.array([0.6274, 0.0691, 0.0164]) * 0.1 * 203 / 10000
    power = light**0.1593017578125
    code = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    mapped = tone_mapped(np.rint(code * 65535).astype(np.uint16)[None, None], PQ)[0, 0] / 65535
    np.testing.assert_allclose(mapped, [0.1 ** (1 / 2.4), 0, 0], atol=0.03)
