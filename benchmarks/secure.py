"""What a secure round costs beside its training: bytes, seconds, the server's memory.

    python benchmarks/secure.py                       # a table to stdout; seconds
    python benchmarks/secure.py --clients 10 32 --parameters 10800000

One client's work in all stages, and the server's, in this process on one thread and without the network:
every client is real, but all share one update of random numbers. `plain` is what the server does without
masks: the weighted mean of the same updates. The server's memory is the peak of what unmasking takes beyond
the sum itself, as tracemalloc sees numpy's arrays: blocks, whatever the number of clients.
"""

import argparse
import secrets
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from client_app.sealed_shares import seal, unseal
from fedvsr_core.secure.agreement import public_of
from fedvsr_core.secure.fixed_point import FixedPoint
from fedvsr_core.secure.masks import add_mask
from fedvsr_core.secure.secret_sharing import join, split
from fedvsr_core.secure.session import VECTOR, Roster, needed, pair_key, pair_sign, self_key
from server_app.aggregation.blockwise import weighted_mean
from server_app.aggregation.values import InMemory

CLIP, BITS, THRESHOLD = 64.0, 16, 0.6


class Clock:
    """Seconds by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Add what the block takes."""
        began = time.process_time()
        yield
        self.seconds[what] = self.seconds.get(what, 0.0) + time.process_time() - began


def run(clients: int, parameters: int, gone: int) -> dict[str, float]:
    """One client's share of a round, and the server's."""
    clock, names = Clock(), [f"c{k:03d}" for k in range(clients)]
    private = {name: [secrets.token_bytes(32) for _ in range(3)] for name in names}
    seeds = {name: secrets.token_bytes(32) for name in names}
    public = {name: tuple(map(public_of, keys)) for name, keys in private.items()}
    roster = Roster.of(public, THRESHOLD, run="r", server_round=1, session="s")
    me, here = names[0], names[: clients - gone]
    holders, threshold = roster.holders(me), roster.share_threshold(me)
    package_bytes = 0
    with clock.of("client: keys, shares"):
        for key in private[me]:
            public_of(key)
        shares = [split(seeds[me], threshold, len(holders)) for _ in range(4)]
        for number, holder in enumerate(holders):
            package = b"".join(share[number] for share in shares)
            if holder != me:
                keys = private[me][0], public[holder][0]
                sealed = seal(package, *keys, me, holder, roster.transcript)
                package_bytes += len(sealed)
    with clock.of("client: others' shares"):
        for holder in holders:
            if holder != me:
                sealed = seal(package, private[holder][0], public[me][0], holder, me, roster.transcript)
                unseal(sealed, private[me][0], public[holder][0], holder, me, roster.transcript)
    update = np.random.default_rng(0).normal(0, 1e-3, parameters).astype(np.float32)
    fixed = FixedPoint.that_holds(clients * CLIP, BITS)
    with clock.of("client: fixed point"):
        words = np.empty(parameters, fixed.dtype)
        for start in range(0, parameters, 1 << 16):
            words[start : start + (1 << 16)] = fixed.encode(1.1 * update[start : start + (1 << 16)])
    encoded = words.copy()
    with clock.of("client: masks"):
        add_mask(words, self_key(seeds[me], VECTOR, b"t"), 1)
        for other in roster.neighbours(me, names):
            add_mask(words, pair_key(private[me][2], public[other][2], VECTOR, b"t"), pair_sign(me, other))
    arrays = InMemory({"w": update})
    with clock.of("server: plain mean"):
        dict(weighted_mean([arrays] * clients, [1 / clients] * clients, {"w": update}))
    masked = {me: words}
    for name in here[1:]:
        masked[name] = encoded.copy()
        add_mask(masked[name], self_key(seeds[name], VECTOR, b"t"), 1)
        for other in roster.neighbours(name, names):
            key = pair_key(private[name][2], public[other][2], VECTOR, b"t")
            add_mask(masked[name], key, pair_sign(name, other))
    total = np.zeros(parameters, fixed.dtype)
    with clock.of("server: sum"):
        for name in here:
            total += masked[name]
    tracemalloc.start()
    with clock.of("server: secrets"):
        for name in names:
            around = roster.holders(name)
            least = needed(len(around), THRESHOLD)
            join(dict(enumerate(split(seeds[name], least, len(around))[:least], start=1)), least)
    with clock.of("server: masks"):
        for name in here:
            add_mask(total, self_key(seeds[name], VECTOR, b"t"), -1)
        for name in names[clients - gone :]:
            for other in roster.neighbours(name, here):
                key = pair_key(private[name][2], public[other][2], VECTOR, b"t")
                add_mask(total, key, -pair_sign(other, name))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    expected = encoded.astype(np.uint64) * len(here)
    if not np.array_equal(total, expected.astype(fixed.dtype)):
        raise SystemExit("masks are left in the sum")
    sums = {who: sum(s for what, s in clock.seconds.items() if what.startswith(who)) for who in ("client",)}
    masking = sum(s for what, s in clock.seconds.items() if what.startswith("server") and "plain" not in what)
    revealed, scalars, keys_bytes = 2 * 32 * len(holders), 48 * 11, 96
    up = words.nbytes + package_bytes + revealed + scalars + keys_bytes
    return {
        **clock.seconds,
        "client, s": sums["client"],
        "server, s": masking,
        "up over plain": up / update.nbytes,
        "unmasking, MB": peak / 2**20,
        "bits": fixed.bits,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="*", default=[10])
    parser.add_argument("--parameters", type=int, default=10_800_000)
    parser.add_argument("--gone", type=int, nargs="*", default=[0, 2], help="after the shares")
    arguments = parser.parse_args()
    for clients in arguments.clients:
        for gone in arguments.gone:
            print(f"{clients} clients, {arguments.parameters} parameters, {gone} gone")
            for what, value in run(clients, arguments.parameters, gone).items():
                print(f"  {what:24} {value:10.4f}")


if __name__ == "__main__":
    main()
