"""How sure an attacker is that an example was trained on: from what a training releases, or from
models of which it is known.
"""

import torch
from torch import Tensor


def gradient_scores(
    releases: Tensor, gradients: Tensor, noise_multiplier: float, sample_rate: float | Tensor
) -> Tensor:
    """How likely each canary with a gradient of its own is a member, (M,): a log-likelihood ratio.

    A step with the canary releases its gradient v plus noise, one without it the noise alone: the
    ratio is e^((<release, v> - |v|² / 2) / sigma²), and a member takes part with probability q.

    Args:
        releases: (T, M, P), noisy sums in the P directions that a canary has for itself.
        gradients: (T, M, P), its clipped gradient at each step; both in units of C.
        noise_multiplier, sample_rate: sigma and q, as claimed; 0s and 1s (T, M) for an attacker
            who knows the batches.
    """
    inner = (releases * gradients).sum(-1)  # (T, M)
    ratio = (inner - gradients.square().sum(-1) / 2) / noise_multiplier**2
    q = torch.as_tensor(sample_rate)
    return torch.logaddexp((1 - q).log(), q.log() + ratio).sum(0)


def likelihood_ratios(confidences: Tensor, members: Tensor) -> Tensor:
    """LiRA (Carlini et al. 2022, arXiv 2112.03570), each model attacked with all the others.

    Does the confidence look like that of models with the example, or of models without it? Each
    group is taken for Gaussian.

    Args:
        confidences: (S, N), log(p / (1 - p)) of each example's label under each model.
        members: bool (S, N), who was trained on; three or more models with and without each.

    Returns:
        Log-likelihood ratios (S, N): higher is surer that the example was trained on.
    """

    def log_density(group: Tensor) -> Tensor:
        count = group.sum(0) - group  # (S, N), of the group without the model itself
        mean = ((c * group).sum(0) - c * group) / count
        square = ((c**2 * group).sum(0) - c**2 * group) / count
        variance = (square - mean**2).clamp(min=1e-6)
        return -variance.log() / 2 - (c - mean) ** 2 / (2 * variance)

    c, group = confidences.double(), members.double()
    return log_density(group) - log_density(1 - group)
