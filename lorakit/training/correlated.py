"""The optimiser of ``privacy.banded``: it remembers its noise, and takes some of it back."""

import torch
from opacus.optimizers import DPOptimizer
from torch import Tensor

from lorakit.privacy.banded import band_weights


class CorrelatedDPOptimizer(DPOptimizer):
    """Opacus' optimiser, but ``add_noise`` adds n_t = (z_t - sum_j c_j n_(t - j)) / c_0.

    Attributes:
        past: the noise of the last bands - 1 steps, the newest first; a tensor for each parameter.
    """

    def __init__(self, *args: object, bands: int, **settings: object) -> None:
        super().__init__(*args, **settings)
        self.weights, self.past = band_weights(bands).tolist(), []

    def add_noise(self) -> None:
        """Add the correlated noise to the sums of clipped gradients."""
        first, *others = self.weights
        noise = [self._fresh(p) for p in self.params]
        for weight, old in zip(others, self.past):
            torch._foreach_add_(noise, old, alpha=-weight)
        torch._foreach_div_(noise, first)
        for p, n in zip(self.params, noise):
            p.grad = (p.summed_grad + n).view_as(p)
        self.past = [noise, *self.past][: len(others)]

    def load_noise(self, past: list[list[Tensor]], taken: int) -> None:
        """Go on after ``taken`` steps; ValueError unless this is what they left."""
        shapes = [p.shape for p in self.params]
        left = min(taken, len(self.weights) - 1)
        if [[n.shape for n in noise] for noise in past] != [shapes] * left:
            raise ValueError(f"its noise is not that of the last {left} steps")
        self.past = [[n.to(p.device) for n, p in zip(noise, self.params)] for noise in past]

    def _fresh(self, p: Tensor) -> Tensor:
        std = self.noise_multiplier * self.max_grad_norm
        return std * torch.randn(p.summed_grad.shape, device=p.device, generator=self.generator)
