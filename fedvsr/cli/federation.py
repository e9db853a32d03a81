"""``fedvsr run`` and ``fedvsr stop``: a federation, from submitting it to its end."""

import re
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from fedvsr import engine
from fedvsr.endings import Ended, held_back, raised, say
from fedvsr.installed_app import app_folder
from fedvsr.run_config import check_run_config, parse_run_config
from fedvsr.run_display import displayed, whole_log
from fedvsr.stopping import end_run, stop_named
from fedvsr_core.components import nearest
from fedvsr_core.errors import REFUSED, ConfigurationError
from server_app.records.run_dir import ANNOUNCED
from server_app.written import flower_words, overrides

_OURS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d{4}  (?P<words>.*)")
"""A line of our log. What clients say stands further to the right."""
_ERROR = re.compile(r"(?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt)\b: .+")
"""The last line of a traceback."""
_LATE = "timed out during startup"
"""What Ray says if it doesn't start in time."""
STOPPED = 3
"""Exit status of a run that was stopped from elsewhere."""


@dataclass
class Listener:
    """Hears a run's log, and remembers what decides whether it can be continued.

    Attributes:
        show: Shows a line.
        run_dir: The run directory, once the log has named it.
        cause: What ended the run, as far as the log tells: our own sentence, else the first error.
        refused: Whether the server has ended the run itself, with a reason.
    """

    show: Callable[[str], object] = say
    run_dir: str = ""
    cause: str = ""
    refused: bool = False

    def hear(self, line: str) -> None:
        """Take a line of the log.

        Raises:
            Ended: If nobody reads what is shown.
        """
        said = _OURS.fullmatch(line.rstrip("\n"))
        if said and said["words"].startswith(ANNOUNCED):
            self.run_dir = said["words"].removeprefix(ANNOUNCED)
        if said and said["words"].startswith(REFUSED):
            self.refused, self.cause = True, said["words"].removeprefix(REFUSED)
        elif not self.cause and _ERROR.fullmatch(line.strip()) and not line.startswith(" "):
            self.cause = line.strip()
        self.show(line)


def run(
    app: Annotated[
        Path | None,
        typer.Argument(help="Folder of the app; default: this folder, or else where fedvsr is installed."),
    ] = None,
    superlink: Annotated[
        str, typer.Argument(help="Connection in Flower's config.toml; empty: this machine.")
    ] = "",
    run_config: Annotated[str, typer.Option("--run-config", "-c", help="As for 'flwr run'.")] = "",
    clients: Annotated[
        int | None, typer.Option(min=1, help="Simulated clients; Flower's default is 2.")
    ] = None,
    federation_config: Annotated[str, typer.Option(help="As for 'flwr run'.")] = "",
    strategy: Annotated[str, typer.Option(help="A name of conf/strategy.")] = "",
    model: Annotated[str, typer.Option(help="A name of conf/model.")] = "",
    data: Annotated[
        str, typer.Option(help="A name of conf/data, or a folder of videos to train on, such as ./videos.")
    ] = "",
    experiment: Annotated[str, typer.Option(help="A name of conf/experiment.")] = "",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="One more setting, such as rounds=20; any number.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder for the run's directory.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Directory of an earlier run, to go on with.")] = None,
    resumes: Annotated[
        int, typer.Option(min=0, help="How often a run that crashed is continued after its last round.")
    ] = 0,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show Flower's and Ray's lines, too.")] = False,
    detach: Annotated[bool, typer.Option(help="Leave the run to itself; 'fedvsr stop RUN' ends it.")] = False,
) -> None:
    """Run a federation, and show its log.

    Ends with 0 if the run completed, 1 if it failed, 2 if it was refused before it began, 3 if it was stopped
    from elsewhere. A signal (Ctrl-C, kill, a closed terminal, a scheduler's warning) ends the run too, with
    128 and its number. What is stopped goes on with --resume.
    """
    if detach and resumes:
        raise typer.BadParameter(
            "a run that is left to itself can't be continued: give --detach or --resumes"
        )
    folder = app or app_folder()
    try:
        words = parse_run_config(run_config)
        words |= {
            key: name
            for key, name in (("strategy", strategy), ("model", model), ("experiment", experiment))
            if name
        }
        if "/" not in data and (folder / "conf" / "data" / f"{data}.yaml").is_file():
            words, data = words | {"data": data}, ""
        elif data and engine.is_local(superlink):
            _check_data(folder, data)
        if settings:
            more = " ".join(map(shlex.quote, settings))
            words |= {"overrides": f"{words.get('overrides', '')} {more}".strip()}
        words = _with_paths(words, data=Path(data) if data else None, output=output, resume=resume)
        words = _with_command(words)
        had = _checked(folder, superlink, words)
    except ConfigurationError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from error
    clients = clients or (None if "num-supernodes" in federation_config else had)
    size = f"num-supernodes={clients} " if clients else ""
    try:
        with raised():
            status = _run(
                folder, superlink, words, size + federation_config, resumes, detach=detach, verbose=verbose
            )
    except Ended as ended:
        raise typer.Exit(ended.status) from ended
    raise typer.Exit(status)


def _run(
    app: Path,
    superlink: str,
    words: dict[str, Any],
    federation: str,
    resumes: int,
    *,
    detach: bool,
    verbose: bool,
) -> int:
    resumed, late = 0, False
    while True:
        run_id, listener = "", Listener()
        try:
            run_id = engine.submit(
                app,
                run_config=flower_words(words),
                federation_config=federation,
                superlink=superlink,
                tell=_tell,
            )
            if detach:
                where = f" {superlink}" if superlink else ""
                with suppress(Ended):  # whoever listened is gone
                    say(f"run {run_id}: 'fedvsr runs' shows it, 'fedvsr stop {run_id}{where}' ends it\n")
                return 0
            _tell(f"run {run_id} is submitted")
            with displayed(run_id, verbose=verbose) as listener.show:
                seen = engine.follow(run_id, superlink, listener.hear)
        except Ended as ended:
            if run_id or ended.run_id:
                _end(run_id or ended.run_id, superlink, listener, ended)
            raise
        ending = f"run {run_id}: {seen['status']}"
        if seen["status"] == "finished:completed":
            say(f"{ending}\n")
            return 0
        cause = listener.cause or seen.get("status-details") or "it gave no reason"
        if _LATE in cause and not listener.run_dir:
            cause = (
                "the simulation didn't start in its 30 s: the machine is too busy; run again when it is"
                " less so"
            )
            if not late:
                late = True
                say(f"{ending}: {cause}; tried once more now\n")
                continue
        stays = seen["status"] == "finished:stopped"
        if stays or listener.refused or resumed == resumes:
            say(f"the whole log: {whole_log(run_id)}\n{_how_to_go_on(listener.run_dir)}{ending}: {cause}\n")
            return STOPPED if stays else 1
        say(f"{ending}: {cause}\n")
        if listener.run_dir:
            words = _with_paths({}, resume=Path(listener.run_dir))
        where = listener.run_dir or "it had no run directory yet"
        resumed += 1
        say(f"run {run_id} crashed; it is continued, {resumed} of at most {resumes} times ({where})\n")


def stop(
    run: Annotated[
        str, typer.Argument(help="Run directory, its name, or Flower's id of a run; empty: the engines.")
    ] = "",
    superlink: Annotated[
        str, typer.Argument(help="Connection in Flower's config.toml; empty: this machine.")
    ] = "",
) -> None:
    """Stop a run, or without one the engines of this machine, which runs leave behind, with all their runs.

    A stopped run goes on with 'fedvsr run --resume DIRECTORY'.
    """
    if run:
        typer.echo(stop_named(run, superlink))
        return
    stopped = engine.stop_engines()
    typer.echo(
        f"stopped the engine (process {', '.join(map(str, stopped))})" if stopped else "no engine is running"
    )


def _check_data(app: Path, data: str) -> None:
    if Path(data).expanduser().is_dir():
        return
    names = {file.stem for file in (app / "conf" / "data").glob("*.yaml")}
    there = "" if "/" in data else nearest(data, names)
    raise ConfigurationError(f"there is no folder '{Path(data).expanduser().absolute()}' to train on{there}")


def _with_paths(
    words: dict[str, Any], data: Path | None = None, output: Path | None = None, resume: Path | None = None
) -> dict[str, Any]:
    """A run-config with the paths that were given by options of their own."""
    paths = {"data.folder": data, "run.root": output, "run.resume": resume}
    given = {key: str(path.expanduser().absolute()) for key, path in paths.items() if path is not None}
    if not given:
        return words
    if data is not None and not words.get("data"):
        words = words | {"data": "videos"}
    return words | {"overrides": overrides(given, str(words.get("overrides", "")))}


def _with_command(words: dict[str, Any]) -> dict[str, Any]:
    """A run-config that knows the command as it was typed, for the run's summary."""
    typed = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    if not typed.startswith("fedvsr run") or "\n" in typed:  # called from Python
        return words
    return words | {"overrides": overrides({"run.command": typed}, str(words.get("overrides", "")))}


def _checked(app: Path, superlink: str, words: dict[str, Any]) -> int | None:
    """Have the app check what is asked; returns how many simulated clients a resumed run had, else None."""
    if not engine.is_local(superlink) and "run.resume" in str(words.get("overrides", "")):
        return None  # the run is on another machine
    return check_run_config(app.absolute(), words).get("clients")


def _tell(text: str) -> None:
    say(f"{text}\n")


def _how_to_go_on(run_dir: str) -> str:
    return f"go on: {shlex.join(['fedvsr', 'run', '--resume', run_dir])}\n" if run_dir else ""


def _end(run_id: str, superlink: str, listener: Listener, ended: Ended) -> None:
    """End a run because this command is ended; a second signal ends it without any delay."""
    why = f"stopped by {ended.number.name}"
    try:
        directory = end_run(run_id, superlink, listener.run_dir, why)
    except Ended:
        with held_back():
            directory = end_run(run_id, superlink, listener.run_dir, why, at_once=True)
    with suppress(Ended):  # whoever listened is gone
        say(f"{_how_to_go_on(directory)}run {run_id}: {why}\n")
