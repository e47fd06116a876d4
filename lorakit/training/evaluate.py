"""The loss and the accuracy: of a batch while training, of a whole split afterwards."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorakit.data.dataset import Split, normalise
from lorakit.runtime import chosen_precision, pick_device, product_precision
from lorakit.training import distributed

Prepare = Callable[[Tensor], Tensor]  # uint8 images -> what the model sees, on their device


class DivergenceError(RuntimeError):
    """The loss became infinite or not a number."""


class Objective:
    """The mean cross-entropy of some images, by index; sums over an epoch are kept on the way."""

    def __init__(
        self,
        model: nn.Module,
        split: Split,
        device: torch.device,
        smoothing: float = 0.0,
        transform: Prepare = normalise,
        precision: str | None = None,
    ) -> None:
        self.model, self.transform, self.smoothing = model, transform, smoothing
        self.precision = chosen_precision(precision, device)
        self.images, self.labels = split.images, split.labels.to(device)
        if _has_room(device, split.images):
            self.images = split.images.to(device)
        self.begin()

    def begin(self) -> None:
        """Start the sums anew."""
        self.seen = self.hits = 0
        self.loss_sum = 0.0

    def __call__(self, batch: Tensor) -> Tensor:
        alone = not len(batch)  # this process has no share of a small batch: a gradient of zeros
        batch = batch.new_zeros(1) if alone else batch
        labels = self.labels[batch]
        images = self.images[batch.to(self.images.device)].to(labels.device)
        logits = _logits(self.model, images, self.transform, self.precision)
        if alone:
            return 0 * logits.sum()
        loss = F.cross_entropy(logits, labels, label_smoothing=self.smoothing)
        if not math.isfinite(value := loss.item()):
            raise DivergenceError(f"loss is {value}")
        self.seen += len(batch)
        self.loss_sum += value * len(batch)
        self.hits += (logits.argmax(dim=1) == labels).sum().item()
        return loss

    def means(self) -> dict[str, float]:
        """Loss and accuracy over the images seen, by all processes; NaN if there were none."""
        sums = [self.seen, self.loss_sum, self.hits]
        seen, loss, hits = distributed.all_reduce(sums, self.labels.device)
        return {"loss": loss / (seen or math.nan), "accuracy": hits / (seen or math.nan)}


def evaluate(
    model: nn.Module,
    split: Split,
    *,
    batch_size: int = 500,
    device: str | torch.device | None = None,
    transform: Prepare = normalise,
    precision: str | None = None,
) -> dict[str, float]:
    """Mean cross-entropy ``loss`` and ``accuracy`` (0 to 1) on a split, in evaluation mode."""
    logits = predict(model, split, batch_size=batch_size, device=device, transform=transform,
                     precision=precision)  # fmt: skip
    labels = split.labels.cpu()
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
    transform: Prepare = normalise,
    precision: str | None = None,
) -> Tensor:
    """Logits of a split, float32 (N, classes) on the CPU, in evaluation mode.

    ``transform`` and ``precision`` are those of ``training.fit``.
    """
    device = pick_device(device)
    precision = chosen_precision(precision, device)
    model.to(device).eval()
    with product_precision(precision):
        return torch.cat([
            _logits(model, images.to(device), transform, precision).float().cpu()
            for images in split.images.split(batch_size)
        ])  # fmt: skip


def _logits(model: nn.Module, images: Tensor, transform: Prepare, precision: str) -> Tensor:
    """Forward: uint8 (N, 3, H, W) to (N, classes)."""
    x = transform(images)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"):
        return model(x)


def _has_room(device: torch.device, images: Tensor) -> bool:
    """Whether all images may lie on the device: on a GPU, if they fill less than half of it."""
    if device.type != "cuda":
        return device.type != "cpu"  # on the CPU they stay where they are, on disk maybe
    return images.nbytes < torch.cuda.mem_get_info(device)[0] / 2
