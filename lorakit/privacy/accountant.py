"""Differential privacy in numbers: settings, epsilon, the noise multiplier.

A randomised training M is (epsilon, delta)-DP if for all data sets D, D' that differ by adding or
removing one example (settings computed from their size N are public, the same for both) and all
sets S of models P[M(D) in S] <= e^epsilon P[M(D') in S] + delta (Dwork and Roth 2014, def. 2.4).
The mechanism, with its sample rate q, norm C and noise sigma C, is in ``dpsgd``.
"""

import math
import warnings
from dataclasses import dataclass, replace
from functools import lru_cache

import scipy

from lorakit.checks import check_choice, check_fields, check_number, checked
from lorakit.privacy.banded import as_dp_sgd
from lorakit.privacy.ledger import epsilon_spent

ACCOUNTANTS = {
    "prv": "PRV: numerical, tight (Gopi et al. 2021, arXiv 2106.02848)",
    "rdp": "RDP: an upper bound, looser (Mironov 2017, arXiv 1702.07476)",
    "gdp": "GDP: an approximation, may promise too much (Dong et al. 2019, arXiv 1905.02383)",
}


class PrivacyError(RuntimeError):
    """Private training that would not keep its promise, or that would train nothing."""


@dataclass(frozen=True)
class Privacy:
    """What private training promises, and how.

    Attributes:
        epsilon: the target, above 0; the noise is chosen so that all planned steps reach it. Leave
            it at infinity to give ``noise_multiplier`` instead.
        delta: above 0 and below 1/N, N the number of **examples** (not of batches). None:
            ``default_delta(N)``.
        noise_multiplier: sigma, 0 or more; 0 means clipping only, with no promise at all.
        max_grad_norm: C, the norm every example's gradient is clipped to.
        accountant: one of ``ACCOUNTANTS``.
        bands: 2 or more, at most N / batch: correlated noise, see ``privacy.banded``. None: noise
            that is new at each step, DP-SGD.
        groupwise_clipping: True: each of the k ``lora.vit.PARTS`` that train is clipped by itself,
            to C / √k, at the same noise and epsilon, see ``dpsgd.clip_groupwise``.
    """

    epsilon: float = math.inf
    delta: float | None = None
    noise_multiplier: float | None = None
    max_grad_norm: float = 1.0
    accountant: str = "prv"
    bands: int | None = None
    groupwise_clipping: bool | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.epsilon > 0:
            raise ValueError(f"epsilon={self.epsilon}: allowed: a number above 0")
        if (self.noise_multiplier is None) == math.isinf(self.epsilon):
            raise ValueError(
                f"epsilon={self.epsilon}, noise_multiplier={self.noise_multiplier}: "
                "allowed: a finite one of the two, and only one, since each decides the other"
            )
        check_number("delta", self.delta, above=0, below=1, none=True)
        check_number("noise_multiplier", self.noise_multiplier, least=0, none=True)
        check_number("max_grad_norm", self.max_grad_norm, above=0)
        check_choice("accountant", self.accountant, ACCOUNTANTS)
        check_number("bands", self.bands, least=2, whole=True, none=True)
        object.__setattr__(self, "groupwise_clipping", self.groupwise_clipping or None)

    def for_examples(self, examples: int, batch_size: int) -> "Privacy":
        """The same for N examples: delta filled in. ValueError unless delta < 1/N, batch <= N.

        With b bands it takes b batches to go through the data once, so b batch <= N.
        """
        delta = default_delta(examples) if self.delta is None else self.delta
        if not delta < 1 / examples:
            raise ValueError(
                f"delta={delta:g}: allowed: below 1/N = {1 / examples:.3g}, N = {examples} "
                "examples; with delta = 1/N, publishing one whole example at random would count as "
                "private"
            )
        check_number("batch_size", batch_size, least=1, most=examples, whole=True)
        check_number("bands", self.bands, least=2, most=examples // batch_size, none=True)
        return replace(self, delta=delta)

    def sigma(self, sample_rate: float, steps: int) -> float:
        """The noise multiplier: the one given, or the one that reaches epsilon after ``steps``."""
        if self.noise_multiplier is not None:
            return self.noise_multiplier
        mechanism = as_dp_sgd(sample_rate, steps, self.bands)
        return find_noise_multiplier(
            self.epsilon, *mechanism, self.delta, accountant=self.accountant
        )


@checked
def default_delta(examples: int) -> float:
    """The largest power of ten below 1/N.

    >>> default_delta(1097), default_delta(10_000)
    (0.0001, 1e-05)
    """
    check_number("examples", examples, least=1, most=10**15, whole=True)
    return float(f"1e-{math.floor(math.log10(examples)) + 1}")


@checked
def compute_epsilon(
    noise_multiplier: float,
    sample_rate: float,
    steps: int,
    delta: float,
    *,
    accountant: str = "prv",
) -> float:
    """Epsilon spent by ``steps`` steps of DP-SGD with Poisson sampling.

    PRV errs upwards, by at most 1 % for epsilon of 0.05 to 700 (with 50,000 steps, 0.2 to 700);
    by more for a smaller epsilon. What its grid does not hold in a gigabyte (sigma near 0.001), or
    its arithmetic in double precision (delta below 1e-12, or below 1e-14 times the steps), is
    answered by RDP, with a warning.

    Args:
        noise_multiplier: sigma, 0 or more; 0 gives infinity.
        sample_rate: q = batch / N, above 0 and at most 1.
        steps: 0 or more.
        delta: above 0 and below 1.
        accountant: one of ``ACCOUNTANTS``.
    """
    check_number("noise_multiplier", noise_multiplier, least=0)
    _check(sample_rate, steps, delta, accountant)
    if steps == 0 or noise_multiplier**2 == 0:
        return math.inf if steps else 0.0
    spent, used = epsilon_spent(noise_multiplier, sample_rate, steps, delta, accountant)
    if used != accountant:
        warnings.warn(
            f"noise_multiplier={noise_multiplier:g}, steps={steps}, delta={delta:g} are beyond "
            f"{accountant.upper()}: epsilon={spent:.4g} is the looser bound of {used.upper()}",
            stacklevel=2,
        )
    return spent


@checked
@lru_cache(maxsize=4096)
def find_noise_multiplier(
    epsilon: float, sample_rate: float, steps: int, delta: float, *, accountant: str = "prv"
) -> float:
    """A sigma that keeps a target epsilon and spends at least 99 % of it; ValueError above 1e6."""
    check_number("epsilon", epsilon, above=0, most=1e8)
    check_number("steps", steps, least=1, whole=True)
    _check(sample_rate, steps, delta, accountant)

    def spent(sigma: float) -> float:
        return epsilon_spent(sigma, sample_rate, steps, delta, accountant)[0]

    low = high = 1.0
    while spent(high) > epsilon:
        if high > 1e6:
            raise ValueError(f"epsilon={epsilon}: allowed: more, no noise up to 1e6 is enough")
        low, high = high, 2 * high
    while spent(low) < epsilon:
        low, high = low / 2, min(low, high)

    def excess(x: float) -> float:  # smooth in logarithms, so a few evaluations are enough
        return math.log(min(max(spent(math.exp(x)), 1e-9), 1e9)) - math.log(0.9975 * epsilon)

    x = scipy.optimize.brentq(excess, math.log(low), math.log(high), rtol=1e-4)
    sigma = math.exp(x)
    while spent(sigma) > epsilon:
        sigma *= 1.0005
    return sigma


def _check(sample_rate: float, steps: int, delta: float, accountant: str) -> None:
    check_choice("accountant", accountant, ACCOUNTANTS)
    check_number("sample_rate", sample_rate, above=0, most=1)
    check_number("steps", steps, least=0, whole=True)
    check_number("delta", delta, above=0, below=1)
