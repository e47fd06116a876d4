"""What training minimises: the mean cross-entropy of a batch."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorakit.data.dataset import normalise
from lorakit.training import distributed

Transform = Callable[[Tensor], Tensor]  # uint8 images -> what the model sees, on their device


class DivergenceError(RuntimeError):
    """The loss became infinite or not a number."""


class Criterion:
    """The mean cross-entropy of a batch; what an epoch's means are made of is summed up."""

    def __init__(self, transform: Transform = normalise, precision: str = "float32") -> None:
        self.transform, self.precision = transform, precision
        self.reset()

    def reset(self) -> None:
        """Start the sums anew."""
        self.seen = self.hits = 0
        self.loss_sum = 0.0

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """uint8 images (n, 3, H, W), labels (n,). DivergenceError if the loss is not finite.

        With n = 0, a process's share of a small batch, all gradients are there and zero.
        """
        if not len(labels):
            blank = images.new_zeros(1, *images.shape[1:])
            return 0 * logits_of(model, blank, self.transform, self.precision).sum()
        logits = logits_of(model, images, self.transform, self.precision)
        loss = self.loss(logits, images, labels)
        if not math.isfinite(value := loss.item()):
            raise DivergenceError(f"loss is {value}")
        self.seen += len(labels)
        self.loss_sum += value * len(labels)
        self.hits += (logits.argmax(dim=1) == labels).sum().item()
        return loss

    def loss(self, logits: Tensor, _images: Tensor, labels: Tensor) -> Tensor:
        """Of a model's outputs; another criterion has another one."""
        return F.cross_entropy(logits, labels)

    def means(self) -> dict[str, float]:
        """Loss and accuracy over the images seen, by all processes; NaN if there were none."""
        seen, loss, hits = distributed.all_reduce([self.seen, self.loss_sum, self.hits])
        return {"loss": loss / (seen or math.nan), "accuracy": hits / (seen or math.nan)}


def logits_of(model: nn.Module, images: Tensor, transform: Transform, precision: str) -> Tensor:
    """Forward: uint8 (N, 3, H, W) to (N, classes)."""
    x = transform(images).contiguous()  # Opacus reads it by strides
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"):
        return model(x)
