"""Noise that takes itself back: banded matrix factorisation, one step beyond DP-SGD.

DP-SGD adds new noise z_t to each step, and what it adds stays in the weights: after T steps the
noise of all of them, which grows like the root of T. Here step t also takes back a part of the
noise of the b - 1 steps before it,

    C n = z,   C lower triangular with b bands: C[t, t - j] = c_j,   |c| = 1,

so it adds n = C^-1 z, and the sum of all n grows more slowly. The gradients g get no other noise:
g + n = C^-1 (C g + z) is a function of C g + z, where an example moves a column of C, and none is
longer than 1.

The price is paid in sampling. No window of b steps may hold an example twice, so the data are dealt
into b parts and step t draws from part t mod b alone, at b times the rate (an example keeps its
part when another one leaves). Each example then meets every b-th step, in rows of C that no other
step of it touches: the promise is that of DP-SGD with sample rate b q and T / b steps, rounded up
(Choquette-Choo et al. 2023, arXiv 2306.08153, theorem 4). The c_j are those of the root of the
matrix of running sums, cut off after b (Kalinin and Lampert 2024, arXiv 2405.13763).
"""

import numpy as np
from scipy.linalg import solve_triangular, toeplitz

from lorakit.checks import check_number, checked


@checked
def band_weights(bands: int) -> np.ndarray:
    """c_0 to c_(b - 1), of norm 1: the first terms of (1 - x)^(-1/2).

    >>> band_weights(2).round(3).tolist()
    [0.894, 0.447]
    """
    check_number("bands", bands, least=1, whole=True)
    j = np.arange(1, bands)
    weights = np.cumprod([1.0, *((2 * j - 1) / (2 * j))])
    return weights / np.linalg.norm(weights)


@checked
def running_noise(bands: int, steps: int) -> np.ndarray:
    """Standard deviation of the sum of all noise up to each step, in units of sigma C, (steps,).

    >>> running_noise(1, 4).round(2).tolist(), running_noise(2, 4).round(2).tolist()
    ([1.0, 1.41, 1.73, 2.0], [1.12, 1.25, 1.51, 1.66])
    """
    check_number("steps", steps, least=1, most=10_000, whole=True)
    column = np.zeros(steps)
    column[:bands] = band_weights(bands)[:steps]
    undone = solve_triangular(toeplitz(column, np.zeros(steps)), np.eye(steps), lower=True)
    return np.linalg.norm(np.cumsum(undone, axis=0), axis=1)


def as_dp_sgd(sample_rate: float, steps: int, bands: int | None) -> tuple[float, int]:
    """Sample rate and steps of the DP-SGD that promises the same; without bands these."""
    b = bands or 1
    return min(1.0, b * sample_rate), -(-steps // b)
