"""Promises: an installed wheel brings its configuration, whatever else is called ``conf`` beside it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fedvsr.installed_app import app_folder

ROOT = Path(__file__).parents[1]
OURS = {"fedvsr", "fedvsr_core", "server_app", "client_app"}
SCRIPT = """
import fedvsr, server_app.config as config
print(config.__file__)
print(type(fedvsr.build_model("recurrent")).__name__, "vid4-y" in config.options("protocol"))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A wheel of this tree, unpacked as pip does."""
    folder = tmp_path_factory.mktemp("wheel")
    words = (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder))
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site-packages")
    return folder / "site-packages"


def test_it_holds_our_packages_and_nothing_else(installed):
    assert {path.name for path in installed.iterdir() if path.suffix != ".dist-info"} == OURS
    theirs, ours = (
        {path.relative_to(conf) for path in conf.rglob("*.yaml")}
        for conf in (installed / "server_app" / "conf", ROOT / "conf")
    )
    assert theirs == {path for path in ours if path.parts[0] != "local"}
    assert (installed / "fedvsr" / "py.typed").is_file()
    assert (installed / "fedvsr" / "__init__.pyi").is_file()


@pytest.mark.parametrize("beside", [["conf.py"], ["conf/__init__.py", "conf/config.yaml"]], ids=str)
def test_it_finds_its_own_configuration(installed, tmp_path, beside):
    for name in beside:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("project: mine\n" if name.endswith("yaml") else "project = 'mine'\n")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{installed}"},
        capture_output=True,
        text=True,
        check=False,
    )
    expected = [str(installed / "server_app" / "config.py"), "Recurrent True"]
    assert done.stdout.splitlines() == expected, done.stderr


MAKE_APP = "from fedvsr.installed_app import app_folder; print(app_folder())"


def test_an_app_is_made_of_it_where_there_is_none(installed, tmp_path):
    def made(**more):
        words = {"PYTHONPATH": str(installed), "FLWR_HOME": str(tmp_path / "flower"), **more}
        done = subprocess.run(
            [sys.executable, "-c", MAKE_APP],
            cwd=tmp_path,
            env={**os.environ, **words},
            capture_output=True,
            text=True,
            check=True,
        )
        return Path(done.stdout.strip())

    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'of somebody else'\n")
    app = made()
    assert app.is_relative_to(tmp_path / "flower")
    assert app.name == "fedvsr"
    names = {path.relative_to(app).as_posix() for path in app.rglob("*") if path.is_file()}
    ours = {
        path.relative_to(ROOT).as_posix()
        for package in ("client_app", "conf", "fedvsr_core", "server_app")
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", ".yaml") and not path.is_relative_to(ROOT / "conf" / "local")
    }
    assert ours | {"pyproject.toml", "README.md", "LICENSE"} == names - {"fedvsr_core/py.typed"}
    for name in ("pyproject.toml", "conf/config.yaml", "server_app/app.py"):
        assert (app / name).read_bytes() == (ROOT / name).read_bytes()
    before = (app / "pyproject.toml").stat().st_mtime_ns
    assert made() == app
    assert (app / "pyproject.toml").stat().st_mtime_ns == before


def test_a_clone_is_taken_as_it_is(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert app_folder() == ROOT
    (tmp_path / "server_app").mkdir()
    (tmp_path / "server_app" / "app.py").touch()
    (tmp_path / "pyproject.toml").touch()
    assert app_folder() == tmp_path
