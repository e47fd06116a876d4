"""How an answer is judged: right, open, or wrong with the reason."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

_CHECKS: dict[str, Callable[[object], str]] = {}


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


def exercise(name: str) -> Callable:
    """Register the check of an exercise, named lesson dot exercise such as ``01.forward``.

    The function takes the learner's answer and returns what to say if it is right. It raises
    ``Mistake`` if it is wrong and ``NotBegun`` if it is still open.
    """

    def register(function: Callable[[object], str]) -> Callable[[object], str]:
        _CHECKS[name] = function
        return function

    return register


def exercises(lesson: str) -> list[str]:
    """The names of one lesson's exercises: ``exercises("01")``."""
    importlib.import_module(f"exercises.lesson{lesson}")
    return [name for name in _CHECKS if name.startswith(f"{lesson}.")]


def judge(name: str, answer: object) -> Verdict:
    """Judge an answer; whatever the learner's code raises becomes part of the verdict.

    An answer that is ``...`` or None, or a function that returns one of them, is open.

    Raises:
        ValueError: there is no exercise of that name.
    """
    lesson = name.split(".")[0]
    try:
        known = exercises(lesson)
    except ModuleNotFoundError:
        known = []
    if name not in known:
        raise ValueError(f"name={name!r}: allowed: one of {known}")
    try:
        return Verdict(name, "right", _CHECKS[name](begun(answer)))
    except NotBegun:
        return Verdict(name, "open", "still open. Fill in the cell above and run it again.")
    except Mistake as mistake:
        return Verdict(name, "wrong", str(mistake))
    except Exception as error:
        return Verdict(name, "wrong", f"your code raised {type(error).__name__}: {error}")


def check(name: str, answer: object) -> None:
    """Print the verdict on an answer."""
    print(judge(name, answer))


def same(
    got: object,
    want: Tensor | float,
    what: str = "the result",
    mistakes: Mapping[str, Tensor | float] | None = None,
    tolerance: float = 1e-4,
) -> None:
    """Raise ``Mistake`` unless two numbers or tensors agree, and say how they differ.

    Args:
        got: the learner's; ``...`` and None count as not begun.
        want: the right one.
        what: what it is called in the message.
        mistakes: results of known mistakes, by the words that name them.
        tolerance: relative to the largest value of ``want``.
    """
    begun(got)
    want = torch.as_tensor(want).detach().double()
    try:
        mine = torch.as_tensor(got).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError):
        kind = "number" if want.ndim == 0 else "tensor"
        raise Mistake(f"{what} should be a {kind}, yours is a {type(got).__name__}") from None
    known = {words: torch.as_tensor(x).detach().double() for words, x in (mistakes or {}).items()}
    scale = max(want.abs().max().item(), 1e-12) if want.numel() else 1.0

    def near(x: Tensor, y: Tensor) -> bool:
        return x.shape == y.shape and torch.allclose(x, y, rtol=0, atol=tolerance * scale)

    if near(mine, want):
        return
    for words, wrong in known.items():
        if near(mine, wrong):
            raise Mistake(words)
    if mine.shape != want.shape:
        raise Mistake(f"{what} has shape {tuple(mine.shape)}, it should be {tuple(want.shape)}")
    if not torch.isfinite(mine).all():
        raise Mistake(f"{what} is not finite")
    factor = ((mine * want).sum() / want.square().sum().clamp(min=1e-30)).item()
    if near(mine, -want):
        raise Mistake(f"{what} has the wrong sign")
    if near(mine, factor * want) and abs(factor) > 1e-3:
        raise Mistake(f"{what} is {factor:.4g} times what it should be: look at the scale")
    raise Mistake(f"{what} differs from the right one by up to {(mine - want).abs().max():.3g}")


def unanswered(answer: object) -> bool:
    """Whether an answer, or what a learner's function returned, is still ``...`` or None."""
    return answer is ... or answer is None


def begun(answer: object) -> object:
    """The answer itself; ``NotBegun``, which ``judge`` calls open, if it is unanswered."""
    if unanswered(answer):
        raise NotBegun
    return answer
