"""Whether a run's rounds can be secure: what needs single clients' updates or numbers can't be."""

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.flower.arrays import NamedArrays
from fedvsr_core.secure.session import FEWEST
from fedvsr_core.secure.share import Share
from fedvsr_core.settings import Settings
from server_app.private_norm import private_norm
from server_app.strategies.aggregator import Aggregator
from server_app.strategies.mean import Mean

_RULES = ("factor", "weights", "combine")
"""Methods by which a mean weighs; a subclass that has others must say anew what a share is."""


def check_secure(settings: Settings, strategy: Aggregator) -> None:
    """See whether the rounds of a run can be secure, if they are to be.

    Raises:
        ConfigurationError: If not; the sentence says why, and what to take instead.
    """
    if settings.secure.enabled:
        mean_of_shares(strategy, server_round=1)
        drawn = settings.cohort.clients_per_round
        if drawn is not None:
            check_cohort(drawn)
        if settings.training.upload != "weights":
            raise ConfigurationError(
                f"secure.enabled sends updates as integers, and training.upload={settings.training.upload} as"
                " something else; leave training.upload=weights: masked updates have as many bytes"
            )
        if settings.evaluation.clients is not None:
            raise ConfigurationError(
                "secure.enabled shows nothing of a single client, and evaluation.clients each one's scores;"
                " set evaluation.clients=null"
            )


def check_cohort(clients: int) -> None:
    """See whether so few clients can have a secure round.

    Raises:
        ConfigurationError: If not.
    """
    if clients < FEWEST:
        raise ConfigurationError(
            f"secure.enabled needs at least {FEWEST} clients in a round, got {clients}: of a sum of two, each"
            " would know the other's part"
        )


def check_noise(settings: Settings, sent: NamedArrays) -> None:
    """See whether updates with the noise that a run expects are within the norm that secure rounds take.

    Args:
        settings: The run's.
        sent: The arrays that clients start from.

    Raises:
        ConfigurationError: If the noise would be shortened, and the update with it.
    """
    if (norm := private_norm(settings.privacy, sent)) > settings.secure.clip:
        raise ConfigurationError(
            f"the noise of privacy.epsilon makes updates of a norm up to {norm:.3g}, and secure.clip ="
            f" {settings.secure.clip:g} shortens them; raise secure.clip to that"
        )


def mean_of_shares(strategy: Aggregator, server_round: int) -> tuple[Mean, Share]:
    """A strategy as the mean that a secure sum can be, and what its weights are made of in a round.

    Args:
        strategy: Any.
        server_round: From 1.

    Raises:
        ConfigurationError: If it isn't one.
    """
    name = type(strategy).__name__
    instead = "take strategy=fedvsr_ahead, fedvsr or fedavg, or set secure.enabled=false"
    share = strategy.share(server_round)
    if not isinstance(strategy, Mean) or share is None or not _says_all(type(strategy)):
        raise ConfigurationError(
            "secure.enabled works with means whose weights each client can compute from its own loss or"
            f" number of examples, and strategy.server ({name}) needs every client's update or numbers;"
            f" {instead}"
        )
    if strategy.trim:
        raise ConfigurationError(
            "secure.enabled can't leave out extreme values, as strategy.server.trim does, which looks at"
            f" every client's; {instead}"
        )
    return strategy, share


def _says_all(kind: type) -> bool:
    """Whether no class has another way of weighing than the one that says what a share is."""
    order = [vars(each) for each in kind.__mro__]
    first = next(place for place, own in enumerate(order) if "share" in own)
    return all(not own.keys() & set(_RULES) for own in order[:first])
