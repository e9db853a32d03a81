"""``fedvsr watch``: a run as it goes on, in the terminal or in a browser."""

import threading
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from fedvsr.runs import state_of
from fedvsr.watch.terminal import screen
from fedvsr.watch.web import Watcher
from fedvsr_core.errors import DataError
from server_app.config import compose
from server_app.records.journal import COMPLETED
from server_app.records.run_dir import RunDir, run_dirs


def watch(
    run: Annotated[Path | None, typer.Argument(help="Run directory; default: the newest run.")] = None,
    web: Annotated[bool, typer.Option("--web", help="Serve the report to a browser instead.")] = False,
    host: Annotated[
        str, typer.Option(help="With --web: where. Any but loopback shows it to whoever can reach it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --web; 0: any that is free.")] = 0,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds from one look to the next.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look once.")] = False,
) -> None:
    """Watch a run of this machine, on a SuperLink too; read-only.

    Ends when the run is completed. One that was killed or has failed is waited for, since it can be resumed.
    """
    directory = RunDir.open(str(run.resolve())) if run else _newest()
    if web:
        _serve(directory, host, port)
        return
    console = Console()
    if once or not console.is_terminal:
        console.print(screen(directory))
        return
    try:
        with Live(screen(directory), console=console, refresh_per_second=4, screen=False) as live:
            while state_of(directory).state != COMPLETED:
                time.sleep(every)
                live.update(screen(directory))
    except KeyboardInterrupt:
        return


def _serve(directory: RunDir, host: str, port: int) -> None:
    with Watcher(directory, host, port) as server:
        typer.echo(f"{server.address} (Ctrl-C ends it)")
        if server.names is None:
            typer.echo("whoever can reach this address sees the report", err=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            thread.join()
        except KeyboardInterrupt:
            server.shutdown()


def _newest() -> RunDir:
    root = Path(compose({}).run.root).expanduser()
    runs = run_dirs(root) if root.is_dir() else []
    if not runs:
        raise DataError(f"there is no run in '{root}'; name a run directory, or start a run")
    return runs[-1]
