"""Which device computes, and what it is called."""

import ctypes
import resource
import sys

import torch

from fedvsr_core.errors import ConfigurationError


def choose(name: str = "auto") -> torch.device:
    """The device of a name; ``auto`` takes CUDA, else Apple's MPS, else the CPU.

    Raises:
        ConfigurationError: If torch can't use the device on this machine.
    """
    if name == "auto":
        mps = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA raises AssertionError
        raise ConfigurationError(
            f"device must be auto, cpu, cuda, cuda:N or mps; torch can't use '{name}': {error}"
        ) from error


def describe(device: torch.device) -> str:
    """A device in words, such as ``cuda:0 NVIDIA A100`` or ``cpu``."""
    return f"{device} {torch.cuda.get_device_name(device)}" if device.type == "cuda" else device.type


def return_freed_memory() -> None:
    """Let the system have the freed memory of this process that lies between what it still uses.

    glibc keeps it otherwise: between checkpoints of a network, where large tensors come and go, that can be
    more than what is in use. Other C libraries are left alone.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory so far in MB: allocated on a CUDA device, else resident in this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes; bytes on macOS
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
