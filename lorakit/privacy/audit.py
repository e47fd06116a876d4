"""Audit a privacy claim: can an attacker tell which canaries a model was trained on?

Canaries are mislabelled examples; a fair coin decides for each whether it joins the training set.
A model that remembers them gives the attacker, who guesses from their losses, more correct guesses
than (epsilon, delta)-DP allows; how many that is, is a lower bound on the true epsilon (Steinke,
Nasr and Jagielski 2023, arXiv 2305.08846: all canaries in one training run).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lorakit.data.dataset import Split


@dataclass(frozen=True)
class Audit:
    """What the attack achieved.

    Attributes:
        fpr, tpr: the ROC curve, false and true positive rates from (0, 0) to (1, 1).
        advantage: the largest tpr - fpr, 0 to 1; blind guesses come out a little above 0.
        guesses, correct: guesses ventured and how many were right.
        epsilon_lower: with the given confidence, epsilon at this delta is at least this.
        confidence: of the bound, 0 to 1.
        epsilon_claimed: what training promised; infinity if nothing.
        delta: of the bound and of the claim.
    """

    fpr: np.ndarray
    tpr: np.ndarray
    advantage: float
    guesses: int
    correct: int
    epsilon_lower: float
    confidence: float
    epsilon_claimed: float
    delta: float

    @property
    def refutes_claim(self) -> bool:
        """Whether the bound lies above the claimed epsilon, so that the claim is wrong."""
        return self.epsilon_lower > self.epsilon_claimed


def insert_canaries(train: Split, candidates: Split, classes: int, seed: int):
    """Give each candidate a wrong label, and let a coin decide whether it joins ``train``.

    Returns:
        ``train`` with the canaries that joined, all M canaries, and who joined, bool (M,).
    """
    coins = np.random.default_rng([*b"canaries", seed])  # a stream training does not draw from
    shift = torch.from_numpy(coins.integers(1, classes, len(candidates)))
    joined = torch.from_numpy(coins.random(len(candidates)) < 0.5)
    canaries = Split(candidates.images, (candidates.labels + shift) % classes)
    images = torch.cat([train.images, canaries.images[joined]])
    return Split(images, torch.cat([train.labels, canaries.labels[joined]])), canaries, joined


def epsilon_lower_bound(
    correct: int, guesses: int, canaries: int, delta: float = 0.0, confidence: float = 0.95
) -> float:
    """The smallest epsilon under which this many correct guesses are not a surprise.

    Under (epsilon, delta)-DP the number of correct guesses is at most, in distribution, a binomial
    with success probability e^epsilon / (1 + e^epsilon), plus a term for delta (arXiv 2305.08846,
    section 5). With delta = 0 it is the one-sided bound of Clopper and Pearson (1934). It holds
    for guesses that do not look at the truth, their number included.

    Raises:
        ValueError: not 0 <= correct <= guesses <= canaries, or delta or confidence out of range.
    """
    from scipy.optimize import brentq
    from scipy.stats import binom

    if not 0 <= correct <= guesses <= canaries or guesses < 1:
        raise ValueError(
            f"correct={correct}, guesses={guesses}, canaries={canaries}: allowed: "
            "0 <= correct <= guesses <= canaries, and 1 guess or more"
        )
    if not (0 <= delta < 1 and 0 < confidence < 1):
        raise ValueError(f"delta={delta}, confidence={confidence}: allowed: 0 to below 1")

    def p_value(epsilon: float) -> float:
        q = 1 / (1 + math.exp(-epsilon))
        tail = binom.sf(correct - 1, guesses, q)  # P[at least so many]
        fewer = np.arange(1, correct + 1)  # by up to so many
        short = np.cumsum(binom.pmf(correct - fewer, guesses, q))
        return tail + 2 * canaries * delta * np.max(short / fewer, initial=0.0)

    surprise = 1 - confidence
    if p_value(0.0) >= surprise:
        return 0.0
    return float(brentq(lambda e: p_value(e) - surprise, 0.0, 50.0))


def attack(
    scores: Tensor,
    joined: Tensor,
    *,
    claimed: float = math.inf,
    delta: float = 0.0,
    guesses: int | None = None,
    confidence: float = 0.95,
) -> Audit:
    """Guess "trained on" for the highest scores and "not" for the lowest, and count.

    Args:
        scores: (M,), see ``membership_scores``.
        joined: bool (M,), the truth.
        claimed, delta: the claim to test.
        guesses: how many to venture, an even number chosen before looking; None means half of M.
        confidence: of the lower bound.
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
    bound = epsilon_lower_bound(correct, 2 * side, len(scores), delta, confidence)
    return Audit(fpr, tpr, advantage, 2 * side, correct, bound, confidence, claimed, delta)
