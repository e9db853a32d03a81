"""Promises: what README and docs show runs: Python as it stands, commands as far as they are read."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import click
import cv2
import numpy as np
import pytest
import torch
import typer
from flwr.app import ConfigRecord, Context, RecordDict

import fedvsr
from fedvsr.cli.main import app
from fedvsr.run_config import parse_run_config
from fedvsr_core.checkpoints.store import save_model
from fedvsr_core.errors import ConfigurationError
from server_app.config import compose

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "deploy" / "README.md"])
PAGES = [page for page in PAGES if page.name not in ("command-line.md", "configuration.md", "CHANGELOG.md")]
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# ([\w/-]+\.(?:py|yaml))\n")
"""First line of a block that is a file of the repository; tests/unit/server_app/test_documented_parts.py."""


def blocks(page, *languages):
    """The fenced blocks of a page in these languages, without their indentation."""
    for indent, language, text in FENCE.findall(page.read_text()):
        if language in languages:
            yield re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)


def name(page):
    return page.relative_to(ROOT).as_posix()


def scripts(page):
    return [text for text in blocks(page, "python") if not FILE.match(text)]


WITH_SCRIPTS = [page for page in PAGES if scripts(page) and page.name != "own-metric.md"]


def test_pages_were_found():
    assert len(PAGES) > 25
    assert {"docs/python.md", "docs/quickstart.md", "docs/how-to/own-server-app.md"} <= set(
        map(name, WITH_SCRIPTS)
    )


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with what the pages name: a video, videos, weights; and a folder of runs with one model."""
    root = tmp_path_factory.mktemp("workplace")
    generator = np.random.default_rng(0)
    frames = [cv2.resize(generator.integers(0, 256, (6, 9, 3), np.uint8), (144, 96)) for _ in range(6)]
    (root / "videos").mkdir()
    for path in (root / "in.mp4", root / "videos" / "a.mp4"):
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (144, 96))
        for frame in frames:
            writer.write(frame)
        writer.release()
    torch.manual_seed(0)
    torch.save({"params": fedvsr.build_model("rvrt_small").state_dict()}, root / "rvrt_reds.pth")
    run = root / "runs" / "20260101-000000-fedvsr-recurrent"
    (run / "checkpoints").mkdir(parents=True)
    (run / "journal.jsonl").write_text(
        '{"phase": "start", "round": 0, "time": "2026", "rounds": 1}\n'
        '{"phase": "end", "round": 1, "outcome": "completed"}\n'
    )
    model = fedvsr.build_model("recurrent")
    settings = fedvsr.models.settings_of("recurrent")
    save_model(run / "checkpoints" / "best.safetensors", model.state_dict(), settings)
    return root


@pytest.fixture
def at_work(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("FEDVSR_RUNS", str(workplace / "runs"))
    run = type("Run", (), {"root": str(workplace / "runs")})
    monkeypatch.setattr("fedvsr.loading.compose", lambda run_config: type("Settings", (), {"run": run}))
    torch.manual_seed(0)


def executed(page):
    """The names that a page's scripts leave, run from top to bottom."""
    names = {"__name__": "example"}
    for number, text in enumerate(scripts(page), start=1):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(text, f"{page.name}, block {number}", "exec"), names)
    return names


@pytest.mark.parametrize("page", WITH_SCRIPTS, ids=name)
def test_python_runs(page, at_work):
    assert executed(page).keys() & {"fedvsr", "model", "train"}


def test_the_app_of_ones_own_trains(at_work, workplace):
    names = executed(ROOT / "docs" / "how-to" / "own-server-app.md")
    seen = []

    class Nodes:
        """A grid of two nodes that run the page's client."""

        def get_node_ids(self):
            return [1, 2]

        def send_and_receive(self, messages, timeout):
            for message in messages:
                node = message.metadata.dst_node_id
                config = {"videos": str(workplace / "videos")}
                reply = names["client"](message, Context(1, node, config, RecordDict(), {}))
                seen.append((node, reply.content["metrics"]["train_loss"]))
                yield reply

    names["main"](Nodes(), Context(1, 1, {}, RecordDict(), {}))
    assert sorted(node for node, _ in seen) == [1] * names["ROUNDS"] + [2] * names["ROUNDS"]
    assert np.mean([loss for _, loss in seen[-2:]]) < np.mean([loss for _, loss in seen[:2]])
    assert ConfigRecord({"lr": 1e-3}) == names["ConfigRecord"]({"lr": 1e-3})


def commands():
    """Every command of ours in a block of shell, with the page it stands on."""
    for page in PAGES:
        for text in blocks(page, "bash"):
            for line in re.sub(r"\\\n *", "", text).splitlines():
                for part in re.split(r"&&|\|\||; do|(?<![\"'\w]);", line):
                    words = re.sub(r"(?<=\s)#.*$", "", part).strip()
                    if words.startswith(("fedvsr ", "flwr run", "pytest ", "python benchmarks/")):
                        yield pytest.param(words, id=f"{name(page)}: {words[:60]}")


COMMANDS = list(commands())
PLACES = re.compile(r"data\.[\w.]*folder=|weights=|sha256=|run\.resume=|\$")
"""Values that a reader fills in, or the shell."""


def test_commands_were_found():
    assert len(COMMANDS) > 60


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_one(line):
    words = shlex.split(line)
    if words[0] == "fedvsr":
        parsed(words[1:])
    elif words[0] == "pytest":
        paths = [word for word in words if word.startswith("tests/")]
        assert all((ROOT / path).exists() for path in paths), f"there is no {paths}"
    elif words[0] == "python":
        assert (ROOT / words[1]).is_file(), f"there is no '{words[1]}'"
        text = (ROOT / words[1]).read_text()
        assert all(word.split("=")[0] in text for word in words if word.startswith("--"))
    for option in ("--run-config", "-c"):
        if option in words:
            composed(words[words.index(option) + 1])


def parsed(words):
    """Let click read a command as it would, without carrying it out."""
    command, context = typer.main.get_command(app), None
    while True:
        context = click.Context(command, info_name="fedvsr", parent=context)
        if not isinstance(command, click.Group):
            command.make_parser(context).parse_args(list(words))
            return
        _, command, words = command.resolve_command(context, list(words))


EXAMPLES = ("three_frames", "heavy_ball", "loss=edges", "array_files")
"""Choices that only exist once a reader has made them."""


def composed(run_config):
    if "$" in run_config or any(example in run_config for example in EXAMPLES):
        return
    try:
        compose(parse_run_config(run_config))
    except ConfigurationError as error:
        problems = [line for line in str(error).splitlines()[1:] if not PLACES.search(line)]
        assert not problems, problems


LINK = re.compile(r"(?<!\\)!?\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in LINK.findall(text):
        path, _, anchor = link.partition("#")
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"'{link}' leads nowhere"
        if anchor:
            assert anchor in anchors(target), f"'{link}': there is no such heading"


PATH = re.compile(
    r"`((?:benchmarks|client_app|conf|deploy|docs|fedvsr|fedvsr_core|server_app|tests)/[\w./*-]+)`"
)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_paths_are_there(page):
    named = {path.rstrip("/") for path in PATH.findall(page.read_text()) if "NAME" not in path}
    assert [path for path in named if not list(ROOT.glob(path))] == []


def anchors(page):
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_troubleshooting_quotes_what_is_said():
    sources = [
        path.read_text()
        for package in ("fedvsr", "fedvsr_core", "server_app", "client_app")
        for path in (ROOT / package).rglob("*.py")
    ]
    said = re.sub(r"""["']\s*\n\s*f?["']""", "", "\n".join(sources))  # a sentence on several lines
    rows = (ROOT / "docs" / "troubleshooting.md").read_text().splitlines()
    quoted = [match[1] for row in rows if (match := re.match(r"\| `([^`]+)` \|", row))]
    assert len(quoted) > 15
    assert [words for words in quoted if words not in said] == []
