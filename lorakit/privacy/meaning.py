"""What a promise means to an attacker who wants to know whether one example was trained on."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from lorakit.privacy.accountant import compute_epsilon


class Meaning(NamedTuple):
    """Bounds on every attack on an example whose membership a coin decided; each errs upwards.

    Attributes:
        tpr_at_0_1: at most this share of the members is found by an attack that accuses one
            non-member in 1000 (the best true positive rate at 0.1 % false positives).
        tpr_at_1: the same for one in 100.
        mu: the curve of error rates lies above that of Gaussian-DP with this mu (Dong et al. 2019,
            arXiv 1905.02383): telling N(0, 1) from N(mu, 1) is no harder than telling whether an
            example was in. It holds where both error rates are above delta; infinite if they
            never are.
        posterior: an attacker who held membership for as likely as not will not believe in it
            more than this, except with probability delta. (That is not 1 / (1 + e^-epsilon):
            epsilon and delta bound an average over beliefs above it, not how often there are any.)
    """

    tpr_at_0_1: float
    tpr_at_1: float
    mu: float
    posterior: float


@lru_cache(maxsize=256)
def what_it_means(noise_multiplier: float, sample_rate: float, steps: int, delta: float) -> Meaning:
    """Read DP-SGD's promise from its whole privacy loss distribution, not from one epsilon.

    The arguments are those of ``compute_epsilon``. The distribution is dp-accounting's (Doroshenko
    et al. 2022, arXiv 2207.04380), rounded upwards.
    """
    from scipy.special import expit, ndtri

    spent = compute_epsilon(noise_multiplier, sample_rate, steps, delta, accountant="rdp")
    if spent == 0 or math.isinf(spent):
        return Meaning(0.001, 0.01, 0.0, 0.5) if spent == 0 else Meaning(1.0, 1.0, math.inf, 1.0)
    most = compute_epsilon(noise_multiplier, sample_rate, steps, delta / 1000, accountant="rdp")
    epsilons = np.linspace(0, min(most, 700), 4000)  # e^700 is about what a float holds
    deltas = least_deltas(noise_multiplier, sample_rate, steps, epsilons, max(1e-4, most / 2e4))
    rates = np.array([0.001, 0.01, *np.geomspace(delta, 0.5, 300)])  # of false positives
    found = most_found(rates, epsilons, deltas)
    both = 1 - found >= delta
    mu = np.max(ndtri(found[both]) - ndtri(rates[both]), initial=0.0) if both.any() else math.inf
    # P[loss > e] = delta(e) + e^e Q[loss > e], and Q is at most a slope of delta over e^e
    gaps = 1 - np.exp(-np.diff(epsilons))
    above = deltas[1:] + (deltas[:-1] - deltas[1:]) / gaps
    loss = epsilons[1:][above <= delta].min(initial=most)
    return Meaning(float(found[0]), float(found[1]), float(mu), float(expit(loss)))


def least_deltas(
    sigma: float, sample_rate: float, steps: int, epsilons: np.ndarray, cell: float
) -> np.ndarray:
    """The smallest delta for each epsilon, from a distribution in cells of so much epsilon."""
    from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism

    one = from_gaussian_mechanism(
        sigma, sampling_prob=sample_rate, value_discretization_interval=cell
    )
    return np.array(one.self_compose(steps).get_delta_for_epsilon(epsilons))


def most_found(rates: np.ndarray, epsilons: np.ndarray, deltas: np.ndarray) -> np.ndarray:
    """The largest true positive rates (n,) at false positive rates (n,) that all pairs allow.

    For members P[S] <= e^epsilon Q[S] + delta; the same for the complement, roles exchanged.
    """
    grown = np.exp(epsilons)[:, None]  # (epsilons, 1)
    direct = grown * rates + deltas[:, None]  # (epsilons, rates)
    other = 1 - (1 - rates - deltas[:, None]) / grown
    return np.minimum(direct, other).min(axis=0).clip(0, 1)
