"""Strategies for a ServerApp of one's own, and what a new one is made of.

Each is a ``flwr.serverapp.strategy.Strategy``, and takes the arguments of Flower's FedAvg beside its own.
"""

from server_app.strategies.aggregator import Combined
from server_app.strategies.base import RoundStrategy
from server_app.strategies.fedavg import FedAvg
from server_app.strategies.fedvsr import FedVSR
from server_app.strategies.inverse_loss import InverseLoss
from server_app.strategies.scaffold import Scaffold
from server_app.strategies.uniform import Uniform
from server_app.strategies.weighted_mean import WeightedMean
from server_app.updates import Update

__all__ = (
    "Combined",
    "FedAvg",
    "FedVSR",
    "InverseLoss",
    "RoundStrategy",
    "Scaffold",
    "Uniform",
    "Update",
    "WeightedMean",
)
