"""Batches of images with their labels, where the model is."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from lorakit.data.dataset import Split
from lorakit.training import distributed

Batch = tuple[Tensor, Tensor]  # uint8 images (n, 3, H, W) and labels (n,)


class Loader:
    """A split on a device, to be asked for batches.

    On a GPU the images lie there if they fill less than half of its free memory; else they stay
    where they are, on disk maybe.
    """

    def __init__(self, split: Split, device: torch.device) -> None:
        self.device, self.labels, self.images = device, split.labels.to(device), split.images
        if device.type != "cuda" or self.images.nbytes < torch.cuda.mem_get_info(device)[0] / 2:
            self.images = self.images.to(device)

    def batches(self, indices: Iterable[Tensor]) -> Iterator[Batch]:
        """This process's share of each batch; the indices are those of the first process."""
        for batch in indices:
            yield self.take(distributed.shard(distributed.broadcast(batch, self.device)))

    def take(self, indices: Tensor) -> Batch:
        """The images and labels at some places, int64 (n,)."""
        images = self.images[indices.to(self.images.device)].to(self.device)
        return images, self.labels[indices.to(self.device)]
