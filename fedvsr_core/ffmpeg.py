"""Where ffmpeg is."""

import importlib
import shutil

from fedvsr_core.errors import MissingToolError


def find_ffmpeg(purpose: str) -> str:
    """Find ffmpeg: that of the package imageio-ffmpeg, or else the system's.

    Args:
        purpose: What it is needed for, for the error message.

    Raises:
        MissingToolError: If there is none.
    """
    try:
        return str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # not installed, or without its binary
        if program := shutil.which("ffmpeg"):
            return program
    raise MissingToolError(f"{purpose} needs ffmpeg; install it with: pip install imageio-ffmpeg")
