"""Promises: shots begin where a person sees them, and near duplicates are dropped."""

import numpy as np

from fedvsr.data.shot_changes import NearDuplicates, ShotChanges


def test_shot_changes_of_the_sample_film(sample_film):
    changes = ShotChanges(threshold=27)
    found = [number for number, frame in enumerate(sample_film) if changes.begins(frame)]
    assert found == [30, 76, 137, 187, 242]  # as a person sees them


def test_near_duplicates_count_from_the_last_that_was_kept():
    drift = [np.full((8, 8, 3), 10 * number, np.uint8) for number in range(5)]
    duplicates = NearDuplicates(threshold=15)
    assert [duplicates.drops(frame) for frame in drift] == [False, True, False, True, False]
    keeps_all = NearDuplicates(threshold=0)
    assert not any(keeps_all.drops(drift[0]) for _ in range(3))
