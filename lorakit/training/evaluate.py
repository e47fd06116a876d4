"""The loss and the accuracy of a model on a split."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorakit.checks import checked
from lorakit.data.dataset import Split, normalise
from lorakit.runtime import chosen_precision, pick_device, product_precision
from lorakit.training.criterion import Transform, logits_of


@checked
def evaluate(model: nn.Module, split: Split, **settings: object) -> dict[str, float]:
    """Mean cross-entropy ``loss`` and ``accuracy`` (0 to 1) on a split; settings of ``predict``."""
    return loss_and_accuracy(predict(model, split, **settings), split.labels.cpu())


def loss_and_accuracy(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """What ``evaluate`` measures, from logits (N, classes) and labels (N,)."""
    hits = (logits.argmax(dim=1) == labels).sum().item()
    return {"loss": F.cross_entropy(logits, labels).item(), "accuracy": hits / len(labels)}


def accuracy_by_class(logits: Tensor, labels: Tensor) -> Tensor:
    """Which part of each class is found (its recall), float64 (classes,); NaN of an absent one.

    >>> logits = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    >>> accuracy_by_class(logits, torch.tensor([0, 1, 1])).tolist()
    [1.0, 0.5, nan]
    """
    classes = logits.shape[1]
    hits = torch.bincount(labels[logits.argmax(dim=1) == labels], minlength=classes)
    return hits.double() / torch.bincount(labels, minlength=classes)


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
