"""How an argument is checked: what is allowed is declared, and the error says it."""

import inspect
import math
import re
import reprlib
import sys
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from functools import lru_cache, wraps
from numbers import Integral, Real
from types import UnionType
from typing import Union, get_args, get_origin, get_type_hints

_LARGEST = sys.float_info.max


class ArgumentError(TypeError, ValueError):
    """An argument of another type than declared."""


def check_choice(argument: str, value: object, allowed: Iterable[object]) -> None:
    """Raise ValueError unless the value is one of those allowed.

    >>> check_choice("method", "lora", ("probe", "lora"))
    """
    allowed = tuple(allowed)
    if not isinstance(value, Hashable) or value not in frozenset(allowed):
        raise ValueError(f"{argument}={short(value)}: allowed: one of {allowed}")


def short(value: object) -> str:
    """A value as text for a message, long ones cut."""
    cut = reprlib.Repr()
    cut.maxstring = cut.maxother = 100
    return cut.repr(value)


def check_number(
    argument: str,
    value: object,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
    whole: bool = False,
    none: bool = False,
) -> None:
    """Raise ValueError unless it is a finite number, whole if asked, in the bounds; or maybe None.

    >>> check_number("rank", 0, least=1, whole=True)
    Traceback (most recent call last):
    ValueError: rank=0: allowed: a whole number, 1 or more
    """
    if none and value is None:
        return
    kind = Integral if whole else Real
    fits = isinstance(value, kind) and not isinstance(value, bool)
    if not (fits and least <= value <= most and above < value < below and abs(value) <= _LARGEST):
        bounds = {"{} or more": least, "above {}": above, "at most {}": most, "below {}": below}
        said = [text.format(f"{b:g}") for text, b in bounds.items() if math.isfinite(b)]
        number = "a whole number" if whole else "a finite number"
        raise ValueError(f"{argument}={short(value)}: allowed: {', '.join([number, *said])}")


def checked(function: Callable) -> Callable:
    """The function, refusing arguments of other types than its own hints say, by name.

    >>> @checked
    ... def half(number: int | None) -> float: ...
    >>> half("8")
    Traceback (most recent call last):
    lorakit.checks.ArgumentError: number='8': allowed: int | None
    """
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        given = signature.bind(*args, **kwargs)
        for name, value in given.arguments.items():
            if isinstance(value, Iterator) and "Iterable" in str(_hints(function).get(name)):
                given.arguments[name] = tuple(value)  # or to look at it would use it up
        _check_types(function, given.arguments)
        return function(*given.args, **given.kwargs)

    return call


def check_fields(instance: object) -> None:
    """Raise ArgumentError unless the fields of a dataclass are of the types it declares.

    Numbers of NumPy become Python's: a checkpoint, and the id of an experiment, know no others.
    """
    _check_types(type(instance), vars(instance))
    for name, value in vars(instance).items():
        if isinstance(value, Real) and hasattr(value, "item"):
            object.__setattr__(instance, name, value.item())


def _check_types(declared: Callable | type, given: Mapping[str, object]) -> None:
    hints = _hints(declared)
    for name, value in given.items():
        if name in hints and not _fits(value, hints[name]):
            allowed = declared.__annotations__[name]
            plain = isinstance(allowed, type) and not get_args(allowed)
            allowed = allowed.__name__ if plain else str(allowed)
            allowed = re.sub(r"(collections\.abc|lorakit[.\w]*|pathlib)\.", "", allowed)
            raise ArgumentError(f"{name}={short(value)}: allowed: {allowed}")


_hints = lru_cache(maxsize=None)(get_type_hints)


def _fits(value: object, hint: object) -> bool:
    kind, inside = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        return any(_fits(value, one) for one in inside)
    if hint is object:
        return True
    if hint is str:
        return isinstance(value, str) and "\0" not in value
    if hint in (int, float):  # whole, or how large, is for ``check_number`` to say
        return isinstance(value, Real)
    if not isinstance(value, kind or hint):
        return False
    if not inside or not isinstance(value, Collection):
        return True
    if kind in (dict, Mapping):
        return all(_fits(k, inside[0]) and _fits(v, inside[1]) for k, v in value.items())
    try:
        return all(_fits(one, inside[0]) for one in value)
    except TypeError:  # a tensor without dimensions
        return False
