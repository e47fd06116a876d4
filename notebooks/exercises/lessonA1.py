"""Checks of lesson A1, Pre-training the backbone."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from exercises.verdict import exercise, same


@exercise("A1.chance")
def chance(function: Callable[[int], float]) -> str:
    """The cross-entropy of a uniform guess."""
    for classes in (96, 10, 3):
        same(
            function(classes),
            math.log(classes),
            f"the loss for {classes} classes",
            {
                "that is in bits: cross-entropy in PyTorch takes the natural logarithm": (
                    math.log2(classes)
                ),
                "that takes the logarithm to base 10: take the natural one": math.log10(classes),
                "that is the accuracy at chance, or the probability; the loss is its negative "
                "logarithm": 1 / classes,
                "that is the probability of a wrong guess, not a loss": 1 - 1 / classes,
            },
        )
    return "that is where every classifier begins, and where you look first."


@exercise("A1.steps")
def steps(function: Callable[[int, int, int], int]) -> str:
    """The number of optimiser steps in a run."""
    for images, batch, epochs in ((10, 4, 3), (1000, 128, 5), (150_000, 128, 8), (256, 64, 2)):
        same(
            function(images, batch, epochs),
            epochs * math.ceil(images / batch),
            f"the number of steps for {images} images, batch size {batch}, {epochs} epochs,",
            {
                "the smaller last batch of each epoch is missing": epochs * (images // batch),
                "rounded up too late: every epoch has its own smaller last batch": (
                    math.ceil(epochs * images / batch)
                ),
                "a step is a whole number, and each epoch has its own smaller last batch": (
                    epochs * images / batch
                ),
                "images that fill their batches need no extra one: round up, do not add one": (
                    epochs * (images // batch + 1)
                ),
                "those are the steps of a single epoch": math.ceil(images / batch),
                "that counts images, not batches": epochs * images,
            },
            tolerance=1e-9,
        )
    return "a schedule that is told this number ends exactly with the training."


@exercise("A1.half")
def half(function: Callable[[nn.Module], int]) -> str:
    """Bytes of all parameters in half precision."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        a, b, c = torch.randint(3, 40, (3,), generator=generator).tolist()
        model = nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, c, bias=False))
        model[0].requires_grad_(False)
        number = sum(p.numel() for p in model.parameters())
        trains = sum(p.numel() for p in model.parameters() if p.requires_grad)
        same(
            function(model),
            2 * number,
            "the number of bytes",
            {
                "that is how many numbers there are; how many bytes does each take?": number,
                "those are bits: a byte has 8 of them": 16 * number,
                "that is single precision, 32 bits a number": 4 * number,
                "frozen parameters are stored as well": 2 * trains,
                "only the weights of the first layer are counted": 2 * a * b,
                "biases are stored as well": 2 * (a * b + b * c),
            },
            tolerance=1e-9,
        )
    return "that is half of what single precision takes."
