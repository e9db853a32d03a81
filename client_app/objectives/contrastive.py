"""Minimise the loss plus a contrast of shallow features: near the global model's, off the last local."""

import copy
from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fedvsr_core.data.loaders import to_float
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.flower.arrays import NamedArrays
from fedvsr_core.models.contract import VideoModel
from fedvsr_core.seeds import derive
from fedvsr_core.training.local import LossFunction
from fedvsr_core.training.objective import ArrayStore, Objective, Start

_HEAD, _SHALLOW = "head.", "shallow."


class Contrastive(Objective):
    """Adds ``weight * l`` with ``l = -log(e^(z.g / t) / (e^(z.g / t) + e^(z.p / t)))``, averaged over frames.

    z, g and p are the unit vectors that a projection head makes of the features of one layer: of the model in
    training, of the global model, and of this client's model at the end of its last round. The features are
    averaged over the picture first. The three see the same input of the layer, so only the layer is
    computed three times, not the network.

    The head (linear, ReLU, linear) starts the same on all clients, is trained with the model by the same
    optimiser, and stays with the client, as does the last local layer. In a client's first round the global
    layer stands for it: the term is then constant at the start. The gradient of the term reaches the layer
    and the head; neither g nor p passes a gradient to its layer.

    Args:
        weight: Of the term; FedSR's lambda is 0.1.
        temperature: t; FedSR's is 0.07.
        width: Of the head, hidden and out.
        layer: Name of the layer, such as ``fuse``; None for the first convolution that a forward pass calls
            and that is trained in every round, thus none of `VideoModel.late_parameters`.

    Raises:
        ConfigurationError: If an argument is out of its range.

    Source: the client half of FedSR, as FedVSR (MMSys 2026) describes it; the term is that of MOON
    (Li et al., CVPR 2021), equation 3.
    """

    def __init__(self, *, weight: float, temperature: float, width: int, layer: str | None) -> None:
        if weight < 0 or temperature <= 0 or width < 1:
            raise ConfigurationError(
                f"weight must be >= 0, temperature > 0 and width >= 1, got {weight}, {temperature}, {width}"
            )
        self.weight = weight
        self.temperature = temperature
        self.width = width
        self.layer = layer
        self._terms: list[Tensor] | None = None  # of a forward pass that has begun

    _client_state: ArrayStore
    _round: int
    _live: nn.Module
    _head: nn.Sequential
    _hooks: list[RemovableHandle]

    def begin(self, model: nn.Module, start: Start) -> None:
        """Take the head and the last local layer from the client's state, and hook the layer."""
        self._client_state, self._round = start.client_state, start.server_round
        self._live, channels = self._find_layer(model, start)
        kept = start.client_state.recall()
        before, last = copy.deepcopy(self._live).requires_grad_(False), copy.deepcopy(self._live)
        last.requires_grad_(False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(start.seed, "projection head"))
            self._head = nn.Sequential(
                nn.Linear(channels, self.width), nn.ReLU(), nn.Linear(self.width, self.width)
            )
        if kept:
            _load(self._head, kept, _HEAD)
            _load(last, kept, _SHALLOW)
        self._head.to(start.device)
        self._terms = None

        def expect(model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self._terms = []

        def watch(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if layer.training and torch.is_grad_enabled():
                given = inputs[0].detach()
                with torch.no_grad():
                    theirs, own = before(given), last(given)
                term = self._term(output, theirs, own)  # activation checkpointing must compute the same again
                if self._terms is not None:
                    self._terms.append(term)

        self._hooks = [model.register_forward_pre_hook(expect), self._live.register_forward_hook(watch)]

    def parameters(self) -> Iterable[nn.Parameter]:
        """The head's."""
        return self._head.parameters()

    def loss(self, loss: LossFunction) -> LossFunction:
        """The loss and the term; its parts stay those of the configuration."""

        def with_term(output: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            total, parts = loss(output, target)
            if self._terms:
                total = total + self.weight * torch.stack(self._terms).mean()
            self._terms = None  # what the layer is called for until the next pass is recomputation
            return total, parts

        return with_term

    def end(self, model: nn.Module) -> Mapping[str, NamedArrays]:
        """Keep the head and the trained layer; nothing is returned."""
        for hook in self._hooks:
            hook.remove()
        self._client_state.keep(self._round, _state(self._head, _HEAD) | _state(self._live, _SHALLOW))
        return {}

    def _term(self, output: Tensor, theirs: Tensor, own: Tensor) -> Tensor:
        z, g, p = (F.normalize(self._head(_pooled(features)), dim=1) for features in (output, theirs, own))
        logits = torch.stack([(z * g).sum(1), (z * p).sum(1)], dim=1) / self.temperature  # (N, 2)
        return F.cross_entropy(logits, torch.zeros(len(z), dtype=torch.long, device=z.device))

    def _find_layer(self, model: nn.Module, start: Start) -> tuple[nn.Module, int]:
        """The layer, and the channels of what it returns; found by one forward pass without gradients."""
        called: list[tuple[str, nn.Module, int]] = []
        late = set(model.late_parameters()) if isinstance(model, VideoModel) else set()
        handles = [
            module.register_forward_hook(
                lambda layer, _, output, name=name: called.append((name, layer, output.shape[1]))
            )
            for name, module in model.named_modules()
            if name == self.layer
            or (self.layer is None and _trained_convolution(module) and f"{name}.weight" not in late)
        ]
        low, _ = next(iter(start.batches))
        with torch.no_grad():
            model(to_float(low[:1], start.device))
        for handle in handles:
            handle.remove()
        if not called:
            raise ConfigurationError(
                f"layer must name a part of the model that is called, got '{self.layer}';"
                f" there are: {', '.join(name for name, _ in model.named_children())}"
            )
        return called[0][1:]


def _trained_convolution(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d | nn.Conv3d) and module.weight.requires_grad


def _pooled(features: Tensor) -> Tensor:
    """Features (N, C, ...) averaged over all but the first two axes, (N, C)."""
    return features.flatten(2).mean(2)


def _state(module: nn.Module, prefix: str) -> NamedArrays:
    return {prefix + name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}


def _load(module: nn.Module, arrays: NamedArrays, prefix: str) -> None:
    module.load_state_dict(
        {
            name.removeprefix(prefix): torch.tensor(array)
            for name, array in arrays.items()
            if name.startswith(prefix)
        }
    )
