"""Curves of privacy accountants, and two common mistakes with what they hide."""

import math
from collections.abc import Iterable
from itertools import product

import pandas as pd

from lorakit.privacy.accountant import (
    ACCOUNTANTS,
    compute_epsilon,
    default_delta,
    find_noise_multiplier,
)


def epsilon_by_steps(
    noise_multiplier: float,
    sample_rate: float,
    steps: Iterable[int],
    delta: float,
    accountants: Iterable[str] = tuple(ACCOUNTANTS),
) -> pd.DataFrame:
    """Columns ``accountant``, ``steps``, ``epsilon``."""
    lines = [
        (name, n, compute_epsilon(noise_multiplier, sample_rate, n, delta, accountant=name))
        for name, n in product(accountants, steps)
    ]
    return pd.DataFrame(lines, columns=["accountant", "steps", "epsilon"])


def noise_by_epsilon(
    epsilons: Iterable[float],
    sample_rate: float,
    steps: int,
    delta: float,
    accountants: Iterable[str] = tuple(ACCOUNTANTS),
) -> pd.DataFrame:
    """Columns ``accountant``, ``epsilon`` (the target), ``noise_multiplier``."""
    lines = [
        (name, epsilon, find_noise_multiplier(epsilon, sample_rate, steps, delta, accountant=name))
        for name, epsilon in product(accountants, epsilons)
    ]
    return pd.DataFrame(lines, columns=["accountant", "epsilon", "noise_multiplier"])


def mistake_delta_from_batches(
    noise_multiplier: float, examples: int, batch_size: int, steps: int
) -> dict[str, float]:
    """What is claimed with delta = 1 / (number of batches), and what holds with delta < 1/N."""
    rate = batch_size / examples
    claimed, honest = rate, default_delta(examples)
    return {
        "claimed_delta": claimed,
        "claimed_epsilon": compute_epsilon(noise_multiplier, rate, steps, claimed),
        "delta": honest,
        "epsilon": compute_epsilon(noise_multiplier, rate, steps, honest),
    }


def mistake_shuffled_as_poisson(
    noise_multiplier: float, examples: int, batch_size: int, epochs: int, delta: float
) -> dict[str, float]:
    """What is claimed when shuffled batches are accounted as if they were Poisson samples.

    In shuffled batches every example takes part exactly once in an epoch. What can be proved then
    without any amplification, if a removed example leaves a hole and moves no other to another
    batch, is the Gaussian mechanism once an epoch; how much of the gap is real is partly open
    (Chua et al. 2024, arXiv 2403.17673, show that much of it is).
    """
    steps = epochs * math.ceil(examples / batch_size)
    return {
        "claimed_epsilon": compute_epsilon(noise_multiplier, batch_size / examples, steps, delta),
        "epsilon": compute_epsilon(noise_multiplier, 1.0, epochs, delta),  # in any fixed order
    }
