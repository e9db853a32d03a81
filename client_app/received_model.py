"""The global model of a client: sent weights from the message, the others from its own machine."""

from pathlib import Path

from flwr.app import ArrayRecord, ConfigRecord

from client_app.local_data import NodeConfig
from fedvsr_core.checkpoints.start import initial_model
from fedvsr_core.components import build
from fedvsr_core.errors import CheckpointError, FederationError
from fedvsr_core.flower import keys
from fedvsr_core.flower.arrays import to_state
from fedvsr_core.flower.travelling import frozen_digest, travelling
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.models.size import check_size
from fedvsr_core.settings import ClientSettings
from fedvsr_core.training.late_start import is_frozen


def received_model(
    arrays: ArrayRecord, config: ConfigRecord, settings: ClientSettings, node_config: NodeConfig
) -> VideoModel:
    """Build the network with the weights of a message.

    While late parameters are frozen they don't travel: the client makes them as the server did, from the seed
    or from files of weights. A site may have these files elsewhere, in `keys.WEIGHTS_DIR`.

    Args:
        arrays: As received.
        config: The round, and the digest of what didn't travel.
        settings: What the server sent.
        node_config: What this node was started with.

    Raises:
        ConfigurationError: If this machine can't hold the network.
        FederationError: If other arrays came than travel in this round.
        CheckpointError: If a file of weights is missing, or its weights aren't the server's.
    """
    frozen = is_frozen(settings, int(str(config[keys.SERVER_ROUND])))
    folder = node_config.get(keys.WEIGHTS_DIR)
    check_size(settings.model)
    model: VideoModel = (
        initial_model(settings, Path(str(folder)) if folder else None) if frozen else build(settings.model)
    )
    if wrong := set(arrays) ^ set(travelling(model, frozen=frozen)):
        raise FederationError(
            f"the server's arrays must be those that travel in this round, but {_join_names(wrong)} differ;"
            " let both run the same version"
        )
    ours = frozen_digest(model, frozen=frozen)
    if config.get(keys.FROZEN_DIGEST, ours) != ours:
        raise CheckpointError(
            "the weights that don't travel aren't the server's; give all sites the same files, and"
            " flow.weights and start.weights with their sha256"
        )
    model.load_state_dict(to_state(arrays, model.state_dict()))
    return model


def _join_names(names: set[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names)[:3])
