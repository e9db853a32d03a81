"""Values and types of the configuration, as a person types them in an override."""

import json
import math
import re
from typing import Any

_NO_TEXT = re.compile(r"[+-]?[\d.]+(e[+-]?\d+)?|true|false|null|none|nan|inf|", re.IGNORECASE)
"""What reads as something else than text."""
KINDS = {
    "int": "must be a whole number",
    "float": "must be a number",
    "bool": "must be true or false",
    "string": "must be text",
    "tuple": "must be a list such as [a,b]",
    "list": "must be a list such as [a,b]",
    "dict": "must be a section, key by key",
    "model": "must be a section, key by key",
}
"""What each of pydantic's types must be, by the beginning of the error's name."""


def typed(value: Any) -> str:  # noqa: ANN401 (plain values)
    """A plain value, such as ``null``, ``[a,b]`` or ``1e-3``."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(typed, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{typed(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        return json.dumps(value) if _NO_TEXT.fullmatch(value) or not value.isprintable() else value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def kind_problem(error_type: str, message: str) -> str:
    """What an error of pydantic says, in these words where it is about a type.

    Args:
        error_type: Its name, such as ``int_parsing``.
        message: Its own words.
    """
    kind, _, what = error_type.partition("_")
    if what in ("type", "parsing", "from_float", "attributes_type") and kind in KINDS:
        return KINDS[kind]
    return message
