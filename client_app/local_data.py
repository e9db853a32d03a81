"""This site's clips: its own data folder, or its part of a shared dataset in simulation."""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from client_app.frame_cache import FrameCache, base_of, decoded_size
from fedvsr_core import devices
from fedvsr_core.components import build
from fedvsr_core.data.degradation import Bicubic, GaussianBlur
from fedvsr_core.data.shots import Shot
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.flower import keys
from fedvsr_core.printable import NAME
from fedvsr_core.settings import ClientSettings

NodeConfig = Mapping[str, object]

MEMORY_MB = 2048
"""Decoded clips that stay in memory, unless the node configuration says otherwise."""
_MAX_FRAMES = 300
"""Frames that a site takes of each of its videos."""
_log = logging.getLogger(__name__)


def client_name(node_config: NodeConfig) -> str:
    """What the federation calls this node in every run: its site's name, else its partition.

    Raises:
        ConfigurationError: If it has neither, or a name that the server wouldn't take.
    """
    if site := node_config.get(keys.SITE):
        if not NAME.fullmatch(str(site)):
            raise ConfigurationError(
                f"'{keys.SITE}' of the node configuration must be letters, digits, dots, hyphens and"
                f" underscores, at most 64, got {str(site)!r:.100}"
            )
        return str(site)
    if (partition := node_config.get(keys.PARTITION_ID)) is not None:
        return f"partition-{partition}"
    raise ConfigurationError(
        f"the node configuration must name the '{keys.SITE}', got {sorted(node_config) or 'nothing'}; start"
        f' the SuperNode with --node-config \'site="north" data-dir="/path/to/videos"\''
    )


def site_data(node_config: NodeConfig, scale: int) -> dict[str, object]:
    """How a site's folders to train on and to score on are read: settings of `Folders`."""
    folders = {
        name: str(node_config[key]) if node_config.get(key) else None
        for name, key in (
            ("folder", keys.DATA_DIR),
            ("low_folder", keys.LOW_DIR),
            ("held_out_folder", keys.HELD_OUT_DIR),
            ("held_out_low_folder", keys.HELD_OUT_LOW_DIR),
        )
    }
    return {
        "_target_": "fedvsr_core.data.layouts.detect.Folders",
        **folders,
        "max_frames": _MAX_FRAMES,
        "scale": scale,
    }


def local_shots(settings: ClientSettings, node_config: NodeConfig) -> list[Shot]:
    """The clips that this node trains on, with their low-resolution frames, decoded when they are sliced.

    Where all of them fit into ``memory-mb`` of the node configuration, they are cached once they are decoded.
    Otherwise what a sample needs is read anew from the files; that is fast from a clip store, and no other.

    Raises:
        ConfigurationError: If the node has neither a data folder nor a partition.
        DataError: If the folder or the partition holds nothing to train on.
    """
    degradation = build(settings.degradation)
    device = devices.choose(str(node_config.get(keys.DEVICE, "auto")))
    if isinstance(degradation, Bicubic | GaussianBlur) and device.type == "cuda":
        degradation = replace(degradation, device=str(device))
    listed = _shots(settings, node_config)
    shots = [shot.degraded(degradation) for shot in listed]
    if recorded := sum(
        before.low is after.low is not None for before, after in zip(listed, shots, strict=True)
    ):
        _log.info(
            "%d of %d clips bring their low-resolution frames; the degradation that is set makes those of the"
            " others",
            recorded,
            len(shots),
        )
    limit = int(float(str(node_config.get(keys.MEMORY_MB, MEMORY_MB))) * 2**20)
    needed = sum(map(decoded_size, {base_of(pixels) for shot in shots for pixels in (shot.high, shot.low)}))
    if needed > limit:
        _log.warning(
            "%d clips need %d MB decoded, more than %s=%d, and are read from their files for every sample;"
            " 'fedvsr data prepare' makes a clip store of them that is faster and needs no memory",
            len(shots),
            needed / 2**20,
            keys.MEMORY_MB,
            limit / 2**20,
        )
        return shots
    cache = _frame_cache(limit)
    return [
        replace(shot, high=cache.wrap(shot.high), low=None if shot.low is None else cache.wrap(shot.low))
        for shot in shots
    ]


def _shots(settings: ClientSettings, node_config: NodeConfig) -> list[Shot]:
    if node_config.get(keys.DATA_DIR):
        own = site_data(node_config, settings.degradation["scale"])
        return _divided(json.dumps(own), None, (0,), 1)
    try:
        parts, count = own_parts(settings, node_config)
    except KeyError as error:
        raise ConfigurationError(
            f"the node configuration must have '{keys.DATA_DIR}', or '{keys.PARTITION_ID}' and"
            f" '{keys.NUM_PARTITIONS}'; start the SuperNode with"
            f" --node-config '{keys.DATA_DIR}=\"/path/to/videos\"'"
        ) from error
    return _divided(json.dumps(settings.data), json.dumps(settings.partition), parts, count)


def own_parts(settings: ClientSettings, node_config: NodeConfig) -> tuple[tuple[int, ...], int]:
    """Which parts are this simulated client's, and of how many.

    Raises:
        ConfigurationError: If it is to stand for several, but isn't alone.
        KeyError: If this isn't a simulation.
    """
    index, count = (int(str(node_config[key])) for key in (keys.PARTITION_ID, keys.NUM_PARTITIONS))
    if (clients := settings.pool.clients) is None:
        return (index,), count
    if count != 1:
        raise ConfigurationError(
            f"pool.clients lets one client stand for {clients}, but there are {count};"
            " add --federation-config 'num-supernodes=1', or set pool.clients=null"
        )
    return settings.pool.parts or tuple(range(clients)), clients


@lru_cache(maxsize=64)
def _divided(data: str, partition: str | None, parts: tuple[int, ...], count: int) -> list[Shot]:
    """List the clips, none decoded; the arguments are JSON, so that they can be the key of the cache."""
    shots: list[Shot] = build(json.loads(data)).train()
    if partition is None:
        return shots
    divided = build(json.loads(partition))(shots, count)
    return [shot for part in parts for shot in divided[part]]


@lru_cache(maxsize=1)
def _frame_cache(limit: int) -> FrameCache:
    """The cache of this process, which serves several clients in simulation."""
    return FrameCache(limit)
