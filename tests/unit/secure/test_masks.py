"""Promises: masks cancel, look like chance, and two clients agree on one that nobody else can make."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from scipy.stats import chisquare

from fedvsr_core.errors import SecureError
from fedvsr_core.secure.agreement import agreed_key, public_of
from fedvsr_core.secure.masks import add_mask, add_scalar_masks, derive_key
from fedvsr_core.secure.secret_sharing import join, split

ONE, OTHER = bytes(range(32)), bytes(range(100, 132))
LONG = 200_001  # words: more than a block, and not a multiple of one


@pytest.mark.parametrize("dtype", ["<u4", "<u8"])
def test_what_is_added_can_be_subtracted(dtype):
    words = np.arange(LONG).astype(dtype)
    add_mask(words, ONE, 1)
    counts = np.bincount(words.view(np.uint8), minlength=256)
    assert chisquare(counts).pvalue > 1e-6
    add_mask(words, ONE, -1)
    np.testing.assert_array_equal(words, np.arange(LONG).astype(dtype))


def test_the_stream_is_that_of_aes():
    words = np.zeros(LONG, "<u4")
    add_mask(words, ONE, 1)
    encryptor = Cipher(algorithms.AES(ONE), modes.CTR(bytes(16))).encryptor()
    assert words.tobytes() == encryptor.update(bytes(4 * LONG))


def test_scalars_are_masked_likewise():
    masked = add_scalar_masks([5, 7], ONE, 1)
    assert masked != [5, 7]
    assert add_scalar_masks(masked, ONE, -1) == [5, 7]


def test_two_agree_for_one_purpose():
    here = agreed_key(ONE, public_of(OTHER), b"vector")
    assert here == agreed_key(OTHER, public_of(ONE), b"vector")
    assert here != agreed_key(OTHER, public_of(ONE), b"scalars")
    assert derive_key(ONE, b"ab", b"c") != derive_key(ONE, b"a", b"bc")
    with pytest.raises(SecureError, match="must be one of X25519"):
        agreed_key(ONE, bytes(31), b"vector")
    with pytest.raises(SecureError, match="must be one of X25519"):
        agreed_key(ONE, bytes(32), b"vector")  # of small order: everyone would know the secret


def test_a_threshold_of_shares_tells_a_secret():
    shares = dict(enumerate(split(ONE, 3, 5), start=1))
    for missing in (1, 5):
        assert join({holder: shares[holder] for holder in shares if holder != missing}, 3) == ONE
    assert join({1: shares[1], 4: shares[4]}, 3) != ONE
