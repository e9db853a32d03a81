"""Promises: the digest of a folder, of its bundle and of what runs are one; what holds no code is refused."""

from pathlib import Path
from zipfile import ZipFile

import pytest
from typer.testing import CliRunner

from fedvsr_core.cli.main import app
from fedvsr_core.flower.code import code_digest

ROOT = Path(__file__).parents[3]


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


@pytest.mark.parametrize("name", ["none.fab", "text.fab", "."])
def test_what_holds_no_code(tmp_path, name):
    (tmp_path / "text.fab").write_text("no zip")
    code, said = printed(tmp_path / name)
    assert code == 1
    assert f"'{tmp_path / name}' must" in said or f"'{tmp_path}' must" in said
