"""Plots show the journal's numbers, of one round as of a hundred, of two clients as of forty."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from server_app.records import plots
from server_app.records.plots import plot_losses, plot_psnr, plot_weights

Lines = list[dict[str, Any]]
Plot = Callable[[Sequence[dict[str, Any]], Path], None]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures as they were when they were written."""
    drawn: list[Figure] = []
    write = plots.write_figure

    def watch(figure: Figure, path: Path) -> None:
        drawn.append(figure)
        write(figure, path)

    monkeypatch.setattr(plots, "write_figure", watch)
    return drawn


def curves(axes: Axes) -> dict[str, tuple[list[float], list[float]]]:
    return {str(one.get_label()): (list(one.get_xdata()), list(one.get_ydata())) for one in axes.lines}


def many(rounds: int, clients: int, clips: int) -> Lines:
    generator = np.random.default_rng(0)
    lines: Lines = []
    for number in range(1, rounds + 1):
        took_part = [index for index in range(clients) if (index + number) % 5 or index == 0]
        losses = generator.uniform(0.02, 0.04, len(took_part))
        reports = [
            {
                "client": f"site-{index}",
                "loss": loss,
                "parts": {"charbonnier": loss},
                "weight": 1 / len(took_part),
            }
            for index, loss in zip(took_part, losses, strict=True)
        ]
        scores = {f"clip-{index}": {"psnr-y": 30 + generator.uniform()} for index in range(clips)}
        bicubic = {"psnr-y": 30.0, "clips": {name: {"psnr-y": 30.0} for name in scores}}
        lines += [
            {"phase": "train", "round": number, "clients": reports, "refused": []},
            {"phase": "evaluate", "round": number, "psnr-y": 30.5, "clips": scores, "bicubic": bicubic},
        ]
    return lines


def test_a_metric_that_rounds_between_lack(
    headline_between: Lines, tmp_path: Path, figures: list[Figure]
) -> None:
    plot_psnr(headline_between, tmp_path / "psnr.png")
    plot_psnr(headline_between[:6], tmp_path / "killed.png")
    above, below, tof = figures[0].axes
    assert curves(above)["federated model"] == ([0, 1, 2, 3], [28.0, 28.25, 28.5, 28.375])
    assert curves(below)["mean of the clips"][0] == [0, 1, 2, 3]
    assert curves(tof)["federated model"] == ([0, 3], [0.5, 0.25])
    assert curves(figures[1].axes[2])["federated model"] == ([0], [0.5])


def test_psnr_by_hand(journal: Lines, tmp_path: Path, figures: list[Figure]) -> None:
    plot_psnr(journal, tmp_path / "psnr.png")
    above, below = figures[0].axes
    rounds = [0, 1, 2, 3]
    assert curves(above) == {
        "federated model": (rounds, [28.0, 28.25, 28.5, 28.375]),
        "bicubic": ([0, 1], [28.0, 28.0]),  # across the whole picture
    }
    gain = (rounds, [0.0, 0.25, 0.5, 0.375])
    clips = {"bikes/138-186": gain, "carphone/000-119": gain}
    assert curves(below) == {**clips, "mean of the clips": gain, "bicubic": ([0, 1], [0.0, 0.0])}
    assert (above.get_ylabel(), below.get_ylabel()) == ("PSNR-Y (dB)", "PSNR-Y gain (dB)")
    assert below.get_xlabel() == "round"


def test_another_headline_and_the_clients_own_clips(
    journal: Lines, tmp_path: Path, figures: list[Figure]
) -> None:
    protocol = {"name": "mine", "metrics": ["lpips", "psnr-y"]}
    lines = [
        {
            **line,
            "lpips": 0.5 - line["round"] / 8,
            "bicubic": {"lpips": 0.5, "psnr-y": 28.0},
            "protocol": protocol,
        }
        if line["phase"] == "evaluate"
        else line
        for line in journal
    ]
    own = {
        "phase": "evaluate-clients",
        "lpips": 0.25,
        "bicubic": {"lpips": 0.5},
        "clips": 7,
        "protocol": protocol,
    }
    plot_psnr([*lines, {**own, "round": 1}, {**own, "round": 3, "lpips": 0.125}], tmp_path / "psnr.png")
    above, below = figures[0].axes
    assert curves(above)["federated model"] == ([0, 1, 2, 3], [0.5, 0.375, 0.25, 0.125])
    assert curves(below)["clients' own clips"] == ([1, 3], [-0.25, -0.375])
    assert (above.get_ylabel(), below.get_ylabel()) == ("LPIPS-alex", "LPIPS-alex gain")
    assert above.get_title("left").endswith("(protocol mine)")


def test_further_metrics_have_a_panel_each(journal: Lines, tmp_path: Path, figures: list[Figure]) -> None:
    for line in journal:
        if line["phase"] == "evaluate":
            line |= {"vmaf": 50.0 + line["round"]}
    journal[1]["bicubic"]["vmaf"] = 49.0
    plot_psnr(journal, tmp_path / "psnr.png")
    _, _, vmaf = figures[0].axes
    assert curves(vmaf) == {
        "federated model": ([0, 1, 2, 3], [50.0, 51.0, 52.0, 53.0]),
        "bicubic": ([0, 1], [49.0, 49.0]),
    }
    assert (vmaf.get_ylabel(), vmaf.get_xlabel()) == ("VMAF", "round")


def test_bicubic_that_changes_is_a_line(journal: Lines, tmp_path: Path, figures: list[Figure]) -> None:
    journal[7] = {**journal[7], "bicubic": {"psnr-y": 27.0}}
    plot_psnr(journal, tmp_path / "psnr.png")
    assert curves(figures[0].axes[0])["bicubic"] == ([0, 1, 2, 3], [28.0, 28.0, 28.0, 27.0])


def test_losses_by_hand(journal: Lines, tmp_path: Path, figures: list[Figure]) -> None:
    plot_losses(journal, tmp_path / "losses.png")
    total, charbonnier, high_frequency = figures[0].axes
    assert curves(total) == {"partition-0": ([1, 2, 3], [0.04, 0.03, 0.02]), "partition-1": ([1], [0.02])}
    assert curves(charbonnier)["partition-1"] == ([1], [0.015])
    assert curves(high_frequency)["partition-1"] == ([1], [0.005])
    assert [axes.get_title("left") for axes in figures[0].axes][1:] == [
        "Part: charbonnier",
        "Part: high-frequency",
    ]


def test_a_name_is_no_formula(journal: Lines, tmp_path: Path, figures: list[Figure]) -> None:
    for line in journal:
        for one in line.get("clients", ()) if line["phase"] == "train" else ():
            one["client"] = f"$\\x$ {one['client']}"
    plot_losses(journal, tmp_path / "losses.png")
    assert "$\\x$ partition-0" in curves(figures[0].axes[0])


def test_a_loss_of_one_part_is_drawn_once(tmp_path: Path, figures: list[Figure]) -> None:
    plot_losses(many(3, 3, 1), tmp_path / "losses.png")
    assert len(figures[0].axes) == 1


def test_weights_by_hand(journal: Lines, tmp_path: Path, figures: list[Figure]) -> None:
    plot_weights(journal, tmp_path / "weights.png")
    (axes,) = figures[0].axes
    found = curves(axes)
    assert found["partition-0"] == ([1, 2, 3], [25.0, 100.0, 100.0])
    np.testing.assert_equal(found["partition-1"][1], [75.0, math.nan, math.nan])
    assert found["equal shares"] == ([1, 2, 3], [50.0, 100.0, 100.0])
    assert axes.get_ylabel() == "weight (%)"


def test_many_clients_are_a_heat_map(tmp_path: Path, figures: list[Figure]) -> None:
    plot_weights(many(7, 40, 1), tmp_path / "weights.png")
    axes, scale = figures[0].axes
    (mesh,) = axes.collections
    shares = mesh.get_array()
    assert shares.shape == (40, 7)
    np.testing.assert_allclose(shares.compressed(), 1.0)
    assert shares.mask.sum() == sum(
        (index + number) % 5 == 0 for index in range(1, 40) for number in range(1, 8)
    )
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"site-{index}" for index in range(40)]
    assert scale.get_ylabel() == "weight over equal share"


@pytest.mark.parametrize("plot", [plot_psnr, plot_losses, plot_weights])
@pytest.mark.parametrize(("rounds", "many_of_them"), [(1, 2), (1, 40), (100, 40)])
def test_every_size_is_drawn_and_labelled(
    plot: Plot, rounds: int, many_of_them: int, tmp_path: Path, figures: list[Figure]
) -> None:
    plot(many(rounds, many_of_them, many_of_them), tmp_path / "plot.png")
    picture = cv2.imread(str(tmp_path / "plot.png"))
    assert picture is not None
    assert picture.shape[1] == 1200
    paper = figures[0].axes[0].get_window_extent().padded(-6)  # without the axes themselves
    inside = picture[-int(paper.y1) : -int(paper.y0), int(paper.x0) : int(paper.x1)]
    assert inside.min() < 200, "nothing but paper and grid"
    for axes in (one for one in figures[0].axes if one.get_label() != "<colorbar>"):
        lowest, highest = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if lowest <= tick <= highest]
        assert ticks == [round(tick) for tick in ticks], "rounds are whole"
        assert 1 <= len(ticks) <= 12
        if legend := axes.get_legend():
            assert legend.get_window_extent().x0 >= axes.get_window_extent().x1, "the legend covers data"
            assert legend.get_window_extent().x1 <= picture.shape[1]
            assert len(legend.get_texts()) <= len(plots.COLOURS) + 2


@pytest.mark.parametrize("plot", [plot_psnr, plot_losses, plot_weights])
def test_nothing_to_draw_draws_nothing(plot: Plot, tmp_path: Path) -> None:
    plot(
        [{"phase": "start"}, {"phase": "train", "round": 1, "clients": [], "refused": []}],
        tmp_path / "plot.png",
    )
    assert not (tmp_path / "plot.png").exists()


@pytest.mark.parametrize("plot", [plot_psnr, plot_losses, plot_weights])
def test_equal_journals_are_equal_bytes(plot: Plot, journal: Lines, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        plot(journal, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_an_infinite_score_is_left_out(journal: Lines, tmp_path: Path) -> None:
    journal[7] |= {"psnr-y": "inf", "clips": {name: {"psnr-y": "nan"} for name in journal[7]["clips"]}}
    plot_psnr(journal, tmp_path / "psnr.png")
    assert (tmp_path / "psnr.png").stat().st_size > 0
