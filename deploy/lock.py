"""Write deploy/requirements.txt: each package of the closure, in one version, with the hashes of its files.

``python deploy/lock.py`` resolves anew within deploy/constraints.txt. With ``--check`` it ends with 1 if the
file isn't true: a package is missing or too many, or has other files. Either ends with 2 if uv can't resolve,
as where the index of packages can't be reached.

The files are those for Linux on x86-64 with CPython 3.11 to 3.13; the source where a package has no other.
Needs uv, which comes with Flower, and the index of packages.
"""

import argparse
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

FOLDER = Path(__file__).parent
LOCK, BUILD_LOCK = FOLDER / "requirements.txt", FOLDER / "requirements-build.txt"
PYTHONS = ((3, 11), (3, 12), (3, 13))
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(5, 37)] + [
    f"manylinux{year}_x86_64" for year in (1, 2010, 2014)
]
"""Up to glibc 2.36, of Debian 12."""
BUILD = ("hatchling", "setuptools")
"""What builds this project, and the packages that come as a source alone; installed before them."""
HEAD = """\
# Made by 'python deploy/lock.py' from pyproject.toml and deploy/constraints.txt, for Linux on x86-64 and
# CPython 3.11 to 3.13. Install with --require-hashes: no other file is then taken, whoever offers it.
"""


def locked(*, anew: bool) -> dict[Path, str]:
    """What the files must hold.

    Args:
        anew: Whether what deploy/constraints.txt leaves open may be newer than in the files that are there.
    """
    earlier = () if anew or not LOCK.exists() else ("--constraint", str(LOCK))
    packages = _compiled(str(FOLDER.parent / "pyproject.toml"), "--extra", "sample", *earlier)
    needed = {package["name"] for package in _compiled(*earlier)}
    wanted = {tag for version in PYTHONS for tag in _tags(version)}
    lines = {package["name"]: _lines(package, wanted) for package in packages}
    build = [line for name, line in lines.items() if name in needed]
    return {LOCK: HEAD + "".join(lines.values()), BUILD_LOCK: HEAD + "".join(build)}


def _compiled(*more: str) -> list[dict[str, Any]]:
    """The closure of `BUILD` and more, with all files of each package."""
    command = (
        *(sys.executable, "-m", "uv", "pip", "compile", "-", *more),
        *("--constraint", str(FOLDER / "constraints.txt")),
        *("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_36"),
        *("--format", "pylock.toml", "--quiet", "--system-certs"),
    )
    done = subprocess.run(command, input="\n".join(BUILD), text=True, capture_output=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
        sys.exit(2)
    packages: list[dict[str, Any]] = tomllib.loads(done.stdout)["packages"]
    return packages


def _tags(version: tuple[int, int]) -> Iterator[Tag]:
    yield from cpython_tags(version, platforms=PLATFORMS)
    yield from compatible_tags(version, f"cp{version[0]}{version[1]}", PLATFORMS)


def _lines(package: Mapping[str, Any], wanted: set[Tag]) -> str:
    wheels = [
        wheel
        for wheel in package.get("wheels", ())
        if wanted & parse_wheel_filename(wheel["url"].rpartition("/")[2])[3]
    ]
    hashes = sorted(file["hashes"]["sha256"] for file in wheels or [package["sdist"]])
    return (
        " \\\n    ".join(
            [f"{package['name']}=={package['version']}", *(f"--hash=sha256:{each}" for each in hashes)]
        )
        + "\n"
    )


def main() -> int:
    """Write the file, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    wrong = 0
    for path, text in locked(anew=not check).items():
        if not check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            wrong += 1
            sys.stderr.write(f"'{path}' isn't what 'python deploy/lock.py' writes; call that\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
