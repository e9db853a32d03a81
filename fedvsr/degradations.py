"""Low-resolution frames: the field's named ways to make them, and those of ``conf/degradation`` by name."""

from fedvsr_core.components import build, nearest
from fedvsr_core.data.clips import Frames
from fedvsr_core.data.degradation import Degradation, Place, bd12, bd13, bicubic_down, bicubic_up, modcrop
from fedvsr_core.errors import ConfigurationError
from server_app.config import compose, options

__all__ = (
    "bd12",
    "bd13",
    "bicubic_down",
    "bicubic_up",
    "build_degradation",
    "degrade",
    "modcrop",
    "names",
)


def names() -> list[str]:
    """The names that `degrade` knows: the files of ``conf/degradation``."""
    return options("degradation")


def degrade(frames: Frames, name: str = "bi", *, scale: int = 4, clip: str = "") -> Frames:
    """Make the low-resolution frames of a clip.

    Args:
        frames: The clip, uint8 (T, sH, sW, 3), RGB; its bottom and right are cut to multiples of the scale.
        name: A degradation, such as ``bi`` or ``realistic``.
        scale: Factor from low to high resolution.
        clip: A name for the clip. Strengths and noise that a degradation draws follow from it: equal names
            get equal ones.

    Returns:
        uint8 (T, H, W, 3).

    Raises:
        ConfigurationError: If there is no such degradation.
        ShapeError: If the frames aren't uint8 RGB, or the degradation isn't defined for the scale.
    """
    high = modcrop(frames, scale)
    height, width = (size // scale for size in high.shape[-3:-1])
    return build_degradation(name, scale)(high, Place(clip, 0, 0, 0, height, width))


def build_degradation(name: str, scale: int = 4) -> Degradation:
    """A degradation of ``conf/degradation``.

    Raises:
        ConfigurationError: If there is none of that name, or it isn't defined for the scale.
    """
    if name not in (known := names()):
        raise ConfigurationError(f"there is no degradation '{name}'{nearest(name, known)}")
    made: Degradation = build(
        compose({"overrides": f"degradation={name} degradation.scale={scale}"}).degradation
    )
    return made
