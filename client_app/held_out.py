"""This site's own held-out clips: the model is scored on them, and nobody trains on them."""

from collections.abc import Mapping
from functools import lru_cache

import torch

from client_app.local_data import NodeConfig, own_parts, site_data
from fedvsr_core.components import build
from fedvsr_core.data.partition import divide_held_out
from fedvsr_core.data.shots import Shot
from fedvsr_core.evaluation.held_out import HeldOut, build_held_out
from fedvsr_core.flower import keys
from fedvsr_core.settings import ClientSettings


def own_held_out(settings: ClientSettings, node_config: NodeConfig, device: torch.device) -> HeldOut | None:
    """The held-out clips of this node, decoded and degraded; the last few are kept by the process.

    A site names their folder in its node configuration as `keys.HELD_OUT_DIR`. In simulation they are the
    dataset's held-out clips, as `divide_held_out` divides them; some clients may have none.

    Args:
        settings: What the server sent.
        node_config: What this node was started with.
        device: Where to compute.

    Returns:
        The clips, or None if this node has none.

    Raises:
        DataError: If the folder holds none, or overlaps with the one to train on.
    """
    folders = (keys.DATA_DIR, keys.HELD_OUT_DIR, keys.HELD_OUT_LOW_DIR)
    chosen = (*folders, keys.PARTITION_ID, keys.NUM_PARTITIONS)
    where = tuple((key, str(node_config[key])) for key in chosen if key in node_config)
    return _prepare(settings.model_dump_json(), where, device)


@lru_cache(maxsize=4)
def _prepare(settings: str, where: tuple[tuple[str, str], ...], device: torch.device) -> HeldOut | None:
    """The arguments can be the key of the cache."""
    known = ClientSettings.model_validate_json(settings)
    shots = _shots(known, dict(where))
    return build_held_out(known, shots, device) if shots else None


def _shots(settings: ClientSettings, where: Mapping[str, str]) -> list[Shot]:
    if where.get(keys.DATA_DIR):
        if not where.get(keys.HELD_OUT_DIR):
            return []
        return list(build(site_data(where, settings.degradation["scale"])).held_out())
    parts, count = own_parts(settings, where)
    divided = divide_held_out(build(settings.partition), list(build(settings.data).held_out()), count)
    return [shot for part in parts for shot in divided[part]]
