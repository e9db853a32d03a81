"""Promises: a line for each check and one for its remedy; 1 if there is a problem; no site, no check."""

import socket

from typer.testing import CliRunner

from fedvsr.cli import doctor
from fedvsr.cli.main import app
from fedvsr.deploy.node_keys import make_node_key
from fedvsr.doctor.finding import ok, problem, warning

SITE = 'site = "north"\ndata-dir = "videos"\nserver = "localhost:1"\nca = "ca.crt"\nkey = "north.key"\n'


def examined(*words):
    done = CliRunner().invoke(app, ["doctor", *words], env={"COLUMNS": "300"})
    return done.exit_code, done.output


def test_lines_and_remedies(monkeypatch):
    monkeypatch.setattr(doctor, "examine", lambda path: [ok("the sky"), warning("the sea", "a boat")])
    said = "ok      the sky\nwarning the sea\n        -> a boat\n1 ok, 1 warnings, 0 problems\n"
    assert examined() == (0, said)


def test_a_problem_is_an_exit_code(monkeypatch):
    monkeypatch.setattr(doctor, "examine", lambda path: [problem("the roof", "a ladder")])
    assert examined()[0] == 1


def test_a_site_that_is_not_ready(tmp_path):
    (tmp_path / "site.toml").write_text(SITE)
    make_node_key(tmp_path / "north.key", tmp_path / "north.pub", "north")
    code, said = examined(str(tmp_path / "site.toml"))
    assert code == 1
    assert f"problem data-dir '{tmp_path / 'videos'}' isn't a folder" in said
    assert "problem localhost:1 can't be reached" in said
    assert f"ok      '{tmp_path / 'north.key'}' is an ECDSA key" in said
    assert "knows the key" not in said


def test_a_site_without_encryption(tmp_path):
    (tmp_path / "site.toml").write_text("".join(SITE.splitlines(keepends=True)[:3]))
    code, said = examined(str(tmp_path))
    assert code == 1
    assert "neither encryption nor authentication" in said


def test_what_is_neither_site_nor_server(tmp_path):
    code, said = examined(str(tmp_path))
    assert code == 1
    assert "must be a site.toml" in said


def test_this_machine_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("FLWR_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("FEDVSR_LPIPS_ALEX", "FEDVSR_LPIPS_VGG", "FLWR_LOCAL_SUPERLINK_HTTP_API_PORT"):
        monkeypatch.delenv(name, raising=False)
    code, said = examined()
    assert code == 0, said
    for line in (
        "ok      extra 'sample' is installed",
        "ok      extra 'metrics' is",
        "ok      ffmpeg ",
        "ok      no weights for lpips-vgg and dists: ",
        "ok      no engine runs; 'fedvsr run' starts one on port ",
    ):
        assert line in said
    assert "extra 'test'" not in said


def test_a_port_that_is_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("FLWR_HOME", str(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        monkeypatch.setenv("FLWR_LOCAL_SUPERLINK_HTTP_API_PORT", port)
        _, said = examined()
    assert f"warning port {port}, which FLWR_LOCAL_SUPERLINK_HTTP_API_PORT names, is taken" in said
