"""Objects from plain settings: a dictionary with ``_target_`` names a class and its keyword arguments."""

import importlib
import inspect
import json
import typing
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from fedvsr_core.errors import ConfigurationError

TARGET = "_target_"
ALLOWED = ("fedvsr_core.", "server_app.", "client_app.", "flwr.serverapp.strategy.", "torch.optim.")
"""Only classes that live below these may be named: settings travel, and must not name arbitrary code."""

Settings = Mapping[str, Any]


def build(settings: Settings, **given: Any) -> Any:  # noqa: ANN401 (what comes out is what _target_ names)
    """Make the object that settings describe, and those nested in it first.

    Args:
        settings: ``_target_`` and the constructor's keyword arguments, as plain JSON values.
        given: Arguments that only the caller knows; those that the constructor doesn't take are left out.

    Raises:
        ConfigurationError: If ``_target_`` isn't one of our classes, Flower's strategies or torch's
            optimisers, or if the constructor refuses its arguments.
    """
    target = find(settings)
    accepted = inspect.signature(target).parameters
    arguments = {name: _build_nested(value) for name, value in settings.items() if name != TARGET}
    arguments |= {name: value for name, value in given.items() if name in accepted}
    try:
        return target(**arguments)
    except (TypeError, ValueError, AttributeError, LookupError) as error:  # an argument it can't work with
        raise ConfigurationError(f"{settings[TARGET]}: {error}") from error


def find(settings: Settings) -> type:
    """The class that ``_target_`` names.

    Raises:
        ConfigurationError: If there is no such class, or it lives outside `ALLOWED`.
    """
    name = settings.get(TARGET)
    if not isinstance(name, str) or not name.startswith(ALLOWED):
        raise ConfigurationError(f"{TARGET} must name a class below {', '.join(ALLOWED)}, got {name!r}")
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"{TARGET} {name!r} can't be imported: {error}") from error
    if not isinstance(found, type) or not f"{found.__module__}.".startswith(ALLOWED):
        raise ConfigurationError(f"{TARGET} must name a class below {', '.join(ALLOWED)}, got {name!r}")
    return found


def problems(settings: Settings, where: str, given: Collection[str] = ()) -> Iterator[str]:
    """Compare settings with the constructor they name, without calling it.

    Args:
        settings: A component's settings, as plain JSON values.
        where: Its place in the configuration, such as ``strategy.server``.
        given: Arguments that whoever builds it adds.

    Yields:
        One sentence for each unknown, missing or wrongly typed argument, nested components included.
    """
    try:
        target = find(settings)
    except ConfigurationError as error:
        yield f"{where}: {error}"
        return
    known = inspect.signature(target).parameters
    hints = typing.get_type_hints(target.__init__)  # type: ignore[misc]
    for name, argument in known.items():
        many = argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD)
        if not many and argument.default is argument.empty and name not in (*settings, *given):
            yield f"{where}.{name}: {settings[TARGET]} needs this argument"
    for name, value in settings.items():
        if name == TARGET:
            continue
        if name not in known:
            yield f"{where}.{name}: {settings[TARGET]} has no such argument{nearest(name, known)}"
        elif nested := list(_components(value)):
            for path, component in nested:
                yield from problems(component, f"{where}.{name}{path}")
        elif name in hints and (why := _mistyped(value, hints[name])):
            yield f"{where}.{name}: {why}, got {value!r}"


def nearest(name: str, known: Collection[str]) -> str:
    """``; did you mean 'x'?`` where a known name is near, else what there is."""
    close = get_close_matches(name, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; there are: {', '.join(sorted(known)) or 'none'}"


def _build_nested(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Mapping):
        return build(value) if TARGET in value else {key: _build_nested(item) for key, item in value.items()}
    return value


def _components(value: object, path: str = "") -> Iterator[tuple[str, Settings]]:
    if isinstance(value, Mapping):
        if TARGET in value:
            yield path, value
        else:
            for key, item in value.items():
                yield from _components(item, f"{path}.{key}")


def _mistyped(value: object, hint: Any) -> str:  # noqa: ANN401
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(strict=True, arbitrary_types_allowed=True))
        adapter.validate_json(json.dumps(value))  # as JSON: a list is a tuple, but "3" is no number
    except ValidationError as error:
        return error.errors()[0]["msg"][:1].lower() + error.errors()[0]["msg"][1:]
    except PydanticUserError:
        return ""  # a type that pydantic can't describe: the constructor will tell
    return ""
