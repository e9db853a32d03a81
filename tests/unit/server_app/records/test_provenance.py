"""Provenance says what made the numbers, as plain JSON, and nothing private."""

import getpass
import json
import platform
import re
import shlex
import shutil
import socket
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from flwr.common.config import parse_config_args

from fedvsr_core.flower.code import PACKAGES
from server_app.records import provenance as module
from server_app.records.provenance import command, commit, provenance

RUN_CONFIG = {"strategy": "fedavg", "model": "", "overrides": "seed=1 training.steps=20"}


def test_it_is_plain_json_and_complete() -> None:
    made = provenance(run_id=7, run_config=RUN_CONFIG, seed=7, device="cpu", code="ab12")
    assert json.loads(json.dumps(made)) == made
    assert (made["seed"], made["device"], made["code"]) == (7, "cpu", "ab12")
    assert made["run-config"] == RUN_CONFIG
    assert made["versions"]["python"] == platform.python_version()
    assert made["versions"]["torch"] == torch.__version__.split("+")[0]
    assert made["cpus"] >= 1


def test_nothing_private_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["flwr-serverapp", "--token", "s3cr3t-token"])
    monkeypatch.setenv("API_KEY", "s3cr3t-key")
    text = json.dumps(provenance(run_id=7, run_config=RUN_CONFIG, seed=0, device="cpu", code=""))
    words = set(re.findall(r"[\w-]+", text))
    assert "s3cr3t" not in text
    assert not {socket.gethostname(), getpass.getuser(), str(Path.home())} & words


@pytest.mark.parametrize(
    ("run_config", "expected"),
    [
        ({"strategy": "", "model": ""}, "flwr run . --stream"),
        ({"strategy": "fedavg", "model": ""}, "flwr run . --stream --run-config 'strategy=\"fedavg\"'"),
        (
            RUN_CONFIG,
            'flwr run . --stream --run-config \'overrides="seed=1 training.steps=20" strategy="fedavg"\'',
        ),
    ],
    ids=["defaults", "one", "two"],
)
def test_the_command_by_hand(run_config: dict[str, str], expected: str) -> None:
    assert command(run_config) == expected


def test_flower_reads_the_command_as_it_was_given() -> None:
    given = {"a": "it's \\ and ä", "b": 3, "c": True, "d": 0.5, "e": 'model.name="x" seed=1'}
    assert parse_config_args(shlex.split(command(given))[-1:]) == given


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_the_commit_is_that_of_this_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "provenance.py"
    monkeypatch.setattr(module, "__file__", str(copy))
    monkeypatch.setattr(module, "_same_in_checkout", lambda: None)
    copy.write_text("one\n")
    assert commit() is None, "not in a repository"
    git(tmp_path, "init", "--quiet")
    assert commit() is None, "in a repository that doesn't know the file"
    git(tmp_path, "add", "provenance.py")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert commit() == head
    copy.write_text("two\n")
    assert commit() == f"{head}+changes"
    monkeypatch.setenv("PATH", "")
    assert commit() is None, "no git on this machine"


def test_a_copy_has_the_commit_of_the_checkout_with_the_same_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*PACKAGES, "server_app"):
        shutil.copytree(Path(__file__).parents[4] / name, tmp_path / name)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    origin = json.dumps({"url": tmp_path.as_uri(), "dir_info": {"editable": True}})
    monkeypatch.setattr(module, "distribution", lambda _: SimpleNamespace(read_text=lambda _: origin))
    monkeypatch.setattr(module, "__file__", str(tmp_path.parent / "provenance.py"))
    assert commit() == git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "client_app" / "app.py").write_text("other code\n")
    assert commit() is None, "it isn't the code that runs"
