"""Files that only their owner may read, written once and never again."""

import os
from pathlib import Path


def write_once(path: Path, content: bytes, *, secret: bool) -> None:
    """Write a file that must not exist, with its final permissions from the first moment.

    Args:
        path: The file; its folder exists.
        content: All of it.
        secret: Whether nobody but the owner may read it.

    Raises:
        FileExistsError: If it is there already; it stays as it was.
    """
    mode = 0o600 if secret else 0o644
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # whatever the umask
        file.write(content)
        file.flush()
        os.fsync(descriptor)
