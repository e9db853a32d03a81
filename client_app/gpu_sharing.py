"""How many simulated clients fit a GPU, told from what the first round of one of them took."""

import logging

import torch

from client_app.local_data import NodeConfig
from fedvsr_core.flower import keys

_log = logging.getLogger(__name__)

_CONTEXT_MB = 600
"""What a process takes of a GPU beside its tensors: CUDA's context and libraries' kernels."""


def clients_that_fit(needed_mb: float, total_mb: float) -> int:
    """How many clients can train on a GPU at a time, at least 1.

    Args:
        needed_mb: The most that the tensors of one client took.
        total_mb: The GPU's memory.
    """
    return max(int(total_mb // (needed_mb + _CONTEXT_MB)), 1)


def sentence(device_name: str, clients: int, nodes: int) -> str:
    """What to start a simulation with, such as ``3 clients fit this GPU: --federation-config '...'``."""
    words = "1 client fits" if clients == 1 else f"{clients} clients fit"
    share = int(1000 / clients) / 1000  # rounded down: Ray counts in thousandths
    return (
        f"{words} this GPU ({device_name}): --federation-config"
        f" 'num-supernodes={nodes} init-args-num-gpus=1 client-resources-num-gpus={share}'"
    )


def tell_what_fits(device: torch.device, node_config: NodeConfig, server_round: int) -> None:
    """Say it once: after the first round of the first client of a simulation on a GPU."""
    if device.type != "cuda" or server_round != 1 or node_config.get(keys.PARTITION_ID) != 0:
        return
    needed = torch.cuda.max_memory_reserved(device) / 2**20
    total = torch.cuda.get_device_properties(device).total_memory / 2**20
    nodes = int(str(node_config[keys.NUM_PARTITIONS]))
    _log.warning(sentence(torch.cuda.get_device_name(device), clients_that_fit(needed, total), nodes))
