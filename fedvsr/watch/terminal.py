"""A run on one screen of a terminal: rounds, scores, clients and what the server said last."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fedvsr.runs import RunState, state_of
from fedvsr_core.errors import CheckpointError
from fedvsr_core.metrics.names import METRICS
from fedvsr_core.printable import printable
from server_app.records.history import evaluations, natural, rounds_done, seconds_left, starts, trainings
from server_app.records.journal import Line, read_checked
from server_app.records.markdown import duration, signed
from server_app.records.run_dir import RunDir

CLIENTS = 16
"""Rows of the table of clients; those that were refused last come first."""
_LOG_LINES = 4
_BARS = "▁▂▃▄▅▆▇█"
_CURVE = 40
"""Characters of a curve."""
_TRAINED = re.compile(r"[\d-]+ [\d:+-]+  round (?P<round>\d+)/\d+: (?P<client>\S+) trained ")
_COLOURS = {"running": "cyan", "completed": "green"}


def screen(run: RunDir) -> RenderableType:
    """What there is to see of a run now."""
    state = state_of(run)
    try:
        lines = read_checked(run.journal)
    except CheckpointError as error:
        return Panel(Text(str(error)), title="damaged")
    said = _last_words(run.log)
    parts: list[RenderableType] = [
        _head(state, lines),
        *_curve(lines),
        _clients(lines, said, running=state.state == "running"),
        Text("\n".join(said[-_LOG_LINES:]), style="dim", overflow="ellipsis", no_wrap=True),
    ]
    return Panel(Group(*parts), title=Text(printable(run.path.name)), title_align="left")


def _head(state: RunState, lines: Sequence[Line]) -> RenderableType:
    words = Text(state.state, style=f"bold {_COLOURS.get(state.state, 'red')}")
    words.append(f"  round {state.done} of {state.rounds or '?'}", style="bold default")
    left = seconds_left(lines)
    if state.state == "running" and left:
        words.append(f"  about {duration(left)} left", style="default")
    if state.reason:
        words.append(f"  {printable(state.reason)}", style="default")
    if state.resumable:
        words.append("  (it can be resumed)", style="default")
    bar = Table.grid()  # a bar by itself doesn't end its line
    bar.add_row(ProgressBar(total=state.rounds or 1, completed=state.done, width=_CURVE))
    return Group(words, bar)


def _curve(lines: Sequence[Line]) -> list[RenderableType]:
    scored = [each for each in evaluations(lines) if math.isfinite(each.gain())]
    if not scored:
        return []
    gains = [each.gain() for each in scored]
    step = math.ceil(len(gains) / _CURVE)
    shown = [*gains[:-1:step], gains[-1]]
    low, high = min(shown), max(shown)
    bars = "".join(_BARS[round((gain - low) / ((high - low) or 1) * (len(_BARS) - 1))] for gain in shown)
    about = METRICS[scored[-1].headline]
    best = signed(max(gains) if about.best == "high" else min(gains))
    return [Text(f"{about.label} above bicubic  {bars}  {signed(gains[-1])} {about.unit}, best {best}")]


def _clients(lines: Sequence[Line], said: Sequence[str], *, running: bool) -> RenderableType:
    trained = trainings(lines)
    now = rounds_done(lines) + 1
    here = {
        match["client"] for line in said if (match := _TRAINED.match(line)) and int(match["round"]) == now
    }
    rows: dict[str, tuple[int, Line]] = {}
    for line in trained:
        for row in (*line["clients"], *line["refused"]):
            rows[row["client"]] = (line["round"], row)
    names = {name for start in starts(lines) for name in start.get("names", ())} | rows.keys()
    last = trained[-1]["round"] if trained else 0

    def order(name: str) -> tuple[bool, tuple[str, int, str]]:
        return "reason" not in rows.get(name, (0, {}))[1], natural(name)

    table = Table("client", "state", "loss", "weight", "seconds", box=None, pad_edge=False)
    for name in sorted(names, key=order)[:CLIENTS]:
        at, row = rows.get(name, (0, {}))
        if running and name in here:
            state = f"round {now}: trained"
        elif "reason" in row:
            state = f"round {at}: left out ({row['code']}): {row['reason']}"
        elif row:
            state = f"round {at}: trained" + ("" if at == last else ", not since")
        else:
            state = "has not taken part yet"
        numbers = (
            _number(row.get(key), digits) for key, digits in (("loss", 5), ("weight", 3), ("seconds", 1))
        )
        table.add_row(Text(printable(name)), Text(printable(state)), *numbers)
    if len(names) > CLIENTS:
        table.add_row(f"and {len(names) - CLIENTS} more")
    return table


def _number(value: float | str | None, digits: int) -> str:
    return "" if value is None else f"{float(value):.{digits}f}"


def _last_words(log: Path) -> list[str]:
    """The newest lines of the server's log."""
    if not log.is_file():
        return []
    with log.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(file.tell() - 50_000, 0))
        text = file.read().decode("utf-8", "replace")
    return [printable(line) for line in text.splitlines()]
