"""Promises: what runs for the whole of a run takes no more memory in its last rounds than in its first."""

import statistics
import sys

import psutil
import pytest

from tests.engine.hosts import SMALL, wait

ROUNDS = 12
WARM = 3
"""Rounds after which every part has done everything once."""
MODEL = "model.width=112"
"""5 MB a message: what is kept of one each round shows."""
ALLOWED_MB = 10.0
"""Growth over nine rounds; one message of each round would be 45 MB."""


@pytest.mark.long
def test_ten_rounds(hosts, light_app):
    run = hosts.run(f"{SMALL} {MODEL} rounds={ROUNDS} training.steps=1", app=light_app)
    grown = {}
    for server_round in range(1, ROUNDS + 1):
        wait(lambda at=server_round: run.done >= at, f"the end of round {server_round}", run, 1200)
        if server_round < ROUNDS:
            processes = {
                "SuperLink": hosts.server.kept("superlink"),
                "ServerApp": run.server_process(),
                **{f"SuperNode {name}": site.kept("supernode") for name, site in hosts.sites.items()},
                **{
                    f"superexec of {name}": child
                    for name, site in hosts.sites.items()
                    for child in site.kept("supernode").children()
                    if "flower-superexec" in " ".join(child.cmdline())
                },
            }
            for name, process in processes.items():
                grown.setdefault(name, []).append(memory_mb(process))
    run.finish()
    for name, sizes in grown.items():
        sys.stdout.write(f"\n{name}: {[round(size) for size in sizes]} MB")
    for name, sizes in grown.items():
        early, late = statistics.median(sizes[WARM : WARM + 3]), statistics.median(sizes[-3:])
        assert late - early < ALLOWED_MB, f"{name} has grown from {early:.0f} to {late:.0f} MB: {sizes}"


def memory_mb(process: psutil.Process) -> float:
    """Proportional set size."""
    return process.memory_full_info().pss / 2**20
