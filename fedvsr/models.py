"""The networks: their classes, and those of ``conf/model`` by name."""

from typing import Any

from fedvsr_core.components import build, problems
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.models.basicvsr import BasicVSR
from fedvsr_core.models.basicvsrpp import BasicVSRPlusPlus
from fedvsr_core.models.contract import SizeNeeds, VideoModel
from fedvsr_core.models.iart import IART
from fedvsr_core.models.recurrent import Recurrent
from fedvsr_core.models.rvrt import RVRT
from fedvsr_core.models.vrt import VRT
from server_app.config import compose, options

__all__ = (
    "IART",
    "RVRT",
    "VRT",
    "BasicVSR",
    "BasicVSRPlusPlus",
    "Recurrent",
    "SizeNeeds",
    "VideoModel",
    "build_model",
    "names",
    "settings_of",
)


def names() -> list[str]:
    """The names that `build_model` knows: the files of ``conf/model``."""
    return options("model")


def build_model(name: str, **arguments: Any) -> VideoModel:  # noqa: ANN401 (a constructor's)
    """A network of ``conf/model``, with random weights, on the CPU and in evaluation mode.

    Args:
        name: Such as ``rvrt``.
        arguments: Of its class, in the place of those in its yaml; such as ``num_block=15``.

    Raises:
        ConfigurationError: If there is no such network, or an argument is none of its class.
    """
    settings = settings_of(name, **arguments)
    network: VideoModel = build(settings)
    return network.eval()


def settings_of(name: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 (a constructor's)
    """What a network of ``conf/model`` is built from: its class as ``_target_``, and all of its arguments.

    Args:
        name: As for `build_model`.
        arguments: As for `build_model`.

    Raises:
        ConfigurationError: As `build_model`.
    """
    settings = {**compose({"model": name}).model, **arguments}
    if wrong := list(problems(settings, name, kind=VideoModel)):
        raise ConfigurationError("; ".join(wrong))
    return settings
