"""Exercises of lesson 08: advantage, a lower bound on epsilon, the DP region, LiRA's ratio."""

import math

import torch
from scipy.special import logit
from scipy.stats import beta
from torch import Tensor

from exercises.verdict import Answer, ask, exercise, same
from lorakit.privacy.audit import epsilon_lower_bound


def _rates(scores: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
    """True and false positive rate at each threshold, highest first."""
    said = scores[None, :] >= scores.unique().flip(0)[:, None]  # (T, M)
    return said[:, members].double().mean(dim=1), said[:, ~members].double().mean(dim=1)


@exercise("08.advantage", (30, 70, 0.8), (45, 25, 0.5), (40, 60, -0.3))
def advantage(answer: Answer, inside: int, outside: int, shift: float) -> str:
    members = torch.randperm(inside + outside) < inside
    scores = torch.randn(len(members)) + shift * members
    for values, kind in ((scores, ""), ((3 * scores).round(), " (with ties)")):
        tpr, fpr = _rates(values, members)
        low_tpr, low_fpr = _rates(-values, members)
        right = tpr * inside + (1 - fpr) * outside
        gap, one = tpr - fpr, ((values >= values.median()) == members).double().mean()
        order = values.argsort(descending=True, stable=True)
        parted = members[order].cumsum(0) / inside - (~members[order]).cumsum(0) / outside
        curve = (torch.cat([torch.zeros(1), rate]) for rate in (tpr, fpr))
        known = {
            "that is the accuracy of the best threshold: it moves with how many members there are; "
            "subtract two rates": (right / len(members)).max(),
            "that is the accuracy at one threshold: subtract two rates, and try them all": one,
            "that is the balanced accuracy, (1 + advantage) / 2": (1 + gap.max()) / 2,
            "that is the area under the ROC curve": torch.trapezoid(*curve),
            "that is the largest tpr: a threshold that says yes to all has it": 1.0,
            "tpr - fpr, not its size: always wrong is no advantage": gap.abs().max(),
            "a high score means 'trained on': you guess it for low ones": (low_tpr - low_fpr).max(),
            "equal scores get the same guess: a threshold cannot part them": parted.max(),
        }
        places = {"0": 0, "1/2": 0.5, "the mean": values.mean(), "the median": values.median()}
        for place, threshold in places.items():
            said = (values >= threshold).double()
            words = f"you used one threshold, {place}: take the largest difference over all of them"
            known[words] = said[members].mean() - said[~members].mean()
        same(ask(answer, values, members), gap.max(), f"advantage{kind}", known)
    return "the largest distance of the ROC curve from the diagonal, ties and all."


@exercise(
    "08.bound", (80, 100, 0.95), (33, 40, 0.9), (290, 300, 0.99), (52, 100, 0.95), (60, 60, 0.95)
)
def bound(answer: Answer, correct: int, guesses: int, confidence: float) -> str:
    want = epsilon_lower_bound(correct, guesses, guesses, 0.0, confidence)
    tail, wrong, point = 1 - confidence, guesses - correct, correct / guesses
    low = beta.ppf(tail, correct, wrong + 1)
    high = beta.ppf(confidence, correct + 1, wrong) if wrong else 1.0
    sided, swapped = (beta.ppf(p, correct, wrong + 1) for p in (tail / 2, confidence))
    positive, halved = max(0.0, logit(low)), max(0.0, math.log(2 * low))
    normal = max(0.0, logit(point - 1.6449 * math.sqrt(point * (1 - point) / guesses)))
    known = {
        "that is the point estimate, without any confidence: luck counts as leakage": logit(point),
        "your interval is two-sided: a lower bound may be wrong on one side only, so all of "
        "1 - confidence goes there": max(0.0, logit(sided)),
        "that is an upper bound: ask which p makes so many right guesses a surprise": logit(high),
        "you took the logarithm to base 2: epsilon is in natural units": positive / math.log(2),
        "you took the logarithm to base 10: epsilon is in natural units": positive / math.log(10),
        "that is the lowest p: solve p = e^eps / (1 + e^eps) for eps": low,
        "you solved p = e^eps: a guess is right with e^eps / (1 + e^eps)": math.log(low),
        "you solved p = e^eps / 2: a guess is right with e^eps / (1 + e^eps)": halved,
        "an epsilon is never negative: the least the audit can say is 0": logit(low),
        "confidence and its complement are swapped": logit(swapped),
        "a normal approximation is too sure of itself: use Clopper and Pearson's": normal,
    }
    what = f"the bound for {correct} of {guesses} at confidence {confidence}"
    same(answer(correct, guesses, confidence), want, what, known, tolerance=1e-3)
    return "the smallest epsilon that does not make these guesses a surprise."


@exercise("08.region", (1.0, 0.01), (0.3, 0.1), (3.0, 1e-3), (0.0, 0.2))
def region(answer: Answer, epsilon: float, delta: float) -> str:
    fpr = torch.linspace(0, 1, 41)

    def lines(factor: float, delta: float = delta) -> tuple[Tensor, Tensor]:
        return factor * fpr + delta, 1 - (1 - fpr - delta) / max(factor, 1e-9)

    def least(*both: Tensor) -> Tensor:
        return torch.minimum(*both).clamp(max=1)

    factor = math.exp(epsilon)
    first, second = lines(factor)
    bare = lines(factor, 0.0)
    larger, added = first.maximum(second).clamp(max=1), factor * (fpr + delta)
    known = {
        "that is the first line, and a rate above 1: cap it, and mind the other line": first,
        "you forgot the other line: the promise binds 'it was not in' too": first.clamp(max=1),
        "the two lines are right, but a rate is at most 1": first.minimum(second),
        "that is the line for 'it was not in' alone": second.clamp(max=1),
        "both lines bind at once: take the smaller, not the larger": larger,
        "delta is missing": least(*bare),
        "the factor is e^epsilon, not epsilon": least(*lines(epsilon)),
        "the factor is e^epsilon, not 1 + epsilon": least(*lines(1 + epsilon)),
        "delta is added after the factor, not multiplied by it": least(added, second),
        "the second line needs delta too": least(first, bare[1]),
    }
    what = f"the largest tpr for epsilon = {epsilon}, delta = {delta}"
    same(ask(answer, fpr, epsilon, delta), least(first, second), what, known)
    return "two lines and a ceiling: no attack on an (epsilon, delta)-DP training gets above them."


@exercise("08.ratio", (4.0, 1.0, 0.0, 2.0), (-1.0, 0.5, 2.0, 0.3), (0.2, 3.0, 0.1, 1.5))
def ratio(answer: Answer, m: float, s: float, n: float, r: float) -> str:
    inside, outside = m + s * torch.randn(40), n + r * torch.randn(60)
    value = float(inside.mean() + 0.7 * s)

    def log_density(group: Tensor, scale: float = 1.0, correction: int = 0) -> Tensor:
        spread = group.std(correction=correction)
        return -scale * spread.log() - (value - group.mean()) ** 2 / (2 * spread**2)

    want = log_density(inside) - log_density(outside)
    bare = log_density(inside, 0.0) - log_density(outside, 0.0)
    distances = [(value - g.mean()).abs() / g.std(correction=0) for g in (outside, inside)]
    variances = log_density(inside, 2.0) - log_density(outside, 2.0)
    known = {
        "the ratio is upside down: inside minus outside": -want,
        "-log s is missing: the two groups spread differently": bare,
        "that is the ratio itself: take its logarithm": want.exp(),
        "that compares distances: a density also has the 1 / s in front": distances[0]
        - distances[1],
        "-log s once, not twice: s is the deviation, not the variance": variances,
        "that is the difference of the means: where does your value lie?": inside.mean()
        - outside.mean(),
        "that is the density of `inside` alone: compare with `outside`": log_density(inside),
    }
    what = f"the ratio for the value {value:.2f}"
    same(answer(value, inside, outside), want, what, known, tolerance=1e-3)
    return "is the confidence rather that of models with the picture, or without it?"
