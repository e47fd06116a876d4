"""Train a model on one split, and measure it on another."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from lorakit.checkpoint import load_checkpoint, save_checkpoint
from lorakit.data import Split, normalise
from lorakit.lora import lora_layers
from lorakit.optim import SCHEDULES, make_optimizer, make_scheduler
from lorakit.runtime import pick_device, seed_everything


class DivergenceError(RuntimeError):
    """The loss became infinite or not a number."""


@dataclass(frozen=True)
class Step:
    """What a callback sees after each optimiser step; ``step`` counts from 1 to ``steps``."""

    epoch: int
    step: int
    steps: int
    loss: float


def fit(
    model: nn.Module,
    train: Split,
    *,
    val: Split | None = None,
    epochs: int = 6,
    batch_size: int = 64,
    lr: float | Mapping[str, float] = 1e-3,
    weight_decay: float = 0.01,
    schedule: str = "one-cycle",
    warmup: float = 0.1,
    label_smoothing: float = 0.0,
    seed: int = 0,
    device: str | torch.device | None = None,
    checkpoint: str | Path | None = None,
    callback: Callable[[Step], bool | None] | None = None,
    progress: bool = True,
) -> list[dict[str, float]]:
    """Train the trainable parameters with AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101).

    On CUDA the forward pass runs in bfloat16. The model is moved to the device and left there.

    Args:
        model: anything from images (N, 3, H, W) in [-1, 1] to logits (N, classes).
        train: images and labels to learn from.
        val: measured after every epoch, if given.
        epochs: passes over ``train``.
        batch_size: images a step; a smaller last batch is kept.
        lr: peak learning rate, one for all or one for each of ``vit.PARTS``.
        weight_decay: decoupled weight decay, not applied to biases and norms.
        schedule: ``one-cycle`` (cosine up and down, and momentum against it) or ``cosine``
            (linear warm-up, cosine to zero).
        warmup: share of all steps in which the rate rises, 0 to below 1.
        label_smoothing: probability spread over all classes, 0 to below 1.
        seed: of the order of the images and of dropout, if the model has any.
        device: see ``runtime.pick_device``.
        checkpoint: a file that keeps the state after every epoch. If it is there already, training
            goes on from it, to the same result as an unbroken run.
        callback: called after each step with a ``Step``; if it returns True, training stops there.
        progress: show a progress bar.

    Returns:
        One dict for each finished epoch: epoch, loss and accuracy while training, lr (of the
        first part, at the end), seconds, and val_loss and val_accuracy if ``val`` is given.

    Raises:
        ValueError: an argument out of range, nothing to train, or merged LoRA.
        DivergenceError: the loss is not finite; the message names the step.
    """
    if any(layer.merged for _, layer in lora_layers(model)):
        raise ValueError("model: its LoRA is merged and would not train; call unmerge_lora first")
    _check(train, epochs, batch_size, weight_decay, schedule, warmup, label_smoothing)
    seed_everything(seed)
    device = pick_device(device)
    model.to(device)
    optimizer = make_optimizer(model, lr, weight_decay)
    steps = epochs * math.ceil(len(train) / batch_size)
    scheduler = make_scheduler(optimizer, schedule, steps, warmup)
    images, labels = train.images.to(device), train.labels.to(device)
    history: list[dict[str, float]] = []
    settings = {"images": [len(train), train.images.sum().item()],
                "trains": [n for n, p in model.named_parameters() if p.requires_grad],
                "epochs": epochs, "batch_size": batch_size,
                "lr": dict(lr) if isinstance(lr, Mapping) else lr, "weight_decay": weight_decay,
                "schedule": schedule, "warmup": warmup, "label_smoothing": label_smoothing,
                "seed": seed}  # fmt: skip
    if checkpoint and Path(checkpoint).exists():
        history = load_checkpoint(checkpoint, model, optimizer, scheduler, settings)
    step, stop = len(history) * steps // epochs, False
    with tqdm(total=steps, initial=step, unit="step", disable=not progress, leave=False) as bar:
        for epoch in range(len(history) + 1, epochs + 1):
            model.train()
            start, seen, loss_sum, hits = time.perf_counter(), 0, 0.0, 0
            for batch in torch.randperm(len(train)).to(device).split(batch_size):
                with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                    logits = model(normalise(images[batch]))
                    loss = F.cross_entropy(logits, labels[batch], label_smoothing=label_smoothing)
                step += 1
                if not math.isfinite(value := loss.item()):
                    raise DivergenceError(
                        f"loss is {value} at step {step} of {steps} (epoch {epoch}); "
                        f"lr={lr}: try a smaller one"
                    )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                scheduler.step()
                seen += len(batch)
                loss_sum += value * len(batch)
                hits += (logits.argmax(dim=1) == labels[batch]).sum().item()
                bar.update()
                if callback and callback(Step(epoch, step, steps, value)):
                    stop = True
                    break
            if stop:
                break
            row = {"epoch": epoch, "loss": loss_sum / seen, "accuracy": hits / seen,
                   "lr": scheduler.get_last_lr()[0],
                   "seconds": time.perf_counter() - start}  # fmt: skip
            if val is not None:
                measured = evaluate(model, val, device=device)
                row |= {f"val_{name}": value for name, value in measured.items()}
            history.append(row)
            if checkpoint:
                save_checkpoint(checkpoint, model, optimizer, scheduler, settings, history)
            bar.set_postfix(epoch=epoch, loss=f"{row['loss']:.3f}", acc=f"{row['accuracy']:.1%}")
    return history


@torch.no_grad()
def evaluate(
    model: nn.Module,
    split: Split,
    *,
    batch_size: int = 500,
    device: str | torch.device | None = None,
) -> dict[str, float]:
    """Mean cross-entropy ``loss`` and ``accuracy`` (0 to 1) on a split, in evaluation mode."""
    device = pick_device(device)
    model.to(device).eval()
    loss = hits = 0.0
    for images, labels in zip(split.images.split(batch_size), split.labels.split(batch_size)):
        labels = labels.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = model(normalise(images.to(device)))
        loss += F.cross_entropy(logits.float(), labels, reduction="sum").item()
        hits += (logits.argmax(dim=1) == labels).sum().item()
    return {"loss": loss / len(split), "accuracy": hits / len(split)}


def _check(train, epochs, batch_size, weight_decay, schedule, warmup, label_smoothing) -> None:
    if len(train) < 1:
        raise ValueError("train: it has no images")
    if epochs < 1:
        raise ValueError(f"epochs={epochs}: allowed: 1 or more")
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: allowed: 1 or more")
    if not (math.isfinite(weight_decay) and weight_decay >= 0):
        raise ValueError(f"weight_decay={weight_decay}: allowed: a finite number, 0 or more")
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule={schedule!r}: allowed: one of {SCHEDULES}")
    for name, value in (("warmup", warmup), ("label_smoothing", label_smoothing)):
        if not 0 <= value < 1:
            raise ValueError(f"{name}={value}: allowed: 0 to below 1")
