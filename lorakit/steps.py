"""From a batch to a step: shuffled batches, plain gradients. ``private`` has the other kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

LossOf = Callable[[Tensor], Tensor]  # indices of images -> their mean loss


class PlainSteps:
    """Every example once an epoch, in random order; the gradient of the mean loss."""

    def __init__(self, optimizer, *, examples: int, batch_size: int, physical_batch: int | None):
        self.optimizer = optimizer
        self.examples = examples
        self.batch_size = batch_size
        self.physical_batch = physical_batch or batch_size

    def batches(self) -> Iterator[Tensor]:
        return iter(torch.randperm(self.examples).split(self.batch_size))

    def step(self, batch: Tensor, loss_of: LossOf) -> float:
        """Update once; the mean loss of the batch."""
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for chunk in batch.split(self.physical_batch):
            loss = loss_of(chunk) * (len(chunk) / len(batch))
            loss.backward()
            total += loss.item()
        self.optimizer.step()
        return total

    def spent(self) -> dict[str, float]:
        return {}

    def state(self) -> dict[str, float]:
        return {}

    def load_state(self, state: dict[str, float], taken: int) -> None:
        pass

    def close(self) -> None:
        pass
