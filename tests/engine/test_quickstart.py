"""The first command of the README: real video, as configured, and a model that is better than bicubic."""

import pytest


@pytest.mark.slow
def test_the_quickstart_beats_bicubic_on_every_held_out_clip(federation, app):
    run = federation.submit(app, overrides="", federation="num-supernodes=2", experiment="").finish(
        limit_s=1200
    )
    final = run.lines("evaluate")[-1]
    assert final["round"] == 8
    assert final["psnr-y"] - final["bicubic"]["psnr-y"] > 0.3
    assert len(final["clips"]) == 3
    for name, scores in final["clips"].items():
        assert scores["psnr-y"] > final["bicubic"]["clips"][name]["psnr-y"], name
        assert scores["ssim-y"] > final["bicubic"]["clips"][name]["ssim-y"], name
