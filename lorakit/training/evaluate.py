"""The loss and the accuracy of a model on a split."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorakit.checks import checked
from lorakit.data.dataset import Split, normalise
from lorakit.runtime import chosen_precision, pick_device, product_precision
from lorakit.training.criterion import Criterion, Transform, logits_of


@checked
def evaluate(
    model: nn.Module, split: Split, criterion: Criterion | None = None, **settings: object
) -> dict[str, float]:
    """The criterion's mean ``loss`` and ``accuracy`` (0 to 1) on a split; others as ``predict``."""
    logits, labels = predict(model, split, **settings), split.labels.cpu()
    return (criterion or Criterion()).measure(logits, split.images, labels)


@checked
def example_losses(model: nn.Module, split: Split) -> Tensor:
    """Cross-entropy of each example, (N,), in evaluation mode; their mean is ``evaluate``'s."""
    return F.cross_entropy(predict(model, split), split.labels.cpu(), reduction="none")


@torch.no_grad()
@checked
def predict(
    model: nn.Module,
    split: Split,
    *,
    batch_size: int = 500,
    device: str | torch.device | None = None,
    transform: Transform = normalise,
    precision: str | None = None,
) -> Tensor:
    """Logits of a split, float32 (N, classes) on the CPU, in evaluation mode.

    Settings are those of ``fit``; the model stays on the device.
    """
    device = pick_device(device)
    precision = chosen_precision(precision, device)
    model.to(device).eval()
    with product_precision(precision):
        logits = [
            logits_of(model, images.to(device), transform, precision).float().cpu()
            for images in split.images.split(batch_size)
        ]
    return torch.cat(logits)
