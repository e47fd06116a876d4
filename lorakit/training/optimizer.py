"""The optimiser, with a learning rate for each part of the model, and its schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from lorakit.lora.vit import PARTS, parts
from lorakit.training.recipe import Recipe

DEFAULT_LR = 1e-3


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """An optimiser with a group for each part that trains; tensors decay, vectors do not.

    Raises:
        ValueError: a part that trains without a rate, or nothing to train.
    """
    lr = recipe.lr if isinstance(recipe.lr, Mapping) else dict.fromkeys(PARTS, recipe.lr)
    groups = []
    for part, parameters in parts(model).items():
        if part not in lr:
            raise ValueError(f"lr={recipe.lr}: part {part!r} trains but has no learning rate")
        for decay, dims in ((recipe.weight_decay, "tensors"), (0.0, "vectors")):
            chosen = [p for p in parameters if (p.ndim > 1) == (dims == "tensors")]
            rate = DEFAULT_LR if lr[part] is None else lr[part]
            if chosen:
                groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    if not groups:
        raise ValueError("model: no parameter has requires_grad, so there is nothing to train")
    fused = all(p.is_cuda for group in groups for p in group["params"])  # one kernel for all
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, fused=fused)
    return torch.optim.AdamW(groups, fused=fused)


def make_scheduler(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> LRScheduler:
    """A schedule over ``steps`` steps; the rate rises during the share ``warmup`` of them."""
    if recipe.schedule == "one-cycle":
        peaks = [group["lr"] for group in optimizer.param_groups]
        total = max(steps + 1, 3)  # room for a rise and a fall, even in a run of one step
        start = max(recipe.warmup, 1.5 / total)
        return OneCycleLR(optimizer, peaks, total_steps=total, pct_start=start)
    rise = max(1, round(recipe.warmup * steps))

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))

    return LambdaLR(optimizer, factor)
