"""Checks of lesson 07, Private fine-tuning."""

from __future__ import annotations

import math
from collections.abc import Callable

from exercises.verdict import Mistake, begun, exercise, same
from lorakit.privacy.accountant import default_delta


@exercise("07.rate")
def rate(function: Callable[[int, int, int], tuple[float, int, float]]) -> str:
    """The sample rate, the number of steps, and how often one example is drawn on average."""
    for examples, batch, epochs in ((1097, 256, 6), (10_000, 300, 2), (50_000, 1024, 3), (7, 4, 5)):
        q, steps, draws = _numbers(function(examples, batch, epochs), "(q, steps, draws)", 3)
        loader = math.ceil(examples / batch)
        floor = examples // batch
        right = batch / examples
        same(
            q,
            right,
            f"q for N = {examples}, batch {batch}",
            {
                "q is 1 / len(loader): that is what plain Opacus takes, but it gives another "
                "expected batch than the one asked for, unless batches divide N": 1 / loader,
                "q is one over floor(N / batch), a number of batches; how likely is it that one "
                "example is in one batch?": 1 / floor,
                "q is upside down: a probability is at most 1": 1 / right,
                "q does not depend on the number of epochs": right / epochs,
            },
        )
        same(
            steps,
            epochs * loader,
            f"the number of steps for N = {examples}, batch {batch}, {epochs} epochs",
            {
                "the steps were rounded down: lorakit takes ceil(N / batch) steps an epoch, and a "
                "step that is not counted is privacy that is not paid for": float(epochs * floor),
                "those are the steps of one epoch": float(loader),
                "a number of steps is whole": epochs * examples / batch,
            },
            tolerance=1e-9,
        )
        same(
            draws,
            right * epochs * loader,
            "draws",
            {
                "draws is the number of epochs only if batches divide N: each of the steps "
                "draws the example with probability q": float(epochs),
                "draws is meant for one example, that is for all of them together": right
                * epochs
                * loader
                * examples,
                "draws counts one epoch only": right * loader,
            },
        )
    return "q = batch / N and every step counted: this is what the accountant needs to know."


@exercise("07.delta")
def delta(function: Callable[[int, int], float]) -> str:
    """The largest power of ten strictly below one over the number of examples."""
    for examples, batch in ((1097, 256), (10_000, 256), (60_000, 512), (999, 10), (1000, 64)):
        got = begun(function(examples, batch))
        batches = math.ceil(examples / batch)
        want = default_delta(examples)
        same(
            got,
            want,
            f"delta for N = {examples}",
            {
                "that is 1/N itself: publishing one whole example at random would be "
                "(0, 1/N)-private. Go strictly below": 1 / examples,
                "that is 1 / (number of batches): DP protects examples, and there are many in a "
                "batch": 1 / batches,
                "that is a power of ten below 1 / (number of batches): DP protects examples, and "
                "there are many in a batch": default_delta(batches),
                "that is above 1/N: the exponent was rounded the wrong way": 10 * want,
                "that is 1 / batch: what has the batch to do with it?": 1 / batch,
            },
            tolerance=1e-6,
        )
    return "it speaks of examples, and the batch has no part in it."


@exercise("07.total")
def total(function: Callable[[list[tuple[float, float]]], tuple[float, float]]) -> str:
    """What holds for several runs on the same data together, by basic composition."""
    lists = (
        [(2.0, 1e-4), (0.5, 3e-5)],
        [(1.0, 1e-5), (3.0, 2e-5), (2.5, 1e-6)],
        [(0.7, 1e-6), (0.7, 2e-6), (0.7, 3e-6), (0.1, 1e-6)],
    )
    for runs in lists:
        epsilon, small = _numbers(function(list(runs)), "(epsilon, delta)", 2)
        epsilons, deltas = zip(*runs)
        same(
            epsilon,
            sum(epsilons),
            "epsilon",
            {
                "epsilon is the largest of the runs: that holds for runs on different people, and "
                "these are the same": max(epsilons),
                "epsilon is the last run's alone; the others were trained on the same data, and "
                "their results decided what came after": epsilons[-1],
                "epsilon is the smallest of the runs: what of the others?": min(epsilons),
                "epsilon is the mean: promises do not average out, they pile up": sum(epsilons)
                / len(runs),
                "epsilon is the root of the sum of squares: a proof with that shape (advanced "
                "composition) pays with a larger delta and other terms": math.hypot(*epsilons),
            },
        )
        same(
            small,
            sum(deltas),
            "delta",
            {
                "delta is the largest of the runs: each run may fail, so these add up as well": max(
                    deltas
                ),
                "delta is the last run's alone": deltas[-1],
                "delta is a product: it is enough that one of the runs fails": math.prod(deltas),
            },
        )
    return "both add up, whether or not the runs were published: their results were looked at."


def _numbers(answer: object, names: str, count: int) -> tuple:
    """A tuple of numbers, or the reason why it is none."""
    begun(answer)
    if not isinstance(answer, (tuple, list)) or len(answer) != count:
        raise Mistake(f"the function should return {names}, {count} numbers; yours: {answer!r}")
    return tuple(answer)
