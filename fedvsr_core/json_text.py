"""JSON from a file or a message that anyone may have written."""

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:  # noqa: ANN401 (anything that JSON can hold)
    """Parse JSON.

    Raises:
        ValueError: If it isn't JSON, isn't UTF-8, or is nested too deeply to be read.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
