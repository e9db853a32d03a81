"""What a comparison compares: a row for each strategy and variant, and the two bounds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from fedvsr_core.settings import Settings

CENTRALISED, LOCAL = "centralised", "local"
BOUNDS = (CENTRALISED, LOCAL)
"""Rows that are no strategies: one client with all clips, and each client by itself."""
_ALONE = (
    "cohort.clients_per_round=null cohort.nodes=null cohort.min_replies=1 cohort.upload_failure=0"
    " training.keep_moments=true"
)


@dataclass(frozen=True)
class Entry:
    """What is trained once for each seed.

    Attributes:
        row: Its row in the tables; several entries may share one.
        name: Unique; names its folders.
        strategy: A name of ``conf/strategy``.
        overrides: Its own, after those of the comparison.
        clients: Simulated clients.
        variant: The overrides that it has as one of several variants.
        tried: The value that is tried with it, in tuning.
        chosen: What tuning has chosen for it, such as ``optimiser.lr=1e-3``; part of its folder's name.
    """

    row: str
    name: str
    strategy: str
    overrides: str
    clients: int
    variant: str = ""
    tried: str = ""
    chosen: str = ""

    @property
    def bound(self) -> bool:
        """Whether it is of a bound, which has other clients than the strategies."""
        return is_bound(self.row)

    @property
    def alone(self) -> bool:
        """Whether it is one of `LOCAL`'s, of which a row has several."""
        return self.row != self.name

    def with_override(self, override: str) -> "Entry":
        """The same with one more override."""
        return replace(self, overrides=f"{self.overrides} {override}".strip())


def is_bound(row: str) -> bool:
    """Whether a row of the tables is a bound's, of any variant."""
    return row.partition(" (")[0].partition(",")[0] in BOUNDS


def entries_of(
    names: Sequence[str], variants: Sequence[str], clients: int, composed: Callable[[Entry], Settings]
) -> list[Entry]:
    """The entries of a comparison, variant by variant.

    Centralised training has as many steps as a client of a federation, of batches as large as those of all
    clients of a round together, and keeps the moments of its optimiser. Local training is a client of the
    federation that never hears of the others, and also keeps its moments.

    Args:
        names: Strategies and `BOUNDS`.
        variants: Overrides, such as ``rounds=5 training.steps=40``; every name is trained with each.
        clients: Simulated clients.
        composed: The configuration of an entry.
    """
    return [
        replace(entry, variant=variant)
        for variant in variants or [""]
        for name in names
        for entry in _entries(name, variant, clients, composed)
    ]


def _entries(name: str, variant: str, clients: int, composed: Callable[[Entry], Settings]) -> Iterator[Entry]:
    row = f"{name} ({variant})" if variant else name
    if name not in BOUNDS:
        yield Entry(row, row, name, variant, clients)
        return
    pool = f"{variant} {_ALONE} pool.clients={clients}".strip()
    if name == CENTRALISED:
        settings = composed(Entry(row, row, "fedavg", variant, clients))
        batch = settings.training.batch * (settings.cohort.clients_per_round or clients)
        yield Entry(row, row, "fedavg", f"{pool} training.batch={batch}", 1)
        return
    for part in range(clients):
        yield Entry(row, f"{row} {part}", "fedavg", f"{pool} pool.parts=[{part}]", 1)
