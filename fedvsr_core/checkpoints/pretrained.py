"""Pretrained weights for a network or for its flow network, from a path or a URL with a checksum."""

import hashlib
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor

from fedvsr_core.checkpoints.official import convert_weights, read_published
from fedvsr_core.errors import CheckpointError, ConfigurationError
from fedvsr_core.layers.spynet import SpyNet
from fedvsr_core.layers.spynet import rename_official as rename_spynet
from fedvsr_core.models.contract import VideoModel

_log = logging.getLogger(__name__)

_URL = re.compile(r"https?://", re.IGNORECASE)
_SPYNET = "spynet."
_CHUNK = 1 << 20  # bytes


def fetch(place: str, sha256: str | None, folder: Path | None = None) -> Path:
    """Find a file of weights, and download it unless that has been done already.

    Args:
        place: A path, or a URL that begins with ``http://`` or ``https://``.
        sha256: The file's checksum, hexadecimal; a URL needs one.
        folder: Where to look first for a file of that name, such as a site's own folder of weights.

    Raises:
        ConfigurationError: If a URL comes without a checksum.
        CheckpointError: If the file isn't there, can't be downloaded, or has another checksum.
    """
    name = place.rstrip("/").rpartition("/")[2]
    if folder is not None and (folder / name).exists():
        return _checked(folder / name, sha256)
    if not _URL.match(place):
        path = Path(place).expanduser()
        if not path.is_file():
            raise CheckpointError(
                f"no file of weights at '{place}' on this machine; copy it there, or into a folder that"
                " the node configuration names: --node-config 'weights-dir=\"/path\"'"
            )
        return _checked(path, sha256)
    if sha256 is None:
        raise ConfigurationError(f"'{place}' is a URL and needs the sha256 of the file; give both")
    path = Path(torch.hub.get_dir()) / "fedvsr" / f"{sha256.lower()}{Path(name).suffix}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _log.info("downloading %s", place)
        try:
            torch.hub.download_url_to_file(place, str(path), hash_prefix=sha256.lower(), progress=False)
        except RuntimeError as error:
            raise CheckpointError(f"'{place}' doesn't have the sha256 {sha256}: {error}") from error
        except (URLError, OSError) as error:
            raise CheckpointError(f"'{place}' can't be downloaded: {error}") from error
    return _checked(path, sha256)


def load_network(model: VideoModel, path: Path, entry: str | None = None, *, any_factor: bool = False) -> str:
    """Load weights of any family into a network; returns the entry of the file that they were under.

    Args:
        model: The network.
        path: The file.
        entry: Which entry to take, or None for the first that is there.
        any_factor: Whether weights for another upscaling factor will do: what of the network's tail they
            don't have stays as it is, which is said in the log.

    Raises:
        CheckpointError: If the file can't be read, or its weights don't fit; lists all names that don't.
    """
    published = read_published(path, entry)
    weights = _with_tail_of(model, path, published.state) if any_factor else published.state
    try:
        model.load_state_dict(convert_weights(weights, model.state_dict(), model.rename_official))
    except CheckpointError as error:
        raise CheckpointError(f"'{path}': {error}") from error
    return published.entry


def load_flow(model: VideoModel, path: Path) -> None:
    """Load weights of SpyNet, alone or as part of a network, into a network's flow network.

    Raises:
        ConfigurationError: If the network has no flow network.
        CheckpointError: If the file can't be read, or its weights don't fit.
    """
    flow = next((module for module in model.modules() if isinstance(module, SpyNet)), None)
    if flow is None:
        raise ConfigurationError(
            f"{type(model).__name__} has no flow network; leave flow.weights empty, or choose another model"
        )
    load_spynet(flow, path)


def load_spynet(flow: SpyNet, path: Path, entry: str | None = None) -> str:
    """Load weights of SpyNet; returns the entry of the file that they were under.

    Files of SpyNet alone lack its two constants, which are the same in all of them.

    Raises:
        CheckpointError: If the file can't be read, or its weights don't fit.
    """
    published = read_published(path, entry)
    inner = {
        name.removeprefix(_SPYNET): tensor
        for name, tensor in published.state.items()
        if name.startswith(_SPYNET)
    }
    weights: dict[str, Any] = {"mean": flow.mean, "std": flow.std} | (inner or published.state)
    try:
        flow.load_state_dict(convert_weights(weights, flow.state_dict(), rename_spynet))
    except CheckpointError as error:
        raise CheckpointError(f"'{path}': {error}") from error
    return published.entry


def sha256_of(path: Path) -> str:
    """The checksum of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _with_tail_of(model: VideoModel, path: Path, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights, with the network's own in the place of those of its tail that don't fit."""
    own, rename = model.state_dict(), model.rename_official
    tail = {name: tensor for name, tensor in own.items() if name.startswith(model.tail)}
    kept = {
        name: tensor
        for name, tensor in weights.items()
        if not rename(name).startswith(model.tail)
        or (rename(name) in tail and tail[rename(name)].shape == tensor.shape)
    }
    new = {name: tail[name] for name in sorted(tail.keys() - set(map(rename, kept)))}
    if new:
        _log.warning(
            "'%s' is for another upscaling factor than %d; these begin anew: %s",
            path,
            model.scale,
            ", ".join(new),
        )
    return kept | new


def _checked(path: Path, sha256: str | None) -> Path:
    if sha256 is not None and (digest := sha256_of(path)) != sha256.lower():
        raise CheckpointError(f"'{path}' must have the sha256 {sha256}, got {digest}; it is another file")
    return path
