"""How an answer is judged: right, open, or wrong with the reason."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, is_dataclass
from typing import Any

import torch
from torch import Tensor

Answer = Callable[..., Any]  # a function of the learner's
_CHECKS: dict[str, tuple[Callable[..., str], tuple[tuple, ...]]] = {}


class Mistake(Exception):
    """What is wrong with an answer, in words for the learner."""


class NotBegun(Exception):
    """An answer that is still open."""


@dataclass(frozen=True)
class Verdict:
    """``status`` is ``right``, ``open`` or ``wrong``; ``text`` says why."""

    name: str
    status: str
    text: str

    def __str__(self) -> str:
        sign = {"right": "✓", "open": "○", "wrong": "✗"}[self.status]
        return f"{sign} {self.name}: {self.text}"


def exercise(name: str, *cases: tuple) -> Callable:
    """Register the check of an exercise, named lesson dot exercise such as ``01.forward``.

    The check takes the learner's answer and what one case holds; it runs for each of the ``cases``,
    or once. It returns what to say if the answer is right, and raises ``Mistake`` if it is wrong.
    """

    def register(function: Callable[..., str]) -> Callable[..., str]:
        _CHECKS[name] = function, cases or ((),)
        return function

    return register


def exercises(lesson: str) -> list[str]:
    """The names of one lesson's exercises: ``exercises("01")``."""
    with suppress(ModuleNotFoundError):  # no such lesson: no exercises
        importlib.import_module(f"exercises.lesson{lesson}")
    return [name for name in _CHECKS if name.startswith(f"{lesson}.")]


def judge(name: str, answer: object) -> Verdict:
    """Judge an answer; whatever the learner's code raises becomes part of the verdict.

    An answer that is ``...`` or None, or a function that returns one of them, is open. Checks draw
    from PyTorch's generator, which starts from seed 0 in each and is left as it was.

    Raises:
        ValueError: there is no exercise of that name.
    """
    if name not in (known := exercises(name.split(".")[0])):
        raise ValueError(f"name={name!r}: allowed: one of {known}")
    function, cases = _CHECKS[name]
    try:
        begun(answer)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            praise = [function(answer, *case) for case in cases]
        return Verdict(name, "right", praise[-1])
    except NotBegun:
        return Verdict(name, "open", "still open. Fill in the cell above and run it again.")
    except Mistake as mistake:
        return Verdict(name, "wrong", str(mistake))
    except Exception as error:
        return Verdict(name, "wrong", f"your code raised {type(error).__name__}: {error}")


def check(name: str, answer: object) -> None:
    """Print the verdict on an answer."""
    print(judge(name, answer))


def begun(*answers: object) -> None:
    """Raise ``NotBegun``, which ``judge`` calls open, if every answer is ``...`` or None."""
    if all(answer is ... or answer is None for answer in answers):
        raise NotBegun


def ask(function: Callable, *given: object, keep: bool = False) -> object:
    """What the learner's function returns for copies of ``given``; with ``keep`` they must last."""
    copies = deepcopy(given)
    got = function(*copies)
    begun(got)
    changed = keep and any(map(_differ, copies, given))
    wrong_if(changed, "what you were given was changed on the way: return a new one instead")
    return got


def _differ(one: object, other: object) -> bool:
    """Whether tensors, or those in two data classes, differ."""
    if is_dataclass(one):
        return any(map(_differ, vars(one).values(), vars(other).values()))
    return isinstance(one, Tensor) and not torch.equal(one, other)


def wrong_if(condition: object, words: str) -> None:
    """Raise ``Mistake`` with these words if the condition holds."""
    if condition:
        raise Mistake(words)


def expect(got: object, kind: type, what: str = "the result") -> None:
    """Raise ``Mistake`` unless the learner's value is of this type."""
    words = f"{what} should be of type {kind.__name__}, yours is a {type(got).__name__}"
    wrong_if(not isinstance(got, kind), words)


def several(got: object, names: str) -> tuple:
    """The values that a function should return, named as in ``"q, steps, draws"``."""
    values = tuple(got) if hasattr(got, "__iter__") else (got,)
    wanted = names.count(",") + 1
    yours = f"a {type(got).__name__} of {len(values)}"
    words = f"the function should return {wanted} values, {names}; yours is {yours}"
    wrong_if(len(values) != wanted, words)
    return values


def same(
    got: object,
    want: Tensor | float,
    what: str = "the result",
    mistakes: Mapping[str, Tensor | float] | None = None,
    tolerance: float = 1e-4,
) -> None:
    """Raise ``Mistake`` unless two numbers or tensors agree, and say how they differ.

    ``what`` is the name of the learner's value; ``mistakes`` holds results of known mistakes, by
    the words that name them; ``tolerance`` is relative to the largest value wanted unless all
    are 0, and whole numbers must be met exactly.
    """
    begun(got)
    want = torch.as_tensor(want).detach()
    tolerance = tolerance if want.is_floating_point() else 1e-9
    want = want.double()
    near_by = tolerance * (want.abs().max().item() if want.any() else 1.0)
    try:
        mine = torch.as_tensor(got).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError):
        kind = "number" if want.ndim == 0 else "tensor"
        raise Mistake(f"{what} should be a {kind}, yours is a {type(got).__name__}") from None

    def near(x: Tensor, y: Tensor) -> bool:
        return x.shape == y.shape and torch.allclose(x, y, 0, near_by, equal_nan=True)

    if near(mine, want):
        return
    for words, wrong in (mistakes or {}).items():
        wrong_if(near(mine, torch.as_tensor(wrong).detach().double()), words)
    shapes = tuple(mine.shape), tuple(want.shape)
    wrong_if(shapes[0] != shapes[1], f"{what} has shape {shapes[0]}, it should be {shapes[1]}")
    wrong_if(not torch.isfinite(mine).all(), f"{what} is not finite")
    wrong_if(near(mine, -want), f"{what} has the wrong sign")
    factor = ((mine * want).sum() / want.square().sum().clamp(min=1e-30)).item()
    scaled = want.numel() > 1 and near(mine, factor * want) and abs(factor) > 1e-3
    wrong_if(scaled, f"{what} is {factor:.4g} times what it should be: look at the scale")
    raise Mistake(f"{what} differs from the right one by up to {(mine - want).abs().max():.3g}")
