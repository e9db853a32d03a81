"""The tables of a comparison: scores and overhead, as Markdown, CSV and LaTeX."""

import csv
import io
import statistics
from collections.abc import Callable, Mapping, Sequence

from fedvsr.comparison.seed_means import best, difference, seed_mean
from fedvsr_core.metrics.names import METRICS
from server_app.records.history import evaluations, trainings
from server_app.records.journal import Line
from server_app.records.markdown import table

Runs = Mapping[str, Mapping[int, Sequence[Line]]]
"""Journals of completed runs: by strategy, by seed."""

Rows = tuple[list[str], list[list[str]]]
"""A header and rows of text."""

OVERHEAD: dict[str, Callable[[Line], list[float]]] = {
    "training, s a client and round": lambda line: [float(row["seconds"]) for row in line["clients"]],
    "aggregation, s a round": lambda line: [float(line["aggregation-seconds"])],
    "MB up a round": lambda line: [line["bytes-up"] / 1e6],
    "MB down a round": lambda line: [line["bytes-down"] / 1e6],
    "peak memory of a client, MB": lambda line: [float(row["peak-memory-mb"]) for row in line["clients"]],
    "peak memory of the server, MB": lambda line: [float(line["server-memory-mb"])],
}
"""What a round costs, from its line in the journal."""


def scores(runs: Runs, metric: str) -> dict[str, dict[int, float]]:
    """The final model's score by strategy and seed."""
    return {
        name: {seed: evaluations(lines)[-1].mean[metric] for seed, lines in seeds.items()}
        for name, seeds in runs.items()
    }


def metrics_of(runs: Runs) -> list[str]:
    """The metrics that all runs have, the protocol's first one first."""
    finals = [evaluations(lines)[-1].mean for seeds in runs.values() for lines in seeds.values()]
    return [name for name in finals[0] if all(name in final for final in finals)]


def score_table(runs: Runs, reference: str) -> Rows:
    """A row a strategy: each metric's mean ± standard deviation over seeds, and the paired difference.

    The best is set in ``**`` only if its paired difference to every other has a 95 % interval without 0.
    """
    header, columns = ["strategy", "seeds"], []
    for metric in metrics_of(runs):
        about, values = METRICS[metric], scores(runs, metric)
        first = best(values, higher=about.best == "high") if about.best != "truth" else None
        header += [about.title, f"difference to {reference}"]
        columns.append((values, first, about.digits))
    rows = []
    for name, seeds in runs.items():
        row = [name, str(len(seeds))]
        for values, first, digits in columns:
            text = seed_mean(list(values[name].values())).text(digits)
            apart = difference(values[name], values.get(reference, {})) if name != reference else None
            row += [
                f"**{text}**" if name == first else text,
                apart.text(digits, signed=True) if apart else "",
            ]
        rows.append(row)
    return header, rows


def overhead_table(runs: Runs, reference: str) -> Rows:
    """A row a strategy: what a round costs in the median, and in percent of the reference's cost above it."""
    costs = {name: {what: _median(seeds, what) for what in OVERHEAD} for name, seeds in runs.items()}
    rows = []
    for name, mine in costs.items():
        base = costs.get(reference, mine)
        row = [name]
        for what in OVERHEAD:
            above = f" ({100 * (mine[what] / base[what] - 1):+.1f} %)" if base[what] else ""
            row.append(f"{mine[what]:.4g}{above if name != reference else ''}")
        rows.append(row)
    return ["strategy", *OVERHEAD], rows


def _median(seeds: Mapping[int, Sequence[Line]], what: str) -> float:
    values = [
        value for lines in seeds.values() for line in trainings(lines) for value in OVERHEAD[what](line)
    ]
    return statistics.median(values) if values else 0.0


def as_markdown(rows: Rows) -> str:
    """A Markdown table."""
    return "\n".join(table(*rows)) + "\n"


def as_csv(rows: Rows) -> str:
    """Comma-separated values, without marks."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [text.replace("**", "") for text in row] for row in (rows[0], *rows[1])
    )
    return text.getvalue()


def as_latex(rows: Rows) -> str:
    """A LaTeX table that needs the package booktabs."""
    header, body = rows
    lines = [" & ".join(map(_latex, row)) + r" \\" for row in (header, *body)]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _latex(text: str) -> str:
    bold = text.startswith("**") and text.endswith("**") and len(text) > 4
    plain = text.strip("*").replace("_", r"\_").replace("%", r"\%").replace("±", r"$\pm$")
    return rf"\textbf{{{plain}}}" if bold else plain
