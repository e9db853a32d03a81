"""The folder that Flower is given to run: a clone of the repository, or one made of an installed wheel."""

import shutil
from collections.abc import Iterator
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

from fedvsr_core.errors import DataError
from fedvsr_core.flower.home import flower_home

_PACKAGES = ("client_app", "fedvsr_core", "server_app")
_BESIDE = Path(__file__).with_name("bundle")
"""In a wheel: the files that lie beside the packages in the repository."""


def app_folder() -> Path:
    """The app that is meant where nobody names one.

    That is this folder, if the app lies here; else the repository that is installed for development; else a
    folder below Flower's home, which is made of an installed wheel once for each state of it.

    Raises:
        DataError: If what is installed is no whole app.
    """
    for folder in (Path.cwd(), Path(__file__).parents[1]):
        if (folder / "pyproject.toml").is_file() and (folder / "server_app" / "app.py").is_file():
            return folder
    files = dict(_files())
    if "pyproject.toml" not in files:
        raise DataError(
            "the app isn't here, and what is installed lacks parts of it; install fedvsr anew, or name the"
            " folder of a clone"
        )
    digest = sha256()
    for name, path in sorted(files.items()):
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    target = flower_home() / "fedvsr-app" / digest.hexdigest()[:16] / "fedvsr"
    if not target.is_dir():
        _copy(files, target)
    return target


def _files() -> Iterator[tuple[str, Path]]:
    """The files of the app by their place in the repository."""
    folders = {name: find_spec(name) for name in _PACKAGES}
    roots = {name: Path(spec.origin).parent for name, spec in folders.items() if spec and spec.origin}
    roots |= {"": _BESIDE, "conf": roots["server_app"] / "conf"}
    for name, root in roots.items():
        for path in root.rglob("*"):
            inside = path.relative_to(root)
            elsewhere = name == "server_app" and inside.parts[0] == "conf"
            if path.is_file() and path.suffix != ".pyc" and not elsewhere:
                yield (Path(name) / inside).as_posix(), path


def _copy(files: dict[str, Path], target: Path) -> None:
    """Copy files to a folder that appears whole, even if two runs begin at once."""
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(mkdtemp(dir=target.parent, prefix="making-"))
    for name, path in files.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, made / name)
    try:
        made.rename(target)
    except OSError:  # another run was faster
        shutil.rmtree(made)
