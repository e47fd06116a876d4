"""The loss and the accuracy: of a batch while training, of a whole split afterwards."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorakit.data import Split, normalise
from lorakit.runtime import pick_device


class DivergenceError(RuntimeError):
    """The loss became infinite or not a number."""


class Objective:
    """The mean cross-entropy of some images, by index; sums over an epoch are kept on the way."""

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor, smoothing: float) -> None:
        self.model, self.images, self.labels = model, images, labels
        self.smoothing = smoothing
        self.seen = self.hits = 0
        self.loss_sum = 0.0

    def __call__(self, batch: Tensor) -> Tensor:
        labels = self.labels[batch]
        logits = _logits(self.model, self.images[batch])
        loss = F.cross_entropy(logits, labels, label_smoothing=self.smoothing)
        if not math.isfinite(value := loss.item()):
            raise DivergenceError(f"loss is {value}")
        self.seen += len(batch)
        self.loss_sum += value * len(batch)
        self.hits += (logits.argmax(dim=1) == labels).sum().item()
        return loss

    def means(self) -> dict[str, float]:
        """Loss and accuracy over the images seen; NaN if there were none."""
        seen = self.seen or math.nan
        return {"loss": self.loss_sum / seen, "accuracy": self.hits / seen}


def evaluate(
    model: nn.Module,
    split: Split,
    *,
    batch_size: int = 500,
    device: str | torch.device | None = None,
) -> dict[str, float]:
    """Mean cross-entropy ``loss`` and ``accuracy`` (0 to 1) on a split, in evaluation mode."""
    logits, labels = predict(model, split, batch_size=batch_size, device=device), split.labels.cpu()
    hits = (logits.argmax(dim=1) == labels).sum().item()
    return {"loss": F.cross_entropy(logits, labels).item(), "accuracy": hits / len(split)}


def example_losses(model: nn.Module, split: Split) -> Tensor:
    """Cross-entropy of each example, (N,), in evaluation mode; their mean is ``evaluate``'s."""
    return F.cross_entropy(predict(model, split), split.labels.cpu(), reduction="none")


@torch.no_grad()
def predict(
    model: nn.Module,
    split: Split,
    *,
    batch_size: int = 500,
    device: str | torch.device | None = None,
) -> Tensor:
    """Logits of a split, float32 (N, classes) on the CPU, in evaluation mode."""
    device = pick_device(device)
    model.to(device).eval()
    batches = split.images.split(batch_size)
    return torch.cat([_logits(model, images.to(device)).float().cpu() for images in batches])


def _logits(model: nn.Module, images: Tensor) -> Tensor:
    """Forward, in bfloat16 on CUDA: uint8 (N, 3, H, W) to (N, classes)."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
        return model(normalise(images))
