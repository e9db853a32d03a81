"""Promises: the noise of an honest private site passes, as far as the run's settings say, and no further."""

import numpy as np
import pytest

from fedvsr_core.flower.arrays import record_from_arrays
from fedvsr_core.settings import Privacy
from server_app.norms import Norms
from server_app.private_norm import private_norm
from server_app.screening import Screen
from tests.unit.server_app.sites import Received
from tests.unit.server_app.test_screening import LIMITS

PRIVACY = Privacy(epsilon=None, delta=1e-5, clipping_norm=0.1, least_epsilon=1.0)


def test_by_hand():
    # sigma = 2 * 0.1 * 3.730632 = 0.7461263; 0.1 + 0.7461263 * (sqrt(100) + 6) = 12.03802
    arrays = {"a": np.zeros((9, 11)), "b": np.zeros(())}
    assert private_norm(PRIVACY, arrays) == pytest.approx(12.03802, rel=1e-6)


def test_a_run_that_expects_no_noise_lets_none_through():
    assert private_norm(Privacy(), {"a": np.zeros(9)}) == 0


def test_a_run_that_asks_for_noise_expects_it():
    assert private_norm(Privacy(epsilon=1.0), {"a": np.zeros(9)}) > 0
    with pytest.raises(ValueError, match=r"least_epsilon is that of the most private site, and at most"):
        Privacy(epsilon=1.0, least_epsilon=8.0)
    stricter = private_norm(Privacy(epsilon=1.0, least_epsilon=0.5), {"a": np.zeros(9)})
    assert stricter > 1.5 * private_norm(Privacy(epsilon=1.0), {"a": np.zeros(9)})


@pytest.fixture
def screened(make_sites):
    """Judges the replies of four sites, of which the first has moved by normal noise."""

    def read(deviation, **report):
        sites = make_sites(4)
        noise = np.random.default_rng(3)
        moved = {
            name: np.asarray(array + deviation * noise.standard_normal(array.shape), array.dtype)
            for name, array in sites.model.items()
        }
        first = sites.reply(0, arrays=record_from_arrays(moved), **report)
        others = [sites.reply(k) for k in (1, 2, 3)]
        updates = Received(sites, [first, *others]).all().updates
        limit = private_norm(PRIVACY, sites.model)
        return Screen(LIMITS, sites.model, norms={"arrays": Norms()}, private_norm=limit).judge(updates)

    return read


def test_an_honest_private_site_passes(screened):
    withheld = {"epsilon": 1.0, "delta": 1e-5, "loss": float("nan"), "parts": {"charbonnier": float("nan")}}
    result = screened(0.746, **withheld)
    assert [update.client for update in result.updates] == ["c0", "c1", "c2", "c3"]
    assert "shortened" not in result.facts["c0"]


def test_the_same_without_a_word_of_privacy_is_refused(screened):
    (refusal,) = screened(0.746).refused
    assert (refusal.client, refusal.code) == ("c0", "norm")
    assert "least_epsilon" not in refusal.reason


@pytest.mark.parametrize("epsilon", [1.0, 1e-9])
def test_what_a_reply_claims_cannot_raise_the_bound(screened, epsilon):
    (refusal,) = screened(10.0, epsilon=epsilon, delta=1e-5).refused
    assert (refusal.client, refusal.code) == ("c0", "norm")
    assert "its site adds more noise than privacy.least_epsilon lets through" in refusal.reason
