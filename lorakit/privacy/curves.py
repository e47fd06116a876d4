"""Curves of privacy accountants, and two common mistakes with what they hide."""

import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
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

    def spent(name: str, n: int) -> float:
        return compute_epsilon(noise_multiplier, sample_rate, n, delta, accountant=name)

    return _curves(accountants, "steps", steps, "epsilon", spent)


def noise_by_epsilon(
    epsilons: Iterable[float],
    sample_rate: float,
    steps: int,
    delta: float,
    accountants: Iterable[str] = tuple(ACCOUNTANTS),
) -> pd.DataFrame:
    """Columns ``accountant``, ``epsilon`` (the target), ``noise_multiplier``."""

    def needed(name: str, epsilon: float) -> float:
        return find_noise_multiplier(epsilon, sample_rate, steps, delta, accountant=name)

    return _curves(accountants, "epsilon", epsilons, "noise_multiplier", needed)


def _curves(accountants, x: str, values: Iterable, y: str, f: Callable) -> pd.DataFrame:
    """A line for each accountant and value of x."""
    lines = [(name, v, f(name, v)) for name, v in product(accountants, values)]
    return pd.DataFrame(lines, columns=["accountant", x, y])


_ORDERS = np.array([*range(2, 65), 80, 100, 128, 160, 200, 256])


@dataclass
class Quick:
    """Epsilon in milliseconds, for a picture that follows a slider.

    ``rdp`` is a true upper bound, as ``compute_epsilon``'s, from whole orders alpha only; their
    part is computed once for all steps and deltas.

    Attributes:
        noise_multiplier: sigma, above 0.
        sample_rate: q, above 0 and at most 1.
    """

    noise_multiplier: float
    sample_rate: float

    @cached_property
    def _one_step(self) -> np.ndarray:
        """Mironov et al. 2019, arXiv 1908.10530, section 3.3, all orders at once:

        RDP(alpha) = log(sum_k C(alpha, k) (1 - q)^(alpha - k) q^k e^((k² - k) / 2 sigma²))
        / (alpha - 1).
        """
        sigma, q = self.noise_multiplier, self.sample_rate
        if q == 1:
            return _ORDERS / (2 * sigma**2)
        from scipy.special import gammaln, logsumexp

        alpha, k = _ORDERS[:, None], np.arange(_ORDERS.max() + 1)  # (orders, 1), (k,)
        binomial = gammaln(alpha + 1) - gammaln(k + 1) - gammaln(np.maximum(alpha - k, 0) + 1)
        terms = binomial + (alpha - k) * math.log1p(-q) + k * math.log(q)
        terms = np.where(k <= alpha, terms + (k * k - k) / (2 * sigma**2), -np.inf)
        return logsumexp(terms, axis=1) / (_ORDERS - 1)

    def rdp(self, steps: int, delta: float) -> float:
        from opacus.accountants.analysis.rdp import get_privacy_spent

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the best order is the first or the last
            spent = get_privacy_spent(orders=list(_ORDERS), rdp=self._one_step * steps, delta=delta)
        return max(0.0, float(spent[0]))

    def gdp(self, steps: int, delta: float) -> float:
        sigma, rate = self.noise_multiplier, self.sample_rate
        return compute_epsilon(sigma, rate, steps, delta, accountant="gdp")


def quick_noise(epsilon: float, sample_rate: float, steps: int, delta: float) -> float:
    """A sigma that keeps a target epsilon by ``Quick.rdp``, within one per cent of it.

    Raises:
        ValueError: no noise multiplier from 0.2 to 1000 does.
    """

    def spent(x: float) -> float:
        return math.log(max(Quick(math.exp(x), sample_rate).rdp(steps, delta), 1e-9) / epsilon)

    low, high = math.log(0.2), math.log(1000)
    x, at, slope = 0.0, spent(0.0), -1.3  # epsilon falls a little faster than sigma grows
    for _ in range(40):
        if -0.01 < at <= 0:
            return math.exp(x)
        low, high = (x, high) if at > 0 else (low, x)
        guess = x - (at + 0.005) / slope
        guess = guess if low < guess < high else (low + high) / 2
        x, at, before = guess, spent(guess), (x, at)
        slope = min(-0.3, (at - before[1]) / (x - before[0]))  # the secant
    raise ValueError(f"epsilon={epsilon}: allowed: what sigma from 0.2 to 1000 can reach")


def mistake_delta_from_batches(
    noise_multiplier: float, examples: int, batch_size: int, steps: int
) -> dict[str, float]:
    """What is claimed with delta = 1 / (number of batches), and what holds with delta < 1/N.

    Returns:
        ``claimed_delta``, ``claimed_epsilon``; and ``delta`` and ``epsilon``, the honest pair.
    """
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

    Returns:
        ``claimed_epsilon`` (Poisson) and ``epsilon`` (proved for batches in any fixed order).
    """
    steps = epochs * math.ceil(examples / batch_size)
    return {
        "claimed_epsilon": compute_epsilon(noise_multiplier, batch_size / examples, steps, delta),
        "epsilon": compute_epsilon(noise_multiplier, 1.0, epochs, delta),
    }
