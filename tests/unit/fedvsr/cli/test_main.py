"""Promises: every command is there, and starting a process of a federation doesn't wait for torch."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from fedvsr.cli.main import app

COMMANDS = list(typer.main.get_command(app).list_commands(None))


def test_the_commands_were_found():
    assert {"run", "upscale", "import-checkpoint", "data", "deploy"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help(command):
    done = CliRunner().invoke(app, [command, "--help"], prog_name="fedvsr")
    assert done.exit_code == 0
    assert f"fedvsr {command}" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["runs"], "Folder of runs; default"),
        (["upscale"], "folders of frames"),
        (["data", "check"], "of a dataset or of a clip store"),
    ],
)
def test_the_help_says_what_an_argument_is(words, said):
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"}).output
    assert said in shown.partition("Arguments")[2].partition("Options")[0]


def test_the_help_names_every_command():
    shown = CliRunner().invoke(app, ["--help"]).output
    assert [command for command in COMMANDS if command not in shown] == []


def test_an_unknown_command_is_refused():
    done = CliRunner().invoke(app, ["upscail"])
    assert done.exit_code == 2
    assert "there is no command 'upscail'; did you mean 'upscale'?" in done.output


def test_deploy_loads_nothing_heavy():
    modules = "fedvsr.cli.main, fedvsr.cli.deploy"
    code = f"import sys, {modules}; print({{'torch', 'flwr'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_version_is_that_of_the_project():
    done = CliRunner().invoke(app, ["--version"])
    assert done.exit_code == 0
    project = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"]
    assert done.output.strip() == project["version"]
