"""Flower's central privacy with adaptive clipping, with the clipping norm that the paper means."""

from collections.abc import Iterable

from flwr.app import ArrayRecord, Message, MetricRecord
from flwr.serverapp.strategy import DifferentialPrivacyServerSideAdaptiveClipping, Strategy

from fedvsr_core.errors import ConfigurationError


class AdaptiveClipping(DifferentialPrivacyServerSideAdaptiveClipping):
    """Clips updates to a norm that follows a quantile of the clients' norms, and adds noise.

    Two things differ from Flower's class. The paper moves the norm by the fraction of updates that were *not*
    clipped; Flower 1.41 takes the fraction of those that were, which drives the norm away from the quantile,
    to zero or without bound. And the noise is that for the norm to which the updates of this round were
    clipped, not for the next round's.

    Args:
        strategy: What combines the clipped updates.
        noise_multiplier: Of the update and the count together, >= 0; below twice ``clipped_count_stddev``.
        num_sampled_clients: Clients that take part in a round.
        initial_clipping_norm: Of a client's whole update, in the first round.
        target_clipped_quantile: Of the clients' norms, in [0, 1]; 0.5 is the median.
        clip_norm_lr: How fast the norm follows.
        clipped_count_stddev: Standard deviation of the noise on the count; None for a twentieth of the
            clients.

    Raises:
        ConfigurationError: If the noise on the count is too small for the noise multiplier.

    Attributes:
        whole_noise: The noise multiplier that was asked for, by which privacy is counted; Flower's
            ``noise_multiplier`` is that of the update alone.

    Source: Andrew et al., NeurIPS 2021, algorithm 1.
    """

    def __init__(
        self,
        *,
        strategy: Strategy,
        noise_multiplier: float,
        num_sampled_clients: int,
        initial_clipping_norm: float = 0.1,
        target_clipped_quantile: float = 0.5,
        clip_norm_lr: float = 0.2,
        clipped_count_stddev: float | None = None,
    ) -> None:
        count_stddev = num_sampled_clients / 20 if clipped_count_stddev is None else clipped_count_stddev
        if noise_multiplier and noise_multiplier >= 2 * count_stddev:
            raise ConfigurationError(
                f"noise_multiplier must be below twice clipped_count_stddev, got {noise_multiplier} and"
                f" {count_stddev}: so little noise on the count tells more of a client than all the rest may"
            )
        super().__init__(
            strategy,
            noise_multiplier,
            num_sampled_clients,
            initial_clipping_norm,
            target_clipped_quantile,
            clip_norm_lr,
            clipped_count_stddev,
        )
        self.whole_noise = noise_multiplier
        self._within: float | None = None

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Clip, combine and add noise; then move the norm."""
        self._within = None
        result = super().aggregate_train(server_round, replies)
        if self._within is not None:
            super()._geometric_update(self._within)
        return result

    def _geometric_update(self, clipped_fraction: float) -> None:
        self._within = 1 - clipped_fraction
