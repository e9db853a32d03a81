"""The tables of a comparison: scores and overhead, as Markdown, CSV and LaTeX."""

import csv
import io
import statistics
from collections.abc import Callable, Mapping, Sequence

from fedvsr.comparison.entries import CENTRALISED, is_bound
from fedvsr.comparison.seed_means import best, difference, seed_mean
from fedvsr_core.metrics.names import METRICS
from server_app.records.history import evaluations, reports, trainings
from server_app.records.journal import Line
from server_app.records.markdown import table

Runs = Mapping[str, Mapping[int, Sequence[Line]]]
"""Journals of completed runs: by strategy, by seed."""

Results = Mapping[str, Mapping[int, Sequence[Sequence[Line]]]]
"""Journals by row, by seed: one each, and for local training one of each client."""

Scores = Mapping[str, Mapping[int, float]]
"""By row, by seed."""

Rows = tuple[list[str], list[list[str]]]
"""A header and rows of text."""

OVERHEAD: dict[str, Callable[[Line], list[float]]] = {
    "training, s a client and round": lambda line: [float(row["seconds"]) for row in reports(line)],
    "aggregation, s a round": lambda line: [float(line["aggregation-seconds"])],
    "MB up a round": lambda line: [line["bytes-up"] / 1e6],
    "MB down a round": lambda line: [line["bytes-down"] / 1e6],
    "peak memory of a client, MB": lambda line: [
        float(row["peak-memory-mb"]) for row in line["clients"] if "peak-memory-mb" in row
    ],
    "peak memory of the server, MB": lambda line: [float(line["server-memory-mb"])],
}
"""What a round costs, from its line in the journal."""


def final_scores(results: Results, metric: str) -> Scores:
    """The final model's score by row and seed; of a row's several models the mean, then the worst."""
    higher = METRICS[metric].best == "high"
    table: dict[str, dict[int, float]] = {}
    for row, seeds in results.items():
        for seed, journals in seeds.items():
            finals = [evaluations(lines)[-1].mean[metric] for lines in journals]
            table.setdefault(row, {})[seed] = statistics.fmean(finals)
            if len(finals) > 1:
                table.setdefault(f"{row}, worst", {})[seed] = min(finals) if higher else max(finals)
    return table


def metrics_of(results: Results) -> list[str]:
    """The metrics that all final models were scored by, the protocol's first one first."""
    finals = [
        evaluations(lines)[-1].mean
        for seeds in results.values()
        for journals in seeds.values()
        for lines in journals
    ]
    return [name for name in finals[0] if all(name in final for final in finals)]


def score_table(results: Results, reference: str) -> Rows:
    """A row a strategy: each metric's mean ± standard deviation over seeds, and the paired difference.

    With centralised training among the rows, a column says how much of the way from the reference to it each
    row goes, by the first metric. The best strategy is set in ``**`` only if its paired difference to every
    other has a 95 % interval without 0; bounds aren't strategies.
    """
    metrics = metrics_of(results)
    tables = {metric: final_scores(results, metric) for metric in metrics}
    ideal = next((row for row in results if row.partition(" (")[0] == CENTRALISED), None)
    header = ["strategy", "seeds"]
    for metric in metrics:
        header += [METRICS[metric].title, f"difference to {reference}"]
        if metric == metrics[0] and ideal:
            header.append(f"of the gap to {ideal}")
    rows = []
    for name in tables[metrics[0]]:
        row = [name, str(len(tables[metrics[0]][name]))]
        for metric, values in tables.items():
            about = METRICS[metric]
            strategies = {other: each for other, each in values.items() if not is_bound(other)}
            first = best(strategies, higher=about.best == "high") if about.best != "truth" else None
            text = seed_mean(list(values[name].values())).text(about.digits)
            apart = difference(values[name], values.get(reference, {})) if name != reference else None
            row += [f"**{text}**" if name == first else text, apart.interval(about.digits) if apart else ""]
            if metric == metrics[0] and ideal:
                gap = difference(values[ideal], values.get(reference, {}))
                row.append(f"{100 * apart.mean / gap.mean:.0f} %" if apart and gap and gap.mean else "")
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
