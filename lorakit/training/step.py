"""A training step: the gradient of the mean loss. ``private_step`` has the other kind."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from lorakit.training import distributed
from lorakit.training.augment import random_views
from lorakit.training.criterion import Criterion
from lorakit.training.loader import Batch
from lorakit.training.recipe import Recipe


class PlainStep:
    """Shuffled batches; the gradient of a batch's mean loss, then an update.

    The model is on its device, what trains is chosen; ``examples`` is N, in the training set.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        examples: int,
        criterion: Criterion | None = None,
    ) -> None:
        self.model, self.optimizer, self.criterion = model, optimizer, criterion or Criterion()
        self.forward = distributed.data_parallel(model)
        self.examples, self.batch_size, self.views = examples, recipe.batch_size, recipe.views
        self.physical_batch = recipe.physical_batch or recipe.batch_size

    def sample(self) -> Iterator[Tensor]:
        """Indices of the batches of an epoch: every example once, in random order."""
        return iter(torch.randperm(self.examples).split(self.batch_size))

    def step(self, batch: Batch) -> float:
        """Update once; the mean loss of the batch."""
        self.optimizer.zero_grad(set_to_none=True)
        (size,), total = distributed.all_reduce([len(batch[1])]), 0.0
        *early, last = chunks(batch, self.physical_batch)
        for chunk in (*early, last):
            with nullcontext() if chunk is last else self._alone():
                views = views_of(chunk, self.views)
                loss = self.criterion(self.forward, *views) * (len(chunk[1]) / size)
                (loss * distributed.world_size()).backward()  # gradients are averaged, once
            total += loss.item()
        self.optimizer.step()
        return distributed.all_reduce([total])[0]

    def dry_step(self, batch: Batch) -> None:
        """What a batch needs in memory, without a step."""
        try:
            with self._alone():
                self.criterion(self.forward, *views_of(batch, self.views)).backward()
        finally:
            self.optimizer.zero_grad(set_to_none=True)

    def spent(self) -> dict[str, float]:
        """Nothing: there is no privacy to spend."""
        return {}

    def state_dict(self) -> dict[str, float]:
        """Nothing to remember across a stop."""
        return {}

    def load_state_dict(self, state: dict[str, float], taken: int) -> None:
        """See ``PrivateStep``."""

    def close(self) -> None:
        """See ``PrivateStep``."""

    def _alone(self) -> AbstractContextManager:
        """Inside, gradients stay in this process."""
        return self.forward.no_sync() if distributed.world_size() > 1 else nullcontext()


def chunks(batch: Batch, size: int) -> list[Batch]:
    """A batch in parts of at most ``size`` images; an empty one as one empty part."""
    images, labels = batch
    return list(zip(images.split(size), labels.split(size)))


def views_of(batch: Batch, views: int | None) -> Batch:
    """K random views of each image, with its label: n to n K. None: the batch itself."""
    if views is None:
        return batch
    return random_views(batch[0], views), batch[1].repeat_interleave(views)
