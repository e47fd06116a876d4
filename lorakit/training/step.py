"""From a batch to a step: shuffled batches, plain gradients. ``private`` has the other kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from lorakit.training import distributed

LossOf = Callable[[Tensor], Tensor]  # indices of images -> their mean loss


class PlainSteps:
    """Every example once an epoch, in random order; the gradient of the mean loss."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        examples: int,
        batch_size: int,
        physical_batch: int | None,
    ) -> None:
        self.forward = distributed.data_parallel(model)
        self.optimizer = optimizer
        self.examples = examples
        self.batch_size = batch_size
        self.physical_batch = physical_batch or batch_size

    def batches(self) -> Iterator[Tensor]:
        return iter(torch.randperm(self.examples).split(self.batch_size))

    def step(self, batch: Tensor, loss_of: LossOf) -> float:
        """Update once; the mean loss of the batch."""
        self.optimizer.zero_grad(set_to_none=True)
        device, total = batch.device, 0.0
        *early, last = distributed.shard(batch).split(self.physical_batch)
        for chunk in (*early, last):
            alone = chunk is not last and distributed.world_size() > 1  # averaged once
            with self.forward.no_sync() if alone else nullcontext():
                loss = loss_of(chunk) * (len(chunk) / len(batch))
                (loss * distributed.world_size()).backward()
            total += loss.item()
        self.optimizer.step()
        return distributed.all_reduce([total], device)[0]

    def dry_step(self, chunk: Tensor, loss_of: LossOf) -> None:
        """What a chunk needs in memory, without a step."""
        try:
            with self.forward.no_sync() if distributed.world_size() > 1 else nullcontext():
                loss_of(chunk).backward()
        finally:
            self.optimizer.zero_grad(set_to_none=True)

    def spent(self) -> dict[str, float]:
        return {}

    def state(self) -> dict[str, float]:
        return {}

    def load_state(self, state: dict[str, float], taken: int) -> None:
        pass

    def close(self) -> None:
        pass
