"""Promises: a run gets an engine of its caller's home and world, or one sentence that says why it can't."""

import signal
import socket

import pytest

from tests.commands.shell import LIMIT_S, Shell

PORT = "FLWR_LOCAL_SUPERLINK_HTTP_API_PORT"


@pytest.fixture
def shells(tmp_path):
    """Makes homes, and ends what is left in them."""
    made = []

    def make(name="one"):
        made.append(Shell(tmp_path / name))
        return made[-1]

    yield make
    for shell in made:
        shell.close()


def stopped(process):
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=LIMIT_S)[0]


def test_two_homes_never_meet_and_another_world_gets_another_engine(shells):
    one, other = shells("one"), shells("other")
    first, run = one.running()
    second, beside = other.running()  # the first one's port is taken
    assert (run.path.parent, beside.path.parent) == (one.runs, other.runs)

    elsewhere = one.folder / "runs-2"
    third, away = one.running(FEDVSR_RUNS=str(elsewhere))
    assert away.path.parent == elsewhere
    said = stopped(third)
    assert "is busy, and has other FEDVSR_RUNS: another one starts" in said
    assert run.is_locked()
    assert beside.is_locked()

    (one.runs / "let-go").touch()
    assert first.wait(LIMIT_S) == 0
    fourth, last = one.running(FEDVSR_RUNS=str(elsewhere))
    assert "has other FEDVSR_RUNS: it is restarted" in stopped(fourth)
    assert last.path.parent == elsewhere
    stopped(second)
    assert one.left() == other.left() == []


def test_a_port_that_is_taken(shells):
    shell = shells()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        status, said = shell.call("run", shell.app, **{PORT: port})
    assert status == 1
    sentence = f"port {port}, which {PORT} names, is taken by another program; unset the variable"
    assert sentence in " ".join(said.replace("│", " ").split())


def test_behind_a_proxy_in_an_ascii_locale_below_an_umlaut(shells):
    shell = shells("müller's = (a), #1 ~漢")
    process, run = shell.running(
        http_proxy="http://127.0.0.1:9", HTTPS_PROXY="http://127.0.0.1:9", LC_ALL="C", PYTHONCOERCECLOCALE="0"
    )
    (run.path.parent / "let-go").touch()
    said = process.communicate(timeout=LIMIT_S)[0]
    assert process.returncode == 0, said


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"FLWR_HOME": "/proc/none"}, "Flower keeps its state in '/proc/none', which can't be made"),
        ({"FLWR_HOME": "{folder}/a:b"}, "FLWR_HOME must be without ':'"),
        ({PORT: "http"}, f"{PORT} must be a port, from 1 to 65535, got 'http'"),
        ({"STAND_IN_FAILS": "no room in /dev/shm"}, "ended with status 1: no room in /dev/shm;"),
    ],
    ids=["home", "colon", "port", "engine"],
)
def test_what_an_engine_cannot_start_with_is_one_sentence(shells, environment, sentence):
    shell = shells()
    given = {name: value.format(folder=shell.folder) for name, value in environment.items()}
    status, said = shell.call("run", shell.app, **given)
    assert status == 1
    assert " ".join(sentence.split()) in " ".join(said.replace("│", " ").split())
    assert "Traceback" not in said
    assert shell.left() == []
