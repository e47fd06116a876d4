"""The optimiser, with a learning rate for each part, its schedule, and an average beside it."""

import math
from collections.abc import Mapping

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from lorakit.lora.vit import PARTS, parts
from lorakit.training.recipe import Recipe


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """An optimiser with a group for each part that trains; tensors decay, vectors do not."""
    lr = recipe.lr if isinstance(recipe.lr, Mapping) else dict.fromkeys(PARTS, recipe.lr or 1e-3)
    groups = []
    for part, parameters in parts(model).items():
        if part not in lr:
            raise ValueError(f"lr={recipe.lr}: part {part!r} trains but has no learning rate")
        for tensors, decay in ((True, recipe.weight_decay), (False, 0.0)):
            if chosen := [p for p in parameters if (p.ndim > 1) == tensors]:
                groups.append({"params": chosen, "lr": lr[part], "weight_decay": decay})
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


class Average:
    """A moving average of what trains, renewed after each step of the optimiser.

    After step t it keeps the share min(rate, t / (9 + t)) of its old value, so that it soon forgets
    the start. Without a rate it does nothing.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, rate: float | None) -> None:
        self.rate, self.steps = rate, 0
        self.parameters, self.values = [], []
        if rate is not None:
            self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
            self.values = [p.detach().clone() for p in self.parameters]
            optimizer.register_step_post_hook(self._renew)

    @torch.no_grad()
    def _renew(self, *_: object) -> None:
        self.steps += 1
        share = min(self.rate, self.steps / (9 + self.steps))
        torch._foreach_lerp_(self.values, self.parameters, 1 - share)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the weights in the model with their average; once more, and all is as before."""
        for value, parameter in zip(self.values, self.parameters):
            kept = value.clone()
            value.copy_(parameter)
            parameter.copy_(kept)

    def state_dict(self) -> dict:
        """The average so far, by the place of each parameter in the optimiser."""
        return {"steps": self.steps, "values": dict(enumerate(self.values))}

    def load_state_dict(self, state: dict) -> None:
        """Go on from a saved state."""
        self.steps = state["steps"]
        for place, value in enumerate(self.values):
            value.copy_(state["values"][place])
