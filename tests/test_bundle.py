"""Promises: the packages, the configuration and three files travel to the nodes; nothing else does."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("client_app", "conf", "fedvsr_core", "server_app")
BESIDE = {"LICENSE", "README.md", "pyproject.toml"}
LIMIT_MB = 10  # Flower's


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The app bundle of a copy of this tree, with things in it that must stay at home; (path, names)."""
    app = tmp_path_factory.mktemp("bundle") / "fedvsr"  # Flower wants a folder's name without underscores
    ignored = shutil.ignore_patterns(".git", "__pycache__", ".*_cache", ".hypothesis", "outputs", "*.fab")
    shutil.copytree(ROOT, app, ignore=ignored)
    for name in (
        "conf/local/here.yaml",
        "outputs/run.json",
        "notes.md",
        "secret.yaml",
        ".hidden.yaml",
        "x/conf/y.yaml",
    ):
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text("private: 1\n")
    done = subprocess.run(
        [sys.executable, "-m", "flwr.cli.app", "build", "--app", str(app)],
        cwd=app.parent,
        env={**os.environ, "FLWR_DISABLE_UPDATE_CHECK": "1", "FLWR_TELEMETRY_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    (path,) = app.parent.glob("*.fab")
    with zipfile.ZipFile(path) as archive:
        return path, sorted(name for name in archive.namelist() if not name.startswith(".info/"))


def test_it_holds_every_file_of_the_packages(bundle):
    files = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", ".yaml") and not path.is_relative_to(ROOT / "conf" / "local")
    }
    assert {"conf/config.yaml", "conf/strategy/fedvsr.yaml", "server_app/app.py"} <= files
    assert set(bundle[1]) == files | BESIDE


def test_it_is_small_enough_for_flower(bundle):
    assert 0 < bundle[0].stat().st_size < LIMIT_MB * 2**20


def test_what_is_bundled_composes_on_its_own(bundle, tmp_path):
    with zipfile.ZipFile(bundle[0]) as archive:
        archive.extractall(tmp_path)
    script = (
        "import server_app.config as config; print(config.__file__);"
        "print(config.compose({'data': 'synthetic'}).names['data'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "FEDVSR_RUNS": "/runs"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [str(tmp_path / "server_app" / "config.py"), "synthetic"]
