"""Promises: whatever breaks in the middle of a round, the run completes, losing one round at most.

Where training itself doesn't matter, clients wait instead, so that a round takes seconds.
The table in docs/faults.md is what these tests tell: pytest -m "slow or long" -rP -k between_hosts
"""

import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from tests.engine.hosts import LIGHT, SMALL, refused, slowed, wait

FOUR_ROUNDS = f"{LIGHT} rounds=4"
LARGE = "model.width=340 model.blocks=8"
"""Makes the small network one of 143 MB."""


@pytest.fixture
def report(request):
    """Prints a row for the table."""
    began = time.monotonic()

    def row(trained, lost=0):
        seconds = {number: round(line["seconds"]) for number, line in trained.items()}
        left_out = {number: refused(line) for number, line in trained.items() if line["refused"]}
        whole = round(time.monotonic() - began)
        sys.stdout.write(
            f"\n{request.node.name}: {whole} s, rounds {seconds}, left out {left_out}, rounds lost {lost}\n"
        )

    return row


def lost(run):
    """Rounds whose work was thrown away: the model was kept as it was, or the round was trained again."""
    kept = sum(line["kept-model"] for line in run.lines("train"))
    return kept + sum("resumed-after" in line for line in run.lines("start"))


@pytest.mark.slow
def test_a_killed_supernode_is_left_out_and_joins_again(hosts, light_app, report):
    run = hosts.run(FOUR_ROUNDS, app=light_app)
    run.middle_of(2)
    hosts.sites["south"].kept("supernode").kill()
    trained = run.finish()
    report(trained, lost(run))
    assert refused(trained[2]) == {"south": "error"}
    assert "Node Unavailable" in trained[2]["refused"][0]["reason"]
    assert [row["client"] for row in trained[4]["clients"]] == ["north", "south"]
    assert lost(run) == 0


@pytest.mark.slow
def test_a_killed_serverapp_is_followed_by_a_run_that_continues(hosts, light_app, report):
    run = hosts.run(LIGHT, resumes=1, app=light_app)
    run.middle_of(2)
    run.server_process().kill()
    trained = run.finish()
    report(trained, lost(run))
    assert "crashed; it is continued, 1 of at most 1 times" in run.said
    assert [line.get("resumed-after") for line in run.lines("start")] == [None, 1]
    assert all(line["refused"] == [] for line in trained.values())
    assert lost(run) == 1


@pytest.mark.long
def test_a_killed_superlink_comes_back_and_the_round_goes_on(hosts, light_app, report):
    run = hosts.run(LIGHT, resumes=1, app=light_app)
    run.middle_of(2)
    hosts.server.kept("superlink").kill()
    trained = run.finish()
    report(trained, lost(run))
    assert lost(run) <= 1


@pytest.mark.long
def test_a_superlink_that_is_away_for_two_minutes_costs_one_round(hosts, light_app, report):
    run = hosts.run(LIGHT, resumes=1, app=light_app)
    run.middle_of(2)
    hosts.server.stop("superlink", signal.SIGKILL)
    time.sleep(120)
    hosts.server.keep("fedvsr deploy start /srv superlink", "superlink")
    trained = run.finish()
    report(trained, lost(run))
    assert lost(run) == 1
    assert "crashed; it is continued" in run.said


@pytest.mark.long
def test_a_host_without_network_for_a_minute_joins_again(hosts, light_app, report):
    run = hosts.run(f"{LIGHT} rounds=12", app=light_app)
    run.middle_of(2)
    hosts.network.unplug("south")
    time.sleep(60)
    hosts.network.plug("south")
    trained = run.finish()
    report(trained, lost(run))
    assert refused(trained[2]) == {"south": "error"}
    assert [row["client"] for row in trained[12]["clients"]] == ["north", "south"]
    assert lost(run) == 0


@pytest.mark.long
def test_a_site_with_a_full_disk_is_left_out_until_there_is_room(hosts, report):
    srv = hosts.sites["south"].srv
    memory, home = srv / "memory", srv / "home"
    with small_disks(hosts, "south", memory, home):
        run = hosts.run(f"{SMALL} rounds=4", strategy="scaffold")
        for server_round, folder in ((2, memory), (3, home)):
            run.middle_of(server_round)
            fill(folder)
            wait(lambda at=server_round: at in run.trained(), f"the end of round {server_round}", run)
            (folder / "filling").unlink()
        trained = run.finish()
    report(trained, lost(run))
    assert refused(trained[2]) == {"south": "declined"}
    assert "its disk is full" in trained[2]["refused"][0]["reason"]
    assert set(refused(trained[3])) <= {"south"}
    assert [row["client"] for row in trained[4]["clients"]] == ["north", "south"]
    assert lost(run) == 0


@pytest.mark.long
def test_a_slow_site_is_waited_for(hosts, report):
    with slowed(hosts.sites["south"], 10):
        run = hosts.run(f"{SMALL} rounds=1")
        trained = run.finish(1800)
    report(trained, lost(run))
    assert all(line["refused"] == [] for line in trained.values())


@pytest.mark.long
def test_arrays_of_143_mb_arrive(hosts, light_app, report):
    run = hosts.run(f"{LIGHT} {LARGE} rounds=2 training.steps=1", app=light_app)
    trained = run.finish(1800)
    report(trained, lost(run))
    assert trained[1]["bytes-up"] > 2 * 143e6
    assert all(line["refused"] == [] for line in trained.values())


@contextmanager
def small_disks(hosts, name, *folders):
    """Have each of some folders of a site on a file system of 64 MB of its own."""
    site = hosts.sites[name]
    site.stop("supernode")
    for folder in folders:
        kept = folder.with_name("kept")
        shutil.copytree(folder, kept)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], check=True)
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        shutil.rmtree(kept)
    hosts.keep_site(name)
    try:
        yield
    finally:
        site.stop("supernode")
        for folder in folders:
            subprocess.run(["umount", "-l", folder], check=True)
        hosts.keep_site(name)


def fill(folder):
    """Leave no byte of a file system."""
    with (folder / "filling").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            return
