"""Promises: the digest of a folder, of its bundle and of what runs are one; what holds no code is refused."""

import shutil
from pathlib import Path
from zipfile import ZipFile

import pytest
from typer.testing import CliRunner

from fedvsr.cli.main import app
from fedvsr_core.flower.code import code_digest

ROOT = Path(__file__).parents[4]


def printed(path):
    done = CliRunner().invoke(app, ["code", str(path)], env={"COLUMNS": "300"})
    return done.exit_code, done.output


def test_the_folder_of_what_runs():
    assert printed(ROOT) == (0, f"{code_digest()}\n")


def test_its_bundle(tmp_path):
    with ZipFile(tmp_path / "app.fab", "w") as bundle:
        for path in (one for name in ("client_app", "fedvsr_core") for one in (ROOT / name).rglob("*.py")):
            bundle.write(path, path.relative_to(ROOT))
    assert printed(tmp_path / "app.fab") == (0, f"{code_digest()}\n")


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("fedvsr/engine.py", False),
        ("server_app/records/plots.py", False),
        ("server_app/strategies/fedvsr.py", False),
        ("conf/config.yaml", False),
        ("client_app/app.py", True),
        ("fedvsr_core/losses/charbonnier.py", True),
    ],
)
def test_what_breaks_the_pin_of_a_site(tmp_path, file, changes):
    for name in ("client_app", "conf", "fedvsr", "fedvsr_core", "server_app"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / file).write_text((tmp_path / file).read_text() + "\n# a word\n")
    assert (printed(tmp_path) != (0, f"{code_digest()}\n")) == changes


@pytest.mark.parametrize("name", ["none.fab", "text.fab", "."])
def test_what_holds_no_code(tmp_path, name):
    (tmp_path / "text.fab").write_text("no zip")
    code, said = printed(tmp_path / name)
    assert code == 1
    assert f"'{tmp_path / name}' must" in said or f"'{tmp_path}' must" in said
