"""One tiny step of training on the server, so that what no client could do is refused before one is asked."""

import copy
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psutil
import torch
from torch import Tensor

from fedvsr_core.components import build
from fedvsr_core.errors import ConfigurationError, FedVSRError
from fedvsr_core.flower.arrays import NamedArrays
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.models.size import bounded
from fedvsr_core.seeds import derive
from fedvsr_core.settings import ClientSettings, Settings
from fedvsr_core.training.client_round import train_round
from fedvsr_core.training.late_start import optimiser_of
from fedvsr_core.training.local import LossFunction
from fedvsr_core.training.objective import Objective, Start
from server_app.strategies.aggregator import Aggregator

LARGEST = 20_000_000
"""Parameters of a network that is run. On one core RVRT (11 million) takes a second for it, IART (13 million)
four and 0.7 GB; VRT (31 million) would take most of a minute and 2 GB."""
_SIZE = 8
"""Low-resolution height and width of the step's clip, where the network needs no more."""

_log = logging.getLogger(__name__)


def check_parts(settings: Settings, model: VideoModel, strategy: Aggregator) -> None:
    """Build the clients' parts, and try them out on random clips.

    The loss compares two clips of the size that training has. Then a copy of the network takes a step as
    clients do, through the real objective, loss and optimiser, and one more to see where the first led; on
    the CPU in float32, on the smallest clip that the network takes. A network of more than `LARGEST`
    parameters isn't run; only its optimiser is made. So what fails with that network alone, or diverges with
    it, shows at the clients.

    Neither the network nor torch's random numbers are changed.

    Args:
        settings: The run's.
        model: Its network, with the weights before the first round.
        strategy: Its server half.

    Raises:
        ConfigurationError: If clients couldn't train with this, or the server couldn't use what they return.
    """
    if (made := build(settings.degradation).scale) != model.scale:
        raise ConfigurationError(
            f"degradation.scale must be {model.scale}, as that of '{settings.names['model']}', got {made}"
        )
    if settings.training.window < model.needs.min_frames:
        raise ConfigurationError(
            f"training.window must be at least {model.needs.min_frames} for '{settings.names['model']}',"
            f" got {settings.training.window}"
        )
    build(settings.partition)
    objective: Objective = build(settings.strategy.client)
    loss: LossFunction = build(settings.loss)
    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.default_generator.manual_seed(derive(settings.seed, "preflight"))
        try:
            _try_loss(settings, model, loss)
            if sum(parameter.numel() for parameter in model.parameters()) > LARGEST:
                _log.info("the network is large: no step is tried before the clients are asked")
                optimiser_of(model, settings.for_clients(), objective.parameters())
            else:
                _take_step(settings, copy.deepcopy(model), loss, objective, strategy)
        except FedVSRError:
            raise
        except Exception as error:  # whatever torch makes of arguments that don't go together
            raise ConfigurationError(
                "a step of training fails with this model, loss, optimiser and strategy, and would at each"
                f" client: {type(error).__name__}: {str(error) or 'no reason given'}; change what it names"
            ) from error


@contextmanager
def _one_thread() -> Iterator[None]:
    """More threads would only wait for each other on tensors so small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _try_loss(settings: Settings, model: VideoModel, loss: LossFunction) -> None:
    training = settings.training
    side = model.scale * training.patch
    size = 4 * training.batch * training.window * 3 * (side**2 + training.patch**2)
    if size > (free := psutil.virtual_memory().available):
        raise ConfigurationError(
            f"a batch of training takes {size / 2**30:.3g} GB before the network sees it, but"
            f" {free / 2**30:.1f} GB are free on this machine; lower training.batch, window or patch"
        )
    output, target = torch.rand(2, 1, training.window, 3, side, side)
    output.requires_grad_()
    value, _ = loss(output, target)
    value.backward()
    known = float(value.detach())
    if output.grad is None or not (0 < known <= settings.screening.max_loss and output.grad.isfinite().all()):
        raise ConfigurationError(
            f"loss must be > 0, at most screening.max_loss = {settings.screening.max_loss:g}, with a finite"
            f" gradient, got {known:.3g} for two random clips; change the weights of its parts"
        )


def _take_step(
    settings: Settings,
    model: VideoModel,
    loss: LossFunction,
    objective: Objective,
    strategy: Aggregator,
) -> None:
    frames = max(model.needs.min_frames, min(settings.training.window, 2))
    side = max(model.needs.minimum, _SIZE)
    low = torch.rand(1, frames, 3, side, side)
    high = torch.rand(1, frames, 3, model.scale * side, model.scale * side)
    start = Start(
        server_round=1,
        arrays={},
        client_state=_Nothing(),
        batches=[(low, high)] * 2,
        loss=loss,
        device=torch.device("cpu"),
        seed=settings.seed,
    )
    with bounded():  # an objective may have layers of its own
        outcome, returned = train_round(model, objective, _in_float32(settings.for_clients()), start)
    if missing := set(strategy.extra) - set(returned):
        raise ConfigurationError(
            f"strategy.server needs {', '.join(sorted(missing))} from each client, which strategy.client"
            f" doesn't return; take the client half that belongs to {type(strategy).__name__}"
        )
    if not outcome.loss <= settings.screening.max_loss or not _finite(model):
        raise ConfigurationError(
            f"training diverges at its first step, to a loss of {outcome.loss:.3g}: lower optimiser.lr,"
            f" which is {settings.optimiser.get('lr', 'its default')}, or the weights of the loss"
        )


def _in_float32(settings: ClientSettings) -> ClientSettings:
    """The settings without lower precision, which not every CPU computes as the clients' devices do."""
    return settings.model_copy(
        update={"training": settings.training.model_copy(update={"precision": "float32", "compile": False})}
    )


def _finite(model: VideoModel) -> bool:
    tensors: Mapping[str, Tensor] = model.state_dict()
    return all(
        math.isfinite(float(tensor.sum())) for tensor in tensors.values() if tensor.is_floating_point()
    )


class _Nothing:
    """The state of a client that keeps none."""

    def recall(self) -> NamedArrays:
        return {}

    def keep(self, server_round: int, arrays: NamedArrays) -> None:
        """Forget them."""
