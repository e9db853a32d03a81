"""Promises: an installed wheel brings its configuration, whatever else is called ``conf`` beside it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("beside", ["conf.py", "conf/__init__.py", "conf/config.yaml", ""])
def test_it_finds_its_own_configuration(installed, tmp_path, beside):
    if beside:
        (tmp_path / beside).parent.mkdir(exist_ok=True)
        (tmp_path / beside).write_text("project: mine\n" if beside.endswith("yaml") else "project = 'mine'\n")
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
