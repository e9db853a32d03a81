"""Every message of a run holds what docs/privacy.md lists, and nothing else; no file's name leaves a site."""

import getpass
import json
import re
import socket
from pathlib import Path

import cv2
import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, RecordDict

from fedvsr_core.flower.views import view
from fedvsr_core.metrics.names import METRICS
from server_app.app import app
from server_app.records.journal import read_journal

DOCS = Path(__file__).parents[3] / "docs" / "privacy.md"
SECRET = "patient-0815"
LONGEST = 200
TINY = (
    "model.width=4 model.blocks=1 data.clips=2 data.held_out_clips=1 data.frames=4 data.height=8 data.width=8"
    " training.steps=1 training.batch=1 training.window=2 training.patch=4"
    " rounds=2 cohort.nodes=2 cohort.wait_s=9"
    " evaluation.clients=1 run.root={root}"
)
WORDS = {
    "<parameter>": r"[\w.]+",
    "<part>": "[a-z-]+",
    "<metric>": "|".join(METRICS),
    "<whose>": "model|bicubic",
    "<sum>": "sum|count|left-out|infinite",
}
TYPES = {"array": Array, "integer": int, "number": float | int, "text": str}


def listed():
    """The rows of the table: kind of reply, record, pattern of the entry, type."""
    rows = re.findall(
        r"^\| `(\w+)` \| `([\w-]+)` \| `([\w<>-]+)` \| (\w+) \|", DOCS.read_text(), re.MULTILINE
    )
    assert len(rows) > 20
    for reply, record, entry, kind in rows:
        pattern = re.sub("<[a-z]+>", lambda found: f"(?:{WORDS[found[0]]})", entry)
        yield reply, record, re.compile(pattern), TYPES[kind]


ROWS = tuple(listed())


def check(reply):
    """Fail if a reply holds anything that isn't listed."""
    assert not reply.has_error(), reply.error
    asked = reply.metadata.message_type.partition(".")[0]
    for name, record in reply.content.items():
        for entry, value in record.items():
            rows = [
                row for row in ROWS if row[0] in (asked, "any") and row[1] == name and row[2].fullmatch(entry)
            ]
            assert rows, f"'{asked}' is answered with an unlisted '{name}' / '{entry}'"
            assert isinstance(value, rows[0][3]), (name, entry, value)
            if isinstance(record, ArrayRecord):
                assert view(value).dtype in (np.float32, np.float16)  # and no byte beside the numbers
                assert value.dtype == str(view(value).dtype)
            else:
                assert len(str(value)) <= LONGEST
                assert not any(
                    word in str(value) for word in (SECRET, "/", getpass.getuser(), socket.gethostname())
                )


@pytest.fixture
def sites(client_grid, tmp_path):
    """Two sites with folders of their own; notes every reply."""

    class Sites(client_grid):
        def __init__(self):
            super().__init__(2)
            self.replies = []
            for node, name in zip(self.nodes, ("north", "south"), strict=True):
                for folder in ("train", "held-out"):
                    clip = tmp_path / SECRET / name / folder / f"{SECRET}-film"
                    clip.mkdir(parents=True)
                    for number in range(3):
                        frame = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
                        cv2.imwrite(str(clip / f"{SECRET}-{number}.png"), frame)
                root = tmp_path / SECRET / name
                self._config[node] = {
                    "site": name,
                    "data-dir": str(root / "train"),
                    "held-out-dir": str(root / "held-out"),
                    "memory-dir": str(root / "memory"),
                    "audit-dir": str(root / "audit"),
                    "device": "cpu",
                }

        def _run_client(self, message):
            reply = super()._run_client(message)
            self.replies.append(reply)
            return reply

        def run(self, overrides="", strategy="fedvsr"):
            """Run the whole ServerApp; returns its journal."""
            words = f"{TINY.format(root=tmp_path / 'runs')} {overrides}"
            run_config = {"data": "synthetic", "strategy": strategy, "overrides": words}
            app(self, Context(1, 1, {}, RecordDict(), run_config))
            (folder,) = (tmp_path / "runs").iterdir()
            return read_journal(folder / "journal.jsonl")

        def kinds(self):
            return {reply.metadata.message_type.partition(".")[0] for reply in self.replies}

    return Sites()


@pytest.mark.parametrize(
    ("strategy", "overrides"),
    [
        ("fedvsr", ""),
        ("scaffold", ""),
        ("fedavg", "training.upload=float16 privacy.epsilon=1e6"),
    ],
    ids=["fedvsr", "scaffold", "private"],
)
def test_every_reply_holds_what_is_listed(sites, strategy, overrides):
    journal = sites.run(overrides, strategy)
    assert sites.kinds() == {"query", "train", "evaluate"}
    assert len(sites.replies) == 2 * (1 + 2 + 3)  # who they are, two rounds, three evaluations
    for reply in sites.replies:
        check(reply)
    assert [line["refused"] for line in journal if line["phase"] == "train"] == [[], []]


def test_the_sites_have_all_of_it_on_record(sites, tmp_path):
    (start,) = (line for line in sites.run() if line["phase"] == "start")
    records = []
    for name in ("north", "south"):
        path = tmp_path / SECRET / name / "audit" / "audit.jsonl"
        records += [json.loads(line) for line in path.read_text().splitlines()]
    asked = [record for record in records if record["event"] == "asked" and record["kind"] != "query"]
    assert {record["settings"] for record in asked} == {start["settings"]}
    sent = [record["records"] for record in records if record["event"] == "sent"]
    assert len(sent) == len(sites.replies)
    left = [
        {name: dict(record) for name, record in reply.content.items() if name != "arrays"}
        for reply in sites.replies
    ]
    for record in sent:
        arrays = record.pop("arrays", None)
        assert arrays is None or (arrays["bytes"] > 0 and arrays["norm"] > 0)
        assert record in left


def spoil(path):
    for file in path.rglob("*.png"):
        file.write_bytes(b"no picture")


def empty(path):
    for file in path.rglob("*.png"):
        file.unlink()


@pytest.mark.parametrize("harm", [spoil, empty], ids=["broken", "empty"])
def test_a_failure_names_no_file(sites, tmp_path, harm):
    harm(tmp_path / SECRET / "south")
    journal = sites.run()
    for reply in sites.replies:
        check(reply)
    refused = [one for line in journal if line["phase"] == "train" for one in line["refused"]]
    assert {(one["client"], one["code"]) for one in refused} == {("south", "declined")}
    assert SECRET not in str(journal)


def test_a_bug_names_no_file(sites, monkeypatch):
    def buggy(*words):
        raise KeyError(f"/{SECRET}/film.png")

    monkeypatch.setattr("client_app.app.own_held_out", buggy)
    sites.run()
    for reply in sites.replies:
        check(reply)
