"""Text from outside, made harmless where it enters what people read."""

import re

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a client may be called: its name stands in logs, journals, plots, paths and tables."""


def printable(text: str) -> str:
    r"""Text whose control characters, line breaks and undecodable bytes are backslash escapes.

    So a name can't clear a terminal, look like a line of ours, or end a program that writes UTF-8.
    """
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
