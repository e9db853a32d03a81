"""How the final models do on the clients' own held-out clips."""

import statistics
from collections.abc import Callable, Sequence

from fedvsr.comparison.seed_means import difference, seed_mean
from fedvsr.comparison.tables import Results, Rows, Scores, metrics_of
from fedvsr_core.metrics.names import METRICS
from server_app.records.history import evaluations
from server_app.records.journal import Line


def own_table(results: Results, reference: str) -> Rows | None:
    """A row a strategy: mean, worst and spread over clients, by the first metric; None if nobody scored."""
    scored = {
        row: {seed: own for seed, journals in seeds.items() if (own := _own_scores(journals))}
        for row, seeds in results.items()
    }
    scored = {row: seeds for row, seeds in scored.items() if seeds}
    if not scored:
        return None
    about = METRICS[metrics_of(results)[0]]
    columns = {
        "mean client": _over_clients(scored, statistics.fmean, fewest=1),
        "worst client": _over_clients(scored, min if about.best == "high" else max, fewest=2),
        "spread over clients": _over_clients(scored, statistics.stdev, fewest=2),
    }
    header = ["strategy", "seeds"]
    for title in columns:
        header += [f"{title}, {about.title}", f"difference to {reference}"]
    rows = []
    for name in scored:
        row = [name, str(len(scored[name]))]
        for values in columns.values():
            known = list(values[name].values())
            apart = difference(values[name], values.get(reference, {})) if name != reference else None
            row += [
                seed_mean(known).text(about.digits) if known else "",
                apart.interval(about.digits) if apart else "",
            ]
        rows.append(row)
    return header, rows


def _over_clients(
    scored: dict[str, dict[int, list[float]]], value: Callable[[list[float]], float], *, fewest: int
) -> Scores:
    return {
        row: {seed: value(own) for seed, own in seeds.items() if len(own) >= fewest}
        for row, seeds in scored.items()
    }


def _own_scores(journals: Sequence[Sequence[Line]]) -> list[float]:
    """Each client's score of the final model; of local training, each client's of its own."""
    scores = []
    for lines in journals:
        last = next((line for line in reversed(lines) if line["phase"] == "evaluate-clients"), None)
        headline = evaluations(lines)[-1].headline
        rows = last["clients"] if last else []
        scores += [float(row[headline]) for row in rows if row.get(headline) is not None]
    return scores
