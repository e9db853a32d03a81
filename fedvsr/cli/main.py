"""The command ``fedvsr``."""

import errno
import importlib
import io
import sys
from typing import Any

import click
import typer
from typer.core import TyperGroup

from fedvsr_core.components import nearest
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

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        if cmd_name not in _COMMANDS:
            ctx.fail(f"there is no command '{cmd_name}'{nearest(cmd_name, _COMMANDS)}")
        module = importlib.import_module(f"fedvsr.cli.{_COMMANDS[cmd_name]}")
        if hasattr(module, "app"):
            command = typer.main.get_command(module.app)
        else:
            alone = typer.Typer(add_completion=False)
            alone.command()(getattr(module, cmd_name.replace("-", "_")))
            command = typer.main.get_command(alone)
        command.name = cmd_name
        return command

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


app = typer.Typer(cls=_Group, no_args_is_help=True)


@app.callback()
def main() -> None:
    """Train video super-resolution models together, and use them."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that isn't UTF-8 is shown escaped, as on stderr
        sys.stdout.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    app()
