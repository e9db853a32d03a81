"""Train video super-resolution models together, and use them: the names that a script needs.

``import fedvsr`` loads nothing else; each name brings what it needs when it is first used.
"""

from importlib import import_module
from importlib.metadata import version
from typing import Any

_MODULES = ("degradations", "losses", "metrics", "models", "strategies")
_HOMES = {
    "ClipDataset": "fedvsr.clip_dataset",
    "HighFrequencyLoss": "fedvsr.losses",
    "build_model": "fedvsr.models",
    "load_model": "fedvsr.loading",
    "load_pretrained": "fedvsr.loading",
    "loss_aware": "fedvsr_core.aggregation.weights",
    "upscale": "fedvsr.upscaling",
}

__all__ = (
    "ClipDataset",
    "HighFrequencyLoss",
    "__version__",
    "build_model",
    "degradations",
    "load_model",
    "load_pretrained",
    "loss_aware",
    "losses",
    "metrics",
    "models",
    "strategies",
    "upscale",
)


def __getattr__(name: str) -> Any:  # noqa: ANN401 (whatever the name stands for)
    if name == "__version__":
        return version("fedvsr")
    if name in _MODULES:
        return import_module(f"fedvsr.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'fedvsr' has no name '{name}'; there are: {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
