"""How values are written in a run-config: for Hydra, for the words of overrides, and for Flower.

A path such as ``/home/müller/it's a {test}=1`` passes three parsers before it is a path again, behind the
shell, for which ``shlex`` quotes. Whoever hands one on, or shows it to be pasted, writes it by these.
"""

import json
import re
import shlex
from collections.abc import Mapping

_PLAIN = re.compile(r"[A-Za-z0-9_./+:@-]+", re.ASCII)
"""What Hydra reads as the words that they are."""


def override(key: str, value: str) -> str:
    """One override that gives a key this very text, whatever signs are in it.

    Args:
        key: Such as ``run.resume``.
        value: Any text without line breaks.
    """
    if _PLAIN.fullmatch(value):
        return f"{key}={value}"
    text = re.sub(r"(\\*)\$\{", lambda found: rf"{found[1] * 2}\${{", value)  # or it would be looked up
    # A backslash stands for itself, but for those that are before a quotation mark.
    text = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + (r"\'" if found[2] else ""), text)
    return f"{key}='{text}'"


def overrides(values: Mapping[str, str], more: str = "") -> str:
    """Overrides, as the run-config's key of this name takes them.

    Args:
        values: Text by key.
        more: Further overrides, as somebody wrote them.
    """
    return " ".join(filter(None, [more, *(shlex.quote(override(*item)) for item in values.items())]))


def flower_words(run_config: Mapping[str, object]) -> str:
    """A run-config as ``flwr run --run-config`` takes it, without its empty values.

    Args:
        run_config: Plain values by key.
    """
    return " ".join(f"{key}={_toml(value)}" for key, value in run_config.items() if value != "")


def _toml(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)  # for plain values TOML is JSON
    if not isinstance(value, str):
        return text
    # Flower splits by quotation marks before it reads TOML: there may be none inside.
    inner = text[1:-1].replace('\\"', r"\u0022").replace("\x7f", r"\u007f")
    return f'"{inner}"'
