"""The command ``fedvsr``."""

import ast
import errno
import importlib
import io
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup
from typer.utils import get_params_from_function

from fedvsr_core.errors import FedVSRError
from fedvsr_core.printable import printable

_COMMANDS = {
    "run": "federation",
    "stop": "federation",
    "runs": "runs",
    "doctor": "doctor",
    "code": "code",
    "compare": "compare",
    "report": "report",
    "watch": "watch",
    "publish": "publish",
    "export": "export",
    "track": "track",
    "upscale": "upscale",
    "evaluate": "evaluate",
    "import-checkpoint": "import_checkpoint",
    "data": "data",
    "deploy": "deploy",
}
"""In the order of the help: the command, and a module with an ``app`` or a function so called."""


class _Group(TyperGroup):
    """Imports a command when it's called, and shows our own errors as the sentence they are.

    A unit that starts a SuperLink shouldn't wait for torch.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """What the help says of a command."""
        return TyperCommand(cmd_name, help=_said_of(cmd_name)) if cmd_name in _COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is called."""
        cmd_name = args[0]
        if cmd_name not in _COMMANDS:
            from fedvsr_core.components import nearest

            ctx.fail(f"there is no command '{cmd_name}'{nearest(cmd_name, _COMMANDS)}")
        module = importlib.import_module(f"fedvsr.cli.{_COMMANDS[cmd_name]}")
        if hasattr(module, "app"):
            command = typer.main.get_command(module.app)
        else:
            alone = typer.Typer(add_completion=False)
            alone.command()(getattr(module, cmd_name.replace("-", "_")))
            command = typer.main.get_command(alone)
        command.name = cmd_name
        _explain_arguments(command)
        return cmd_name, command, args[1:]

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 (as in click)
        try:
            return super().invoke(ctx)
        except FedVSRError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever reads what we say has heard enough: click knows
                raise
            remedy = "see that the disk has room, and that you may do this there"
            raise click.ClickException(printable(f"{error}; {remedy}")) from error


def _explain_arguments(command: click.Command) -> None:
    """Give arguments the help that they are declared with: typer 0.20 loses it beside click 8.5."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _explain_arguments(inner)
        return
    declared = get_params_from_function(command.callback) if command.callback else {}
    for parameter in command.params:
        if isinstance(parameter, TyperArgument) and not parameter.help and parameter.name in declared:
            parameter.help = getattr(declared[parameter.name].default, "help", None)


def _said_of(cmd_name: str) -> str:
    """The docstring of a command, read without importing what it needs."""
    module = ast.parse(Path(__file__).with_name(f"{_COMMANDS[cmd_name]}.py").read_text(encoding="utf-8"))
    for node in module.body:
        match node:
            case ast.FunctionDef(name=name) if name == cmd_name.replace("-", "_"):
                return ast.get_docstring(node) or ""
            case ast.Assign(value=ast.Call(keywords=keywords)):  # several commands: typer.Typer(help="...")
                for keyword in keywords:
                    if keyword.arg == "help" and isinstance(keyword.value, ast.Constant):
                        return str(keyword.value.value)
    return ""


app = typer.Typer(cls=_Group, no_args_is_help=True)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(version_of("fedvsr"))
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Train video super-resolution models together, and use them."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that isn't UTF-8 is shown escaped, as on stderr
        sys.stdout.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    app()
