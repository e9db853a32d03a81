"""Promises: what doesn't fit into memory waits on disk, the same to the bit, and nothing is left there."""

import numpy as np
import pytest

from fedvsr_core.errors import StorageError
from server_app.aggregation.values import InFile
from server_app.spool import Spool
from tests.unit.server_app.sites import Received


@pytest.fixture
def updates(sites):
    return Received(sites, [sites.reply(k) for k in range(3)]).all().updates


def test_beyond_its_memory_arrays_wait_on_disk(updates, sites, tmp_path):
    size = sum(array.nbytes for array in sites.model.values())
    spool = Spool(tmp_path, memory=size)
    kept = [spool.keep(update) for update in updates]
    assert kept[0] == updates[0]
    for k, update in enumerate(kept):
        assert isinstance(update.arrays, InFile) == (k > 0)
        assert update.client == f"c{k}"
        assert list(update.arrays) == list(sites.model)
        for name, array in sites.arrays(k).items():
            np.testing.assert_array_equal(update.arrays[name], array)
            assert update.arrays[name].dtype == array.dtype
        part = sites.arrays(k)["conv.weight"].ravel()[5:9]
        assert update.arrays.part("conv.weight", 5, 9).tolist() == part.tolist()
        np.testing.assert_array_equal(update.record()["conv.bias"].numpy(), sites.arrays(k)["conv.bias"])
    assert list(tmp_path.iterdir()) == []  # a killed process leaves nothing


def test_a_disk_that_takes_nothing_is_one_sentence(updates, tmp_path):
    with pytest.raises(StorageError, match="can't be written"):
        Spool(tmp_path / "missing", memory=0).keep(updates[0])
