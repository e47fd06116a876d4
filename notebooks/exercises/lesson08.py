"""Checks of lesson 08, auditing privacy."""

from __future__ import annotations

import math

import torch
from scipy.stats import beta
from torch import Tensor

from exercises.verdict import exercise, same
from lorakit.privacy.audit import epsilon_lower_bound


def _rates(scores: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
    """True and false positive rate at each threshold, highest first."""
    said = scores[None, :] >= scores.unique().flip(0)[:, None]  # (T, M)
    return said[:, members].double().mean(dim=1), said[:, ~members].double().mean(dim=1)


@exercise("08.advantage")
def advantage(answer) -> str:
    generator = torch.Generator().manual_seed(0)
    for inside, outside, shift in ((30, 70, 0.8), (45, 25, 0.5), (40, 60, -0.3)):
        members = torch.arange(inside + outside) < inside
        members = members[torch.randperm(len(members), generator=generator)]
        scores = torch.randn(len(members), generator=generator) + shift * members
        for values, kind in ((scores, ""), ((3 * scores).round(), " (with ties)")):
            tpr, fpr = _rates(values, members)
            low_tpr, low_fpr = _rates(-values, members)
            right = tpr * inside + (1 - fpr) * outside
            middle = values >= values.median()
            fixed = {
                t: (values >= t)[members].double().mean() - (values >= t)[~members].double().mean()
                for t in (0.0, 0.5, values.mean().item())
            }
            order = values.argsort(descending=True, stable=True)
            up, down = members[order].cumsum(0) / inside, (~members[order]).cumsum(0) / outside
            same(answer(values.clone(), members.clone()), (tpr - fpr).max(), f"advantage{kind}", {
                "that is the accuracy of the best threshold: it moves with how many members there "
                "are; subtract two rates": (right / len(members)).max(),
                "that is the accuracy at one threshold: subtract two rates, and try them all":
                    (middle == members).double().mean(),
                "you used one threshold: take the largest difference over all of them":
                    middle[members].double().mean() - middle[~members].double().mean(),
                **{f"you used one threshold, {words}: take the largest difference over all of them":
                    gap for words, gap in zip(("0", "1/2", "the mean"), fixed.values())},
                "that is the balanced accuracy, (1 + advantage) / 2": (1 + (tpr - fpr).max()) / 2,
                "that is the area under the ROC curve": torch.trapezoid(
                    torch.cat([torch.zeros(1), tpr]), torch.cat([torch.zeros(1), fpr])),
                "that is the largest tpr: a threshold that says yes to all has it": 1.0,
                "tpr - fpr, not its size: an attack that is always wrong has no advantage":
                    (tpr - fpr).abs().max(),
                "a high score means 'trained on': you guess it for low ones":
                    (low_tpr - low_fpr).max(),
                "examples with equal scores get the same guess: a threshold cannot part them":
                    (up - down).max(),
            })  # fmt: skip
    return "the largest distance of the ROC curve from the diagonal, ties and all."


@exercise("08.bound")
def bound(answer) -> str:
    for correct, guesses, confidence in ((80, 100, 0.95), (33, 40, 0.9), (290, 300, 0.99),
                                         (52, 100, 0.95), (60, 60, 0.95)):  # fmt: skip
        want = epsilon_lower_bound(correct, guesses, guesses, 0.0, confidence)
        tail, wrong = 1 - confidence, guesses - correct

        def logit(p: float) -> float:
            return math.log(p / (1 - p)) if 0 < p < 1 else math.inf

        low = beta.ppf(tail, correct, wrong + 1)
        sided = beta.ppf(tail / 2, correct, wrong + 1)
        high = beta.ppf(confidence, correct + 1, wrong) if wrong else 1.0
        point = correct / guesses
        normal = point - 1.6449 * math.sqrt(point * (1 - point) / guesses)
        same(answer(correct, guesses, confidence), want,
             f"the bound for {correct} of {guesses} at confidence {confidence}", {
            "that is the point estimate, without any confidence: luck counts as leakage":
                logit(point),
            "your interval is two-sided: a lower bound may be wrong on one side only, so all of "
            "1 - confidence goes there": max(0.0, logit(sided)),
            "that is an upper bound: ask which p makes so many right guesses a surprise":
                logit(high),
            "you took the logarithm to base 2: epsilon is in natural units":
                max(0.0, logit(low)) / math.log(2),
            "you took the logarithm to base 10: epsilon is in natural units":
                max(0.0, logit(low)) / math.log(10),
            "that is the lowest p: solve p = e^eps / (1 + e^eps) for eps": low,
            "you solved p = e^eps: a guess is right with e^eps / (1 + e^eps)": math.log(low),
            "you solved p = e^eps / 2: a guess is right with e^eps / (1 + e^eps)":
                max(0.0, math.log(2 * low)),
            "an epsilon is never negative: the least the audit can say is 0": logit(low),
            "confidence and its complement are swapped": logit(beta.ppf(confidence, correct,
                                                                      wrong + 1)),
            "a normal approximation is too sure of itself here: use Clopper and Pearson's":
                max(0.0, logit(normal)),
        }, tolerance=1e-3)  # fmt: skip
    return "the smallest epsilon that does not make these guesses a surprise."


@exercise("08.region")
def region(answer) -> str:
    fpr = torch.linspace(0, 1, 41)
    for epsilon, delta in ((1.0, 0.01), (0.3, 0.1), (3.0, 1e-3), (0.0, 0.2)):
        factor = math.exp(epsilon)
        first = factor * fpr + delta
        second = 1 - (1 - fpr - delta) / factor
        same(answer(fpr.clone(), epsilon, delta), first.minimum(second).clamp(max=1),
             f"the largest tpr for epsilon = {epsilon}, delta = {delta}", {
            "that is the first line, and a rate above 1: cap it, and mind the other line": first,
            "you forgot the other line: the promise binds 'it was not in' too, 1 - fpr and 1 - tpr":
                first.clamp(max=1),
            "the two lines are right, but a rate is at most 1": first.minimum(second),
            "that is the line for 'it was not in' alone": second.clamp(max=1),
            "both lines bind at once: take the smaller, not the larger":
                first.maximum(second).clamp(max=1),
            "delta is missing": (factor * fpr).minimum(1 - (1 - fpr) / factor).clamp(max=1),
            "the factor is e^epsilon, not epsilon":
                (epsilon * fpr + delta).minimum(1 - (1 - fpr - delta) / max(epsilon, 1e-9))
                .clamp(max=1),
            "the factor is e^epsilon, not 1 + epsilon": ((1 + epsilon) * fpr + delta).minimum(
                1 - (1 - fpr - delta) / (1 + epsilon)).clamp(max=1),
            "delta is added after the factor, not multiplied by it":
                (factor * (fpr + delta)).minimum(second).clamp(max=1),
            "the second line needs delta too": first.minimum(1 - (1 - fpr) / factor).clamp(max=1),
        })  # fmt: skip
    return "two lines and a ceiling: no attack on an (epsilon, delta)-DP training gets above them."
