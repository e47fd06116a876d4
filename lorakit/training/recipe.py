"""Everything about the optimisation, as one value."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from lorakit.checks import check_choice, check_fields, check_number
from lorakit.lora.vit import PARTS
from lorakit.privacy.accountant import Privacy
from lorakit.runtime import PRECISIONS


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; a value out of range is a ValueError that names it.

    Attributes:
        epochs: passes over the training images.
        batch_size: images a step; under ``privacy`` the expected number of a Poisson batch.
        lr: peak learning rate, one for all or one for each of ``lora.vit.PARTS``. None: those
            tuned for an experiment's method, see ``experiments.learning_rates``; elsewhere 1e-3.
        optimizer: ``adamw`` (Loshchilov and Hutter 2019, arXiv 1711.05101) or ``sgd`` (momentum
            0.9).
        weight_decay: decoupled, not applied to biases and norms.
        schedule: ``one-cycle`` (cosine up and down, and momentum against it) or ``cosine``
            (linear warm-up, cosine to zero).
        warmup: share of all steps in which the rate rises, 0 to below 1.
        privacy: train with differential privacy (DP-SGD, or DP-Adam), or not.
        precision: of matrix products, see ``runtime.chosen_precision``.
        physical_batch: images in memory at a time; it does not change the result. None: on CUDA as
            many as fit, by trying; elsewhere the whole batch, or under ``privacy`` as many as have
            gradients of 256 MiB.
        views: random views of each image in a step, see ``training.augment``. Their gradients are
            averaged before they are clipped, so they cost no epsilon (De et al. 2022, arXiv
            2204.13650). None: the image as it is.
        ema: rate of a moving average of what trains (0.99, say) with which the model ends; it
            costs no epsilon. None: the last weights.
    """

    epochs: int = 6
    batch_size: int = 32
    lr: float | Mapping[str, float] | None = field(default=None, hash=False)
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    schedule: str = "one-cycle"
    warmup: float = 0.1
    privacy: Privacy | None = None
    precision: str | None = None
    physical_batch: int | None = None
    views: int | None = None
    ema: float | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        check_number("epochs", self.epochs, least=1, whole=True)
        check_number("batch_size", self.batch_size, least=1, whole=True)
        check_number("weight_decay", self.weight_decay, least=0)
        check_number("warmup", self.warmup, least=0, below=1)
        check_choice("optimizer", self.optimizer, ("adamw", "sgd"))
        check_choice("schedule", self.schedule, ("one-cycle", "cosine"))
        check_choice("precision", self.precision, (None, *PRECISIONS))
        check_number("physical_batch", self.physical_batch, least=1, whole=True, none=True)
        check_number("views", self.views, least=1, whole=True, none=True)
        check_number("ema", self.ema, least=0, below=1, none=True)
        if isinstance(self.lr, Mapping):
            for part, rate in self.lr.items():
                check_choice("part of lr", part, PARTS)
                check_number(f"lr[{part!r}]", rate, above=0)
            object.__setattr__(self, "lr", {part: float(rate) for part, rate in self.lr.items()})
        else:
            check_number("lr", self.lr, above=0, none=True)

    def steps(self, examples: int) -> int:
        """Optimiser steps on N training examples."""
        return self.epochs * math.ceil(examples / self.batch_size)

    def replace(self, **changes: object) -> Recipe:
        """The same recipe with some settings changed."""
        return dataclasses.replace(self, **changes)

    def for_examples(self, examples: int) -> Recipe:
        """This recipe on N training examples: delta filled in, privacy settings checked."""
        if self.privacy is None:
            return self
        return self.replace(privacy=self.privacy.for_examples(examples, self.batch_size))
