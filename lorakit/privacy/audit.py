"""Audit a privacy claim: can an attacker tell which canaries a model was trained on?

A fair coin decides for each canary whether it joins the training set, all in one training run. An
attacker guesses the coins. How many guesses are right gives a lower bound on the true epsilon: by
what a pair (epsilon, delta) allows (Steinke, Nasr and Jagielski 2023, arXiv 2305.08846), or by what
DP-SGD's whole curve of error rates allows, which shows more (Mahloujifar, Melis and Chaudhuri 2024,
arXiv 2410.22235).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy
import torch
from torch import Tensor

from lorakit.checks import check_number, checked
from lorakit.data.dataset import Split
from lorakit.privacy.meaning import least_deltas


@dataclass(frozen=True)
class Audit:
    """What the attack achieved."""

    fpr: np.ndarray  # of the ROC curve, false and true positive rates from (0, 0) to (1, 1)
    tpr: np.ndarray
    advantage: float  # the largest tpr - fpr, 0 to 1; blind guesses come out a little above 0
    guesses: int  # ventured
    correct: int  # how many of them were right
    epsilon_lower: float  # with 95 % confidence, epsilon at this delta is at least this
    epsilon_claimed: float  # what training promised; infinity if nothing
    delta: float  # of the bound and of the claim

    @property
    def refutes_claim(self) -> bool:
        """Whether the bound lies above the claimed epsilon, so that the claim is wrong."""
        return self.epsilon_lower > self.epsilon_claimed


def insert_canaries(train: Split, candidates: Split, classes: int, seed: int):
    """Give each candidate a wrong label, and let a coin decide whether it joins ``train``.

    Returns ``train`` with those that joined, all M canaries, and who joined, bool (M,).
    """
    coins = np.random.default_rng([*b"canaries", seed])  # a stream training does not draw from
    shift = torch.from_numpy(coins.integers(1, classes, len(candidates)))
    joined = torch.from_numpy(coins.random(len(candidates)) < 0.5)
    canaries = Split(candidates.images, (candidates.labels + shift) % classes)
    images = torch.cat([train.images, canaries.images[joined]])
    return Split(images, torch.cat([train.labels, canaries.labels[joined]])), canaries, joined


@checked
def epsilon_lower_bound(
    correct: int,
    guesses: int,
    canaries: int,
    delta: float = 0.0,
    confidence: float = 0.95,
    mechanism: tuple[float, int] | None = None,
) -> float:
    """The smallest epsilon under which this many correct guesses are not a surprise.

    It holds for guesses that do not look at the truth, their number included.

    Args:
        correct, guesses, canaries: counts.
        delta, confidence: of the bound.
        mechanism: None: nothing is known but (epsilon, delta)-DP. Otherwise sample rate and steps
            of DP-SGD with some noise: the least noise that is refuted is found, up to epsilon 30.
    """
    check_number("guesses", guesses, least=1, most=canaries, whole=True)
    check_number("correct", correct, least=0, most=guesses, whole=True)
    check_number("delta", delta, least=0, below=1)
    check_number("confidence", confidence, above=0, below=1)
    counts, surprise = (correct, guesses, canaries), 1 - confidence
    if mechanism is None:
        if p_value(*counts, 0.0, delta) >= surprise:
            return 0.0
        return scipy.optimize.brentq(lambda e: p_value(*counts, e, delta) - surprise, 0.0, 50.0)
    scale = max(1.0, mechanism[0] * math.sqrt(mechanism[1]))
    low, high = math.log(0.3 * scale), math.log(30 * scale)  # of sigma
    if not is_surprise(*counts, *privacy_curve(math.exp(high), *mechanism), surprise):
        return 0.0
    for _ in range(10):
        middle = (low + high) / 2
        refuted = is_surprise(*counts, *privacy_curve(math.exp(middle), *mechanism), surprise)
        low, high = (low, middle) if refuted else (middle, high)
    epsilons, deltas = privacy_curve(math.exp(high), *mechanism)
    return float(epsilons[deltas <= delta].min(initial=epsilons[-1]))


def p_value(correct: int, guesses: int, canaries: int, epsilon: float, delta: float) -> float:
    """The largest probability of so many correct guesses under (epsilon, delta)-DP.

    Their number is at most, in distribution, a binomial with success probability
    e^epsilon / (1 + e^epsilon), plus a term for delta (arXiv 2305.08846, section 5).
    """
    q = 1 / (1 + math.exp(-epsilon))
    tail = scipy.stats.binom.sf(correct - 1, guesses, q)  # P[at least so many]
    fewer = np.arange(1, correct + 1)  # by up to so many
    short = np.cumsum(scipy.stats.binom.pmf(correct - fewer, guesses, q))
    return tail + 2 * canaries * delta * np.max(short / fewer, initial=0.0)


@lru_cache(maxsize=512)
def privacy_curve(sigma: float, sample_rate: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (epsilon, delta) that DP-SGD keeps all at once, (600,) each; delta errs upwards."""
    epsilons = np.linspace(0, 30, 600)
    return epsilons, least_deltas(sigma, sample_rate, steps, epsilons, cell=1e-3)


def is_surprise(
    correct: int,
    guesses: int,
    canaries: int,
    epsilons: np.ndarray,
    deltas: np.ndarray,
    surprise: float = 0.05,
) -> bool:
    """Whether so many correct guesses are less probable than ``surprise`` under all the pairs.

    Algorithm 3 of arXiv 2410.22235 for coins (k = 2), downwards from i = correct: r and h bound the
    expected share of right and of wrong guesses where at least i are right.
    """
    grown = np.exp(epsilons)

    def least_false(true: float) -> float:
        """The smallest false positive rate that the promise allows at this true positive rate."""
        both = (true - deltas) / grown, 1 - deltas - grown * (1 - true)
        return max(0.0, *(line.max() for line in both))

    r, h = (surprise * count / canaries for count in (correct, guesses - correct))
    for i in range(correct - 1, -1, -1):
        more = max(h, least_false(r))
        r, h = min(1.0, r + i / (guesses - i) * (more - h)), more
    return r + h > guesses / canaries


def attack(
    scores: Tensor,
    joined: Tensor,
    *,
    claimed: float = math.inf,
    delta: float = 0.0,
    guesses: int | None = None,
    mechanism: tuple[float, int] | None = None,
) -> Audit:
    """Guess "trained on" for the highest scores and "not" for the lowest, and count.

    Args:
        scores: (M,), minus the loss, or those of ``membership``.
        joined: bool (M,), the truth.
        claimed, delta: the claim to test.
        guesses: how many to venture, an even number chosen before looking; None means half of M.
        mechanism: see ``epsilon_lower_bound``.
    """
    from sklearn.metrics import roc_curve

    if scores.shape != joined.shape or not 0 < int(joined.sum()) < len(joined):
        raise ValueError(
            f"scores {tuple(scores.shape)}, joined {int(joined.sum())} of {tuple(joined.shape)}: "
            "allowed: one score a canary, and canaries of both kinds"
        )
    side = (guesses or len(scores) // 2) // 2
    order = scores.argsort(descending=True)
    truth = joined[order]
    correct = int(truth[:side].sum() + (~truth[len(truth) - side :]).sum())
    fpr, tpr, _ = roc_curve(joined.numpy(), scores.numpy())
    advantage = float((tpr - fpr).max())
    counts = correct, 2 * side, len(scores)
    bound = epsilon_lower_bound(*counts, delta, mechanism=mechanism)
    return Audit(fpr, tpr, advantage, 2 * side, correct, bound, claimed, delta)
