"""The commands of deploy/README.md, each with the machine that it is for."""

import re
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[2] / "deploy" / "README.md"
_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_MARKED = re.compile(
    r"^<!-- on: (?P<host>\w+)(?P<stays>, each line goes on)? -->\n+```bash\n(?P<script>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_BY_HAND = re.compile(r"^<!-- by hand: [^\n]+ -->\n+```bash\n.*?^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A block of commands, on one machine; `stays` says that each line starts what goes on."""

    host: str
    script: str
    stays: bool


def steps():
    """All blocks that say where they run, in order."""
    return [
        Step(found["host"], found["script"].strip(), bool(found["stays"]))
        for found in _MARKED.finditer(README.read_text())
    ]


def unmarked():
    """How many blocks say neither where they run nor that they are done by hand."""
    text = README.read_text()
    return len(_BLOCK.findall(text)) - len(steps()) - len(_BY_HAND.findall(text))
