"""This site's clips: its own data folder, or its part of a shared dataset in simulation."""

import json
from collections.abc import Mapping
from functools import lru_cache

from fedvsr_core.components import build
from fedvsr_core.data.clips import Clip
from fedvsr_core.data.degradation import with_low
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.flower import keys
from fedvsr_core.settings import ClientSettings

NodeConfig = Mapping[str, object]

SITE_DATA = {"_target_": "fedvsr_core.data.videos.Videos", "held_out_folder": None, "max_frames": 300}
"""How a site's data folder is read, but for the folder itself and the scale."""


def client_name(node_config: NodeConfig) -> str:
    """What the federation calls this node in every run: its site's name, else its partition.

    Raises:
        ConfigurationError: If it has neither.
    """
    if site := node_config.get(keys.SITE):
        return str(site)
    if (partition := node_config.get(keys.PARTITION_ID)) is not None:
        return f"partition-{partition}"
    raise ConfigurationError(
        f"the node configuration must name the '{keys.SITE}', got {sorted(node_config) or 'nothing'}; start"
        f' the SuperNode with --node-config \'site="north" data-dir="/path/to/videos"\''
    )


def local_clips(settings: ClientSettings, node_config: NodeConfig) -> list[Clip]:
    """The clips that this node trains on, with their low-resolution frames; prepared once per process.

    Raises:
        ConfigurationError: If the node has neither a data folder nor a partition.
        DataError: If the folder or the partition holds nothing to train on.
    """
    degradation = json.dumps(settings.degradation)
    if folder := node_config.get(keys.DATA_DIR):
        own = {**SITE_DATA, "folder": str(folder), "scale": settings.degradation["scale"]}
        return _prepare(json.dumps(own), None, 0, 1, degradation)
    try:
        index, count = (int(str(node_config[key])) for key in (keys.PARTITION_ID, keys.NUM_PARTITIONS))
    except KeyError as error:
        raise ConfigurationError(
            f"the node configuration must have '{keys.DATA_DIR}', or '{keys.PARTITION_ID}' and"
            f" '{keys.NUM_PARTITIONS}'; start the SuperNode with"
            f" --node-config '{keys.DATA_DIR}=\"/path/to/videos\"'"
        ) from error
    return _prepare(json.dumps(settings.data), json.dumps(settings.partition), index, count, degradation)


@lru_cache(maxsize=64)
def _prepare(data: str, partition: str | None, index: int, count: int, degradation: str) -> list[Clip]:
    """Decode and degrade; the arguments are JSON, so that they can be the key of the cache."""
    shots = build(json.loads(data)).train()
    if partition is not None:
        shots = build(json.loads(partition))(shots, count)[index]
    degrade = build(json.loads(degradation))
    return [with_low(shot.clip(), degrade) for shot in shots]
