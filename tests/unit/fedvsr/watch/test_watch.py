"""Promises: a run is seen in a terminal and served read-only on loopback, and what is new is told."""

import http.client
import threading

import pytest
from rich.console import Console
from typer.testing import CliRunner

from fedvsr.cli.main import app
from fedvsr.watch.terminal import screen
from fedvsr.watch.web import Watcher
from fedvsr_core.errors import ConfigurationError
from server_app.records.journal import Journal
from tests.pages import evaluation, hostile_journal, long_journal, run_with


def seen(run):
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(screen(run))
    return console.export_text()


def test_a_terminal_shows_rounds_scores_and_clients(tmp_path):
    run = run_with(tmp_path, long_journal(7, 3)[:-1])
    said = "round 8/7: site-1 trained 10 steps in 4 s, loss 0.03 (1 of 3)"
    run.log.write_text(f"2026-11-28 12:00:00+0000  {said}\n")
    with run.locked():
        text = seen(run)
    assert "running  round 7 of 7" in text
    assert "PSNR-Y above bicubic" in text
    assert "+1.286 dB, best +1.286" in text
    assert "round 7: left out (non-finite): 'fuse.weight' holds 7 values" in text
    assert "round 8: trained" in text
    assert "completed" not in text
    run = run_with(tmp_path, long_journal(2, 2))
    assert "completed  round 2 of 2" in seen(run)


def test_a_terminal_shows_hostile_words_as_text(tmp_path):
    text = seen(run_with(tmp_path, hostile_journal()))
    assert "\u202e" not in text
    assert "<img src=x" in text


def test_the_command_looks_once_where_there_is_no_terminal(tmp_path):
    run = run_with(tmp_path, long_journal(2, 2))
    done = CliRunner().invoke(app, ["watch", str(run.path)])
    assert done.exit_code == 0, done.output
    assert "round 2 of 2" in done.output


@pytest.fixture
def served(tmp_path):
    """A run of two rounds, and a function that asks its server."""
    run = run_with(tmp_path, long_journal(2, 2)[:-1])
    with Watcher(run, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def ask(path="/", method="GET", **headers):
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
            connection.request(method, path, headers=headers)
            return connection.getresponse()

        yield run, ask
        server.shutdown()


def test_the_page_is_served_and_follows_the_journal(served):
    run, ask = served
    answer = ask()
    first = answer.read().decode()
    assert answer.status == 200
    assert answer.getheader("Cache-Control") == "no-store"
    assert "2 of 2 rounds" in first
    assert "connect-src &#39;self&#39;" in first
    events = ask("/events")
    told = events.fp.readline()
    with Journal(run.journal) as journal:
        journal.append(evaluation(2, 9.0))
    assert events.fp.readline() == b"\n"
    assert events.fp.readline() not in (told, b"")
    assert "+9.000 dB" in ask().read().decode()


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {"Host": "evil.example"}, 421),
        ("GET", "/", {"Host": "127.0.0.1.evil.example:80"}, 421),
        ("GET", "/", {"Host": "localhost:9"}, 200),
        ("GET", "/../../etc/passwd", {}, 404),
        ("GET", "/journal.jsonl", {}, 404),
        ("POST", "/", {}, 501),
        ("PUT", "/", {}, 501),
        ("DELETE", "/", {}, 501),
        ("HEAD", "/", {}, 200),
    ],
)
def test_it_is_read_only_and_asked_by_its_own_name(served, method, path, headers, status):
    assert served[1](path, method, **headers).status == status


def test_a_damaged_journal_is_said(served):
    run, ask = served
    run.journal.write_text("{}\n{}\n")
    answer = ask()
    assert answer.status == 503
    assert b"can't be from a run of this version" in answer.read()


def test_an_address_of_another_machine_is_refused(tmp_path):
    run = run_with(tmp_path, long_journal(1, 1))
    with pytest.raises(ConfigurationError, match="give another --host or --port"):
        Watcher(run, "192.0.2.1", 0)
    with pytest.raises(ConfigurationError, match="must be an IP address or localhost"):
        Watcher(run, "example.org", 0)
