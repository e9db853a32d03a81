"""Settings in a TOML file that a person edits: read strictly, every problem named at once."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from fedvsr_core.components import nearest
from fedvsr_core.errors import ConfigurationError

_SHOWN = 300
"""Characters of a wrong value."""


def _kebab_case(name: str) -> str:
    return name.replace("_", "-")


class TomlSettings(BaseModel):
    """Settings of one file; its keys are the names of the fields with hyphens.

    Attributes:
        folder: The folder of the file, which relative paths in it start from; not a key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=_kebab_case)

    folder: Path

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """The keys that the file may have."""
        return tuple(_kebab_case(name) for name in cls.model_fields if name != "folder")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check a file.

        Raises:
            ConfigurationError: If it is missing, isn't TOML, or has an unknown key or a wrong value.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"'{path}' can't be read: {error.strerror}; 'fedvsr deploy' makes it"
            ) from error
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"'{path}' must be text in UTF-8, but: {error}") from error
        return cls.parse(text, path)

    @classmethod
    def parse(cls, text: str, path: Path) -> Self:
        """Check what a file says, or will say.

        Args:
            text: All of it.
            path: Where it lies.

        Raises:
            ConfigurationError: If it isn't TOML, or has an unknown key or a wrong value.
        """
        try:
            plain = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"'{path}' must be a TOML file, but: {error}") from error
        keys = cls.keys()
        problems = [f"'{key}' is no key of this file{nearest(key, keys)}" for key in plain if key not in keys]
        known = {key: value for key, value in plain.items() if key in keys}
        known["folder"] = str(path.resolve().parent)
        try:
            settings = cls.model_validate_json(json.dumps(known, default=str), strict=True)
        except ValidationError as error:
            problems += [_describe(problem) for problem in error.errors()]
        if problems:
            raise ConfigurationError(f"'{path}': {'; '.join(problems)}")
        return settings


def toml_line(key: str, value: str | int | float | Sequence[str], comment: str) -> str:
    """A line of a TOML file; JSON's strings, numbers and lists of them are TOML's as well."""
    return f"{key} = {json.dumps(value, ensure_ascii=False)}  # {comment}"


def _describe(problem: Any) -> str:  # noqa: ANN401 (pydantic's ErrorDetails)
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"'{key}' is missing"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"'{key}': {message}, got {problem['input']!r:.{_SHOWN}}" if key else message
