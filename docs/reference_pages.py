"""The pages of the reference that are made from the command line's help and from ``conf/``."""

from collections.abc import Iterator
from pathlib import Path

import click
import typer

from fedvsr.cli.main import app

_MADE = "<!-- Made by docs/reference_pages.py; not in the repository. -->\n"


def write_pages(root: Path) -> None:
    """Write docs/reference/command-line.md and docs/reference/configuration.md.

    Args:
        root: The repository.
    """
    folder = root / "docs" / "reference"
    (folder / "command-line.md").write_text("\n".join(command_line()))
    (folder / "configuration.md").write_text("\n".join(configuration(root / "conf")))


def command_line() -> Iterator[str]:
    """All commands with their arguments and options."""
    yield f"{_MADE}# Command line\n"
    yield "`fedvsr COMMAND --help` says the same; `fedvsr --install-completion` completes words.\n"
    group = typer.main.get_command(app)
    yield from _commands(group, click.Context(group, info_name="fedvsr"))


def configuration(folder: Path) -> Iterator[str]:
    """Every group of ``conf/`` with all of its files."""
    yield f"{_MADE}# Configuration\n"
    yield "`conf/config.yaml` has the defaults; each group below has a folder, each choice a file.\n"
    yield "```yaml\n" + (folder / "config.yaml").read_text() + "```\n"
    for group in sorted(path for path in folder.iterdir() if path.is_dir() and path.name != "local"):
        yield f"## {group.name}\n"
        for file in sorted(group.glob("*.yaml")):
            yield f"### {group.name}={file.stem}\n\n```yaml\n{file.read_text()}```\n"


def _commands(command: click.Command, context: click.Context) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            _, inner, _ = command.resolve_command(context, [name])
            assert inner is not None
            yield from _commands(inner, click.Context(inner, info_name=name, parent=context))
        return
    yield f"## {context.command_path}\n"
    yield f"{_plain(command.help)}\n"
    pieces = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{context.command_path} {pieces}\n```\n"
    rows = [record for parameter in command.params if (record := _row(parameter, context))]
    if rows:
        yield "| | |\n| --- | --- |"
        yield from rows
        yield ""


def _row(parameter: click.Parameter, context: click.Context) -> str:
    if parameter.name == "help":
        return ""
    if isinstance(parameter, click.Option):
        name, said = ", ".join(parameter.opts + parameter.secondary_opts), parameter.help
    else:
        name, said = parameter.make_metavar(context), getattr(parameter, "help", "")
    default = parameter.get_default(context)
    told = (
        f" Default: `{default}`."
        if default not in (None, "", False, [], ()) and not callable(default)
        else ""
    )
    return f"| `{name}` | {_plain(said)}{told} |"


def _plain(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")
