"""Promises: scores, differences and costs by hand, in three forms; curves as PNG and SVG."""

import pytest

from fedvsr.comparison.curves import plot_curves
from fedvsr.comparison.own_clips import own_table
from fedvsr.comparison.tables import (
    as_csv,
    as_latex,
    as_markdown,
    metrics_of,
    overhead_table,
    score_table,
)


def journal(final, seconds=2.0, aggregation=0.1):
    protocol = {"name": "p", "metrics": ["psnr-y"], "border": 0, "average": "clips"}

    def scored(number, score):
        return {"phase": "evaluate", "round": number, "protocol": protocol, "psnr-y": score, "clips": {},
                "bicubic": {"psnr-y": 27.0}}  # fmt: skip

    row = {"client": "a", "seconds": seconds, "peak-memory-mb": 500.0}
    train = {"phase": "train", "clients": [row], "refused": [], "bytes-up": 1e6, "bytes-down": 2e6,
             "aggregation-seconds": aggregation, "server-memory-mb": 300.0, "seconds": 3.0}  # fmt: skip
    return [scored(0, 27.0), {**train, "round": 1}, scored(1, 27.5), {**train, "round": 2}, scored(2, final)]


@pytest.fixture
def runs():
    return {
        "fed_avg": {0: journal(28.0), 1: journal(28.2)},
        "new": {0: journal(28.5, 3.0, 0.2), 1: journal(28.7, 3.0, 0.2)},
    }


@pytest.fixture
def results(runs):
    return {row: {seed: [lines] for seed, lines in seeds.items()} for row, seeds in runs.items()}


def test_scores_by_hand(results):
    header, rows = score_table(results, "fed_avg")
    assert metrics_of(results) == ["psnr-y"]
    assert header == ["strategy", "seeds", "PSNR-Y (dB)", "difference to fed_avg"]
    assert rows == [
        ["fed_avg", "2", "28.100 ± 0.141", ""],
        ["new", "2", "**28.600 ± 0.141**", "+0.500 [+0.500, +0.500]"],
    ]


def test_bounds_by_hand(results):
    # The gap is 28.9 - 28.1 = 0.8; local training is 0.5 and 0.7 below FedAvg, its worst client 0.2 more.
    results["centralised"] = {0: [journal(28.8)], 1: [journal(29.0)]}
    results["local"] = {0: [journal(27.7), journal(27.3)], 1: [journal(27.3), journal(27.7)]}
    header, rows = score_table(results, "fed_avg")
    assert header[3:5] == ["difference to fed_avg", "of the gap to centralised"]
    assert {row[0]: row[2] for row in rows} == {
        "fed_avg": "28.100 ± 0.141",
        "new": "**28.600 ± 0.141**",  # a bound is no strategy, and takes nobody's bold away
        "centralised": "28.900 ± 0.141",
        "local": "27.500 ± 0.000",
        "local, worst": "27.300 ± 0.000",
    }
    assert {row[0]: row[4] for row in rows} == {
        "fed_avg": "",
        "new": "62 %",
        "centralised": "100 %",
        "local": "-75 %",
        "local, worst": "-100 %",
    }
    assert rows[3][3] == "-0.600 [-1.871, +0.671]"  # 12.71 * 0.141 / sqrt(2)
    assert "local, worst" not in score_table(dict(list(results.items())[:2]), "fed_avg")[1]


def own(*scores):
    return {"phase": "evaluate-clients", "round": 2, "clients": [{"client": str(k), "psnr-y": score}
            for k, score in enumerate(scores)]}  # fmt: skip


def test_clients_own_clips_by_hand(results):
    assert own_table(results, "fed_avg") is None
    scores = {"fed_avg": ((27.0, 29.0), (28.0, 30.0)), "new": ((27.5, 29.0), (28.5, 30.0))}
    for row, seeds in scores.items():
        for seed, clients in enumerate(seeds):
            results[row][seed][0].append(own(*clients, None))
    results["centralised"] = {0: [[*journal(28.8), own(28.0)]]}
    results["local"] = {0: [[*journal(27.7), own(26.0)], [*journal(27.3), own(28.0)]]}
    header, rows = own_table(results, "fed_avg")
    assert header[:5] == [
        "strategy", "seeds", "mean client, PSNR-Y (dB)", "difference to fed_avg", "worst client, PSNR-Y (dB)",
    ]  # fmt: skip
    assert rows[1][:6] == [
        "new", "2", "28.750 ± 0.707", "+0.250 [+0.250, +0.250]", "28.000 ± 0.707", "+0.500 [+0.500, +0.500]",
    ]  # fmt: skip
    assert rows[2][:6] == ["centralised", "1", "28.000", "+0.000", "", ""]
    assert rows[3][:7] == ["local", "1", "27.000", "-1.000", "26.000", "-1.000", "1.414"]


def test_costs_by_hand(runs):
    header, rows = overhead_table(runs, "fed_avg")
    costs = dict(zip(header, rows[1], strict=True))
    assert costs["training, s a client and round"] == "3 (+50.0 %)"
    assert costs["aggregation, s a round"] == "0.2 (+100.0 %)"
    assert costs["MB up a round"] == "1 (+0.0 %)"
    assert rows[0][1] == "2"


def test_three_forms(results):
    rows = score_table(results, "fed_avg")
    assert as_markdown(rows).splitlines()[3] == "| new | 2 | **28.600 ± 0.141** | +0.500 [+0.500, +0.500] |"
    assert as_csv(rows).splitlines()[2] == 'new,2,28.600 ± 0.141,"+0.500 [+0.500, +0.500]"'
    latex = as_latex(rows)
    assert r"fed\_avg & 2 & 28.100 $\pm$ 0.141 &  \\" in latex
    assert r"\textbf{28.600 $\pm$ 0.141}" in latex


def test_curves(runs, tmp_path):
    paths = [tmp_path / "psnr-y.png", tmp_path / "psnr-y.svg"]
    plot_curves(runs, "psnr-y", paths)
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in paths[1].read_bytes()


def test_a_curve_of_a_metric_that_rounds_between_lack(runs, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("fedvsr.comparison.curves.write_figure", lambda figure, path: drawn.append(figure))
    for seeds in runs.values():
        for lines in seeds.values():
            lines[0]["ssim-y"], lines[-1]["ssim-y"] = 0.5, 0.75
    plot_curves(runs, "ssim-y", [tmp_path / "ssim-y.png"])
    line = drawn[0].axes[0].lines[0]
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([0, 2], [0.5, 0.75])
