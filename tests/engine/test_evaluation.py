"""Scores on the clients' own clips, through the engine: the mean of all clips, as on the server."""

import pytest


@pytest.mark.slow
def test_clients_score_the_model_on_clips_of_their_own(federation, app):
    run = federation.submit(app, overrides="rounds=1 evaluation.clients=1 data.held_out_clips=5").finish()
    central, own = run.lines("evaluate"), run.lines("evaluate-clients")
    assert [line["round"] for line in own] == [line["round"] for line in central] == [0, 1]
    for ours, theirs in zip(central, own, strict=True):
        assert theirs["refused"] == []
        assert [row["clips"] for row in theirs["clients"]] == [2, 1, 1, 1]
        for metric in ("psnr-y", "ssim-y", "psnr-rgb", "ssim-rgb"):
            assert theirs[metric] == pytest.approx(ours[metric], rel=1e-6)
    assert "exact mean over 5 clips of 4 clients" in run.dir.summary.read_text()
