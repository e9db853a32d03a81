"""Promises: the images' versions are pinned for every dependency."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.match(r"[\w-]+", one)[0] for one in project["dependencies"]}
    pinned = set(re.findall(r"^([\w-]+)==", (ROOT / "deploy/constraints.txt").read_text(), re.MULTILINE))
    assert len(wanted) > 10
    assert wanted <= pinned
