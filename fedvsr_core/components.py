"""Objects from plain settings: a dictionary with ``_target_`` names a class and its keyword arguments."""

import importlib
import inspect
import json
import math
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from fedvsr_core.errors import ConfigurationError
from fedvsr_core.typed import kind_problem, typed

TARGET = "_target_"
ALLOWED = ("fedvsr_core.", "server_app.", "client_app.", "flwr.serverapp.strategy.", "torch.optim.")
"""Only classes that live below these may be named: settings travel, and must not name arbitrary code."""

Settings = Mapping[str, Any]

Count = Annotated[int, Field(ge=1)]
"""At least 1. These types stand in constructors, and tell `problems` the range of an argument."""
Whole = Annotated[int, Field(ge=0)]
"""At least 0."""


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
        said = str(error).split("\nException raised from")[0]  # then torch shows its stack
        raise ConfigurationError(f"{settings[TARGET]}: {said}") from error


def find(settings: Settings, kind: type = object) -> type:
    """The class that ``_target_`` names.

    Args:
        settings: A component's settings.
        kind: What it must be: a base class, or a protocol, whose methods it must have with their parameters.

    Raises:
        ConfigurationError: If there is no such class, it lives outside `ALLOWED`, or is of another kind.
    """
    name = settings.get(TARGET)
    if not isinstance(name, str) or not name.startswith(ALLOWED):
        raise ConfigurationError(f"{TARGET} must name a class below {', '.join(ALLOWED)}, got {name!r}")
    module, _, attribute = name.rpartition(".")
    try:
        target = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"{TARGET} {name!r} can't be imported: {error}") from error
    if not isinstance(target, type) or not f"{target.__module__}.".startswith(ALLOWED):
        raise ConfigurationError(f"{TARGET} must name a class below {', '.join(ALLOWED)}, got {name!r}")
    if not _is_a(target, kind):
        raise ConfigurationError(f"{TARGET} must name a {kind.__name__} ({kind.__module__}), got {name!r}")
    return target


def problems(
    settings: Settings,
    where: str,
    given: Collection[str] = (),
    *,
    kind: type = object,
    ranges: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """Compare settings with the constructor they name, without calling it.

    What a nested component must be is read from the constructor's type hints.

    Args:
        settings: A component's settings, as plain JSON values.
        where: Its place in the configuration, such as ``strategy.server``.
        given: Arguments that whoever builds it adds.
        kind: What it must be, as for `find`.
        ranges: Types of arguments by their names, for constructors of others, whose own hints say too little.

    Yields:
        One sentence for each unknown, missing, wrongly typed or infinite argument and each component of a
        wrong kind, nested ones included.
    """
    try:
        target = find(settings, kind)
    except ConfigurationError as error:
        yield f"{where}: {error}"
        return
    known = inspect.signature(target).parameters
    hints: Mapping[str, Any] = typing.get_type_hints(target.__init__, include_extras=True)  # type: ignore[misc]
    hints = {**hints, **(ranges or {})}
    for name, argument in known.items():
        many = argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD)
        if not many and argument.default is argument.empty and name not in (*settings, *given):
            yield f"{where}.{name}: {settings[TARGET]} needs this argument"
    for name, value in settings.items():
        if name == TARGET:
            continue
        if name not in known:
            yield f"{where}.{name}: {settings[TARGET]} has no such argument{nearest(name, known)}"
        elif endless := [f"{path} is {number}" for path, number in _endless(value, name)]:
            yield f"{where}.{name}: numbers must be finite, but {', '.join(endless)}"
        elif nested := list(_components(value, hints.get(name))):
            for path, component, inner in nested:
                yield from problems(component, f"{where}.{name}{path}", kind=inner)
        elif name in hints and (why := _mistyped(value, hints[name])):
            yield f"{where}.{name}: {why}, got {typed(value)}"


def nearest(name: str, known: Collection[str]) -> str:
    """``; did you mean 'x'?`` where a known name is near, else what there is."""
    close = get_close_matches(name, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; there are: {', '.join(sorted(known)) or 'none'}"


def _build_nested(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Mapping):
        return build(value) if TARGET in value else {key: _build_nested(item) for key, item in value.items()}
    return value


def _components(value: object, hint: Any, path: str = "") -> Iterator[tuple[str, Settings, type]]:  # noqa: ANN401
    """The components in a value, each with its path and the kind that a type hint asks for."""
    if isinstance(value, Mapping):
        if TARGET in value:
            yield path, value, hint if isinstance(hint, type) else object
        else:
            for key, item in value.items():
                yield from _components(item, _hint_of_item(hint, key), f"{path}.{key}")


def _hint_of_item(hint: Any, key: str) -> Any:  # noqa: ANN401
    """What a mapping's type hint says of one of its values; None if it says nothing."""
    if typing.is_typeddict(hint):
        return typing.get_type_hints(hint).get(key)
    arguments = typing.get_args(hint)
    return arguments[1] if len(arguments) == 2 else None


def _is_a(target: type, kind: type) -> bool:
    """Whether a class has a base class, or the methods of a protocol with all of their parameters."""
    if not getattr(kind, "_is_protocol", False):
        return issubclass(target, kind)
    methods = [name for name, member in vars(kind).items() if inspect.isfunction(member)]
    return all(
        _takes(inspect.getattr_static(target, name, None), getattr(kind, name))
        for name in methods
        if name not in ("__init__", "__subclasshook__")
    )


def _takes(method: object, like: Callable[..., Any]) -> bool:
    """Whether a method can be called as another one, by the names of its parameters."""
    if not inspect.isfunction(method):
        return False
    wanted, own = inspect.signature(like).parameters, inspect.signature(method).parameters
    return set(wanted) <= set(own) and all(
        name in wanted or argument.default is not argument.empty for name, argument in own.items()
    )


def _endless(value: object, path: str) -> Iterator[tuple[str, float]]:
    """Numbers in a value that aren't finite, but for those of nested components."""
    if isinstance(value, float) and not math.isfinite(value):
        yield path, value
    elif isinstance(value, Mapping) and TARGET not in value:
        for key, item in value.items():
            yield from _endless(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from _endless(item, f"{path}[{place}]")


def _mistyped(value: object, hint: Any) -> str:  # noqa: ANN401
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(strict=True, arbitrary_types_allowed=True))
        adapter.validate_json(json.dumps(value))  # as JSON: a list is a tuple, but "3" is no number
    except ValidationError as error:
        said = kind_problem(error.errors()[0]["type"], error.errors()[0]["msg"])
        return said[:1].lower() + said[1:]
    except PydanticUserError:
        return ""  # a type that pydantic can't describe: the constructor will tell
    return ""
