"""How much each client's update counts, as pure functions from reports to weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fedvsr_core.errors import AggregationError

_DIGITS = 300
"""Of decimal numbers, so that equal shares are at a distance of zero."""

Weights = npt.NDArray[np.float64]
"""One weight a client, in the order of the reports; they sum to one."""


@dataclass(frozen=True)
class LossAware:
    """Weights by loss, and how they came about.

    Attributes:
        weights: Float64, (clients,), they sum to one.
        mixing: Share of the loss-based weights, in [0, 1]; the rest is uniform.
        hellinger: Hellinger distance of the loss-based weights from the uniform ones, in [0, 1].
        guarded: Positions of the clients whose weight the guard had to bound.
    """

    weights: Weights
    mixing: float
    hellinger: float
    guarded: tuple[int, ...]


def uniform(clients: int) -> Weights:
    """Equal weights.

    Raises:
        AggregationError: If there are no clients.
    """
    if clients < 1:
        raise AggregationError("weights need at least one client, got none")
    return np.full(clients, 1 / clients)


def loss_aware(
    losses: Sequence[float], *, progress: float, threshold: float = 0.05, guard: float | None = None
) -> LossAware:
    """Weight clients with a small loss more, early in training and where losses differ.

    With p = 1 - progress: each client gets ``loss ** -p`` over the sum of these, mixed with the uniform
    weights. The share of the former is ``(H - threshold) / (1 - threshold)``, zero if negative; H is their
    Hellinger distance.

    The guard bounds what a client can gain by reporting a tiny loss: no weight exceeds ``guard`` times the
    uniform one. Where one would, the mixing share is lowered until the largest weight meets the bound, so
    that the round moves towards plain averaging. Whatever is reported, and by however many, each client keeps
    within the bound, and all that has to change is one number known after the last reply.

    Args:
        losses: Mean training loss of each client this round, finite and > 0.
        progress: Round over number of rounds, in (0, 1].
        threshold: Hellinger distance below which weights are uniform, in [0, 1); the paper's is 0.05.
        guard: Largest weight in units of the uniform one, >= 1, or None for the paper's formula. With the
            default threshold, 1.5 changes nothing in any round, for any number of clients, while the largest
            loss is at most five times the smallest.

    Raises:
        AggregationError: If ``losses`` is empty or holds a value that isn't finite and > 0, or another
            argument is out of its range.

    Source: FedVSR (MMSys 2026), loss-aware aggregation; computed in log space, so that no loss overflows, and
    with exact sums, so that the order of the clients changes no bit. The guard is ours.
    """
    _check(losses)
    if not (0 < progress <= 1 and 0 <= threshold < 1 and (guard is None or guard >= 1)):
        raise AggregationError(
            "progress must be in (0, 1], threshold in [0, 1) and guard at least 1,"
            f" got {progress}, {threshold} and {guard}"
        )
    even = uniform(len(losses))
    by_loss = _powers(losses, 1 - progress)
    hellinger = math.sqrt(0.5 * math.fsum((np.sqrt(even) - np.sqrt(by_loss)) ** 2))
    mixing = max(0.0, (hellinger - threshold) / (1 - threshold))
    guarded: tuple[int, ...] = ()
    if guard is not None:
        gain = by_loss - even
        most = (guard - 1) / len(losses)
        guarded = tuple(int(k) for k in np.flatnonzero(mixing * gain > most))
        mixing = float(most / gain.max()) if guarded else mixing
    return LossAware((1 - mixing) * even + mixing * by_loss, mixing, hellinger, guarded)


@dataclass(frozen=True)
class Mixed:
    """What each client counts by its share q: ``base + per_share * q``.

    Attributes:
        base: The same for all.
        per_share: The same for all.
        mixing: Share of the loss-based weights.
        hellinger: Hellinger distance of the loss-based weights from the uniform ones.
    """

    base: float
    per_share: float
    mixing: float
    hellinger: float


def loss_aware_of_sums(
    clients: int,
    shares: Fraction,
    roots: Fraction,
    *,
    threshold: float = 0.05,
    guard: float = math.inf,
) -> Mixed:
    """The weights of `loss_aware` from sums over the clients, whose losses nobody need know.

    With shares ``q = loss ** -p`` the squared Hellinger distance is ``1 - sum(sqrt(q)) / sqrt(K * sum(q))``
    for K clients, and with the mixing m a client counts ``(1 - m) / K + m * q / sum(q)``.

    The guard needs the largest share, which no sum tells. In its place stands the square of the largest root
    that there can be with such a mean and such a variance of the roots, and that there is where one client
    differs and all others are alike. So no weight ever exceeds the guard, and the mixing may be lower than
    that of `loss_aware`.

    Args:
        clients: K, at least 1.
        shares: Sum of q, > 0.
        roots: Sum of the roots of q.
        threshold: As `loss_aware`.
        guard: As `loss_aware`; infinite for none.

    Raises:
        AggregationError: If such sums can't be those of so many clients.

    Source: FedVSR (MMSys 2026), rewritten; Samuelson's inequality: nothing lies further from the mean than
    ``sqrt(K - 1)`` standard deviations.
    """
    if not (shares > 0 and roots > 0 and shares <= roots**2):
        raise AggregationError(f"the shares of {clients} clients can't have these sums; one of them lies")
    count = Decimal(clients)
    with localcontext(prec=_DIGITS):
        total, root = _decimal(shares), _decimal(roots)
        affinity = min(Decimal(1), root / (count * total).sqrt())
        hellinger = float((1 - affinity).sqrt())
        deviations = ((1 - affinity**2) * (count - 1)).sqrt()  # of the largest root, in the root mean square
        most_gain = float((affinity + deviations) ** 2 - 1)  # in units of the uniform weight
    mixing = max(0.0, (hellinger - threshold) / (1 - threshold))
    if mixing * most_gain > guard - 1:
        mixing = (guard - 1) / most_gain
    return Mixed((1 - mixing) / clients, mixing / float(shares), mixing, hellinger)


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def _powers(losses: Sequence[float], exponent: float) -> Weights:
    """Weights in proportion to ``loss ** -exponent``."""
    smallest = math.log(min(losses))
    powers = [math.exp(exponent * (smallest - math.log(loss))) for loss in losses]
    return np.array(powers) / math.fsum(powers)


def _check(losses: Sequence[float]) -> None:
    bad = [(k, loss) for k, loss in enumerate(losses) if not (math.isfinite(loss) and loss > 0)]
    if not len(losses) or bad:
        raise AggregationError(f"losses must be finite and > 0, got {bad or 'none'} of {len(losses)}")
