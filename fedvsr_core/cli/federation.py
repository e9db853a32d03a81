"""``fedvsr run`` and ``fedvsr stop``: a federation on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from fedvsr_core import engine


def run(
    app: Annotated[Path, typer.Argument(help="Folder of the app.")] = Path(),
    superlink: Annotated[
        str, typer.Argument(help="Connection in Flower's config.toml; empty: this machine.")
    ] = "",
    run_config: Annotated[str, typer.Option("--run-config", "-c", help="As for 'flwr run'.")] = "",
    clients: Annotated[int | None, typer.Option(help="Simulated clients; Flower's default is 2.")] = None,
    federation_config: Annotated[str, typer.Option(help="As for 'flwr run'.")] = "",
) -> None:
    """Run a federation, show its log, and return 0 only if it completed ('flwr run' always returns 0)."""
    size = f"num-supernodes={clients} " if clients else ""
    run_id = engine.submit(
        app, run_config=run_config, federation_config=size + federation_config, superlink=superlink
    )
    seen = engine.follow(run_id, superlink)
    typer.echo(f"run {run_id}: {seen['status']} {seen.get('status-details') or ''}".rstrip())
    if seen["status"] != "finished:completed":
        raise typer.Exit(1)


def stop() -> None:
    """Stop Flower's local engine, which 'flwr run' leaves running, and whatever runs in it."""
    stopped = engine.stop_engine()
    typer.echo(
        f"stopped the engine (process {', '.join(map(str, stopped))})" if stopped else "no engine is running"
    )
