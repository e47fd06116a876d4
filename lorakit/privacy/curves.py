"""Two common mistakes in accounting, and what they hide."""

import math

from lorakit.privacy.accountant import compute_epsilon, default_delta


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
