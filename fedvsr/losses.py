"""The losses, each called with clips (B, T, C, H, W) as ``loss(output, target)``."""

from fedvsr_core.losses.charbonnier import Charbonnier
from fedvsr_core.losses.high_frequency import HighFrequencyLoss
from fedvsr_core.losses.weighted_sum import WeightedSum

__all__ = ("Charbonnier", "HighFrequencyLoss", "WeightedSum")
