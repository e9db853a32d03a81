"""Damage to bytes, text and plain values, drawn from a seed."""

import copy
import json

STRANGE = [
    *(None, True, -1, 0, 10**30, 1e308, float("nan"), "", "x" * 10_000, "\x00\x1b[2J", "<b>", "é\u202e"),
    *([], {}, [[]], {"": ""}, [None] * 3, {"a": {"b": {}}}, "../../etc/passwd", "${oc.env:HOME}"),
]


def damaged(rng, data):
    """Bytes that were sound: cut, flipped, overwritten, repeated, or with something in between."""
    data = bytearray(data)
    place = rng.randrange(len(data) + 1)
    match rng.randrange(7):
        case 0:
            return bytes(data[:place])
        case 1:
            for _ in range(rng.randint(1, 20)):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 2:
            data[place : place + 64] = rng.randbytes(64)
        case 3:
            data[place:place] = rng.randbytes(rng.randint(1, 200))
        case 4:
            data[place : place + 200] = bytes(200)
        case 5:
            data[place:place] = data[: rng.randrange(1, 2000)]
        case 6:
            start = rng.randrange(min(64, len(data)))  # the header, where sizes stand
            data[start : start + 4] = rng.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4)])
    return bytes(data)


def spoilt(rng, value):
    """A copy of plain values with one of them replaced, lost, added, or of another type."""
    value = copy.deepcopy(value)
    node = value
    while isinstance(node, dict | list) and node:
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        if not isinstance(node[key], dict | list) or not node[key] or rng.random() < 0.3:
            match rng.randrange(4):
                case 0:
                    del node[key]
                case 1 if isinstance(node, dict):
                    node[rng.choice(["", "\n", "x" * 5000, "_target_", "phase"])] = rng.choice(STRANGE)
                case _:
                    node[key] = rng.choice(STRANGE)
            return value
        node = node[key]
    return rng.choice(STRANGE)


def json_of(rng, value):
    """JSON of spoilt values, sometimes no JSON at all."""
    match rng.randrange(8):
        case 0:
            return damaged(rng, json.dumps(value).encode())
        case 1:
            return rng.choice([b"", b"[" * 50_000, b"\xff\xfe", b"1" * 5000, b"{}", b"[]", b"null", b'"a"'])
        case _:
            return json.dumps(spoilt(rng, value)).encode()
