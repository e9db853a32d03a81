"""Promises: what an installation takes is pinned for every dependency, with hashes, alike everywhere."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PINNED = re.compile(r"^([\w-]+)==(\S+)", re.MULTILINE)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def read(name):
    return (ROOT / "deploy" / name).read_text()


def test_every_dependency_is_pinned():
    wanted = {re.match(r"[\w-]+", one)[0] for one in PROJECT["dependencies"]}
    pinned = dict(PINNED.findall(read("constraints.txt")))
    locked = dict(PINNED.findall(read("requirements.txt")))
    assert len(wanted) > 10
    assert wanted <= set(pinned)
    assert pinned.items() <= locked.items()


def test_every_package_has_a_hash():
    for name in ("requirements.txt", "requirements-build.txt"):
        packages = re.split(r"\n(?=[\w-]+==)", read(name))[1:]
        assert len(packages) > 5
        for package in packages:
            assert re.fullmatch(r"[\w-]+==\S+( \\\n    --hash=sha256:[0-9a-f]{64})+\n?", package), package


def test_what_builds_the_project_is_pinned_alike():
    build, locked = (dict(PINNED.findall(read(f"requirements{part}.txt"))) for part in ("-build", ""))
    assert {"hatchling", "setuptools"} <= set(build)
    assert build.items() <= locked.items()
