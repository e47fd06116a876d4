"""The optimiser, with a learning rate for each part of the model, and its schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from lorakit.lora.vit import PARTS, parts

SCHEDULES = ("one-cycle", "cosine")
OPTIMIZERS = ("adamw", "sgd")


def make_optimizer(
    model: nn.Module, lr: float | Mapping[str, float], decay: float, name: str = "adamw"
) -> torch.optim.Optimizer:
    """An optimiser with a group for each part that trains; tensors decay, vectors do not.

    Raises:
        ValueError: an unknown optimiser or part, a part that trains without a rate, or nothing to
            train.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer={name!r}: allowed: one of {OPTIMIZERS}")
    rates = dict.fromkeys(PARTS, lr) if not isinstance(lr, Mapping) else dict(lr)
    if unknown := set(rates) - set(PARTS):
        raise ValueError(f"lr has parts {sorted(unknown)}: allowed: {PARTS}")
    groups = []
    for part, parameters in parts(model).items():
        if part not in rates:
            raise ValueError(f"lr={lr}: part {part!r} trains but has no learning rate")
        if not (math.isfinite(rates[part]) and rates[part] > 0):
            raise ValueError(f"lr[{part!r}]={rates[part]}: allowed: a finite number above 0")
        for matrices in (True, False):
            chosen = [p for p in parameters if (p.ndim > 1) == matrices]
            weight_decay = decay if matrices else 0.0
            if chosen:
                groups.append({"params": chosen, "lr": rates[part], "weight_decay": weight_decay})
    if not groups:
        raise ValueError("model: no parameter has requires_grad, so there is nothing to train")
    fused = all(p.is_cuda for group in groups for p in group["params"])  # one kernel for all
    if name == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, fused=fused)
    return torch.optim.AdamW(groups, fused=fused)


def make_scheduler(
    optimizer: torch.optim.Optimizer, schedule: str, steps: int, warmup: float
) -> LRScheduler:
    """A schedule over ``steps`` steps; the rate rises during the share ``warmup`` of them."""
    if schedule == "one-cycle":
        peaks = [group["lr"] for group in optimizer.param_groups]
        total = max(steps + 1, 3)  # room for a rise and a fall, even in a run of one step
        return OneCycleLR(optimizer, peaks, total_steps=total, pct_start=max(warmup, 1.5 / total))
    rise = max(1, round(warmup * steps))

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))

    return LambdaLR(optimizer, factor)
