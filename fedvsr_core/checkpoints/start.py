"""The weights that a run starts from: the same on the server and at every site."""

from pathlib import Path

import torch

from fedvsr_core.checkpoints.pretrained import fetch, load_flow, load_network
from fedvsr_core.components import build
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.seeds import derive
from fedvsr_core.settings import ClientSettings, Settings


def initial_model(settings: Settings | ClientSettings, folder: Path | None = None) -> VideoModel:
    """Build the network with the weights it has before the first round.

    They come from the seed; then from ``start.weights``, a checkpoint of the whole network; then, for the
    flow network, from ``flow.weights``.

    Args:
        settings: What to build, and the files.
        folder: This machine's own folder of weights, where files are looked for first, by name.

    Raises:
        ConfigurationError: If there are weights for a flow network but none to take them.
        CheckpointError: If a file isn't there, isn't the one that was meant, or doesn't fit.
    """
    torch.manual_seed(derive(settings.seed, "model"))
    model: VideoModel = build(settings.model)
    if settings.start.weights is not None:
        load_network(model, fetch(settings.start.weights, settings.start.sha256, folder), any_factor=True)
    if settings.flow.weights is not None:
        load_flow(model, fetch(settings.flow.weights, settings.flow.sha256, folder))
    return model
