"""Promises: what doesn't fit into memory waits on disk, the same to the bit, and nothing is left there."""

import numpy as np
import pytest

from fedvsr_core.errors import StorageError
from server_app.spool import Spool
from tests.unit.server_app.sites import Received


@pytest.fixture
def updates(sites):
    return Received(sites, [sites.reply(k) for k in range(3)]).all().updates


def test_beyond_its_memory_arrays_wait_on_disk(updates, sites, tmp_path):
    size = sum(array.nbytes for array in sites.model.values())
    folder = tmp_path / "updates"
    with Spool(folder, memory=size) as spool:
        kept = [spool.keep(update) for update in updates]
        assert kept[0] == updates[0]
        assert [path.stat().st_size for path in sorted(folder.iterdir())] == [size, size]
        for k, update in enumerate(kept):
            assert update.client == f"c{k}"
            assert list(update.arrays) == list(sites.model)
            for name, array in sites.arrays(k).items():
                np.testing.assert_array_equal(update.arrays[name], array)
                assert update.arrays[name].dtype == array.dtype
            assert (
                update.arrays.part("conv.weight", 5, 9).tolist()
                == sites.arrays(k)["conv.weight"].ravel()[5:9].tolist()
            )
            np.testing.assert_array_equal(update.record()["conv.bias"].numpy(), sites.arrays(k)["conv.bias"])
    assert not folder.exists()


def test_what_a_killed_process_left_is_removed(updates, tmp_path):
    folder = tmp_path / "updates"
    folder.mkdir()
    (folder / "1").write_bytes(b"old")
    with Spool(folder):
        assert not folder.exists()


def test_a_full_disk_is_one_sentence(updates, tmp_path):
    (tmp_path / "file").touch()
    with (
        Spool(tmp_path / "file" / "updates", memory=0) as spool,
        pytest.raises(StorageError, match="can't be written"),
    ):
        spool.keep(updates[0])
