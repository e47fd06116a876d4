"""One value that says everything about a run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import asdict, dataclass

from lorakit import data
from lorakit.encryption.cipher import STEPS
from lorakit.experiments.learning_rates import tuned_rates
from lorakit.lora.lora import TARGETS
from lorakit.lora.vit import METHODS, PARTS
from lorakit.privacy.accountant import Privacy, default_delta
from lorakit.runtime import PRECISIONS
from lorakit.training.optimizer import OPTIMIZERS, SCHEDULES


@dataclass(frozen=True)
class Experiment:
    """Data, cipher, method, optimiser and seed of one run; equal values mean equal results.

    Attributes:
        dataset: one of ``data.DATASETS``, or ``folder:NAME``, see ``data.load``.
        train, val, test: images in each split; None means the data set's default. A folder has
            none.
        cipher: ``"none"`` or any of ``encryption.STEPS`` joined by ``+``; blocks are patches.
        method: one of ``lora.vit.METHODS``.
        rank, alpha, targets: of LoRA, ``targets`` joined by ``+``; None without LoRA. ``alpha``
            defaults to 2 x rank.
        backbone: a name for ``lora.vit.create_backbone``.
        pretrained: start from its pre-trained weights, or at random.
        epochs, batch_size, optimizer, weight_decay, schedule, warmup, label_smoothing: see
            ``training.fit``.
        lr_head, lr_lora, lr_patch_embed, lr_position, lr_backbone: peak learning rates; None means
            the tuned ones in ``rates``, or none where the part does not train.
        epsilon, noise_multiplier, delta, max_grad_norm, accountant: see ``privacy.Privacy``; the
            run is private if epsilon or a noise multiplier is given. Defaults: delta
            ``privacy.default_delta(train)``, max_grad_norm 1, accountant prv.
        precision: see ``runtime.PRECISIONS``; None means what the device is best at.
        eval_split: the split that gives the accuracy: ``test``, or ``val`` to tune.
        seed: of the start, the order of images and the (teaching) key.

    Raises:
        ValueError: a value out of range; the message names it and what is allowed.
    """

    dataset: str = "street"
    train: int | None = None
    val: int | None = None
    test: int | None = None
    cipher: str = "none"
    method: str = "lora+patch"
    rank: int | None = 4
    alpha: float | None = None
    targets: str | None = "q+v"
    backbone: str = "vit_micro"
    epochs: int = 6
    batch_size: int = 32
    lr_head: float | None = None
    lr_lora: float | None = None
    lr_patch_embed: float | None = None
    lr_position: float | None = None
    lr_backbone: float | None = None
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    schedule: str = "one-cycle"
    warmup: float = 0.1
    label_smoothing: float = 0.0
    epsilon: float = math.inf
    noise_multiplier: float | None = None
    delta: float | None = None
    max_grad_norm: float | None = None
    accountant: str | None = None
    precision: str | None = None
    pretrained: bool = True
    eval_split: str = "test"
    seed: int = 0

    def __post_init__(self) -> None:
        _allowed("method", self.method, METHODS)
        _allowed("schedule", self.schedule, SCHEDULES)
        _allowed("optimizer", self.optimizer, OPTIMIZERS)
        _allowed("eval_split", self.eval_split, ("test", "val"))
        if self.precision is not None:
            _allowed("precision", self.precision, PRECISIONS)
        if self.cipher != "none":
            self._set("cipher", _joined("cipher", self.cipher, STEPS))
        sizes = data.default_sizes(self.dataset, "dataset")
        for name, size in zip(("train", "val", "test"), sizes):
            if getattr(self, name) is None:
                if size is None:
                    raise ValueError(f"{name}=None: say how many images; a folder has no default")
                self._set(name, size)
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"epochs={self.epochs}, batch_size={self.batch_size}: allowed: 1 up")
        if self.method.startswith("lora"):
            if not isinstance(self.rank, int) or self.rank < 1:
                raise ValueError(f"rank={self.rank!r}: allowed: a whole number, 1 or more")
            self._set("targets", _joined("targets", self.targets or "", TARGETS))
            self._set("alpha", 2.0 * self.rank if self.alpha is None else float(self.alpha))
        else:  # settings that do nothing do not make two experiments differ
            for name in ("rank", "alpha", "targets"):
                self._set(name, None)
        self._set_privacy()
        tuned = tuned_rates(
            self.method, self.targets, self.rank, private=self.private, backbone=self.backbone
        )
        for part in PARTS:
            asked = getattr(self, f"lr_{part}")
            if part not in tuned or asked is None:
                asked = tuned.get(part)
            if asked is not None and not asked > 0:
                raise ValueError(f"lr_{part}={asked}: allowed: a number above 0")
            self._set(f"lr_{part}", asked if asked is None else float(asked))
        if self.seed < 0:
            raise ValueError(f"seed={self.seed}: allowed: 0 or more")

    def _set_privacy(self) -> None:
        """Fill in the privacy settings of a private run, and clear those of another."""
        self._set("epsilon", float(self.epsilon))
        given = {"delta": default_delta(self.train), "max_grad_norm": 1.0, "accountant": "prv"}
        for name, default in given.items():
            value = getattr(self, name)
            self._set(name, (default if value is None else value) if self.private else None)
        if self.private:
            self.privacy.check(self.train, self.batch_size)

    def _set(self, name: str, value: object) -> None:
        """Put a setting into its one normal form, so that equal experiments have equal ids."""
        object.__setattr__(self, name, value)

    @property
    def private(self) -> bool:
        """Whether it trains with differential privacy."""
        return self.epsilon != math.inf or self.noise_multiplier is not None

    @property
    def privacy(self) -> Privacy | None:
        """The privacy settings for ``training.fit``; None without."""
        if not self.private:
            return None
        return Privacy(
            self.epsilon, self.delta, self.noise_multiplier, self.max_grad_norm, self.accountant
        )

    @property
    def id(self) -> str:
        """A hash of every setting there is: the key of the results table."""
        there = {name: value for name, value in asdict(self).items() if value is not None}
        if self.pretrained:  # rows from before there was a choice keep their ids
            del there["pretrained"]
        text = json.dumps(there, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def learning_rates(self) -> dict[str, float]:
        """Peak learning rate of each part that trains."""
        rates = {part: getattr(self, f"lr_{part}") for part in PARTS}
        return {part: rate for part, rate in rates.items() if rate is not None}

    def replace(self, **changes) -> Experiment:
        """The same experiment with some settings changed.

        With another method, targets, rank, backbone or privacy, learning rates and alpha are
        filled in anew.

        >>> Experiment(method="probe").replace(method="lora", rank=2).alpha
        4.0
        """
        if {"method", "targets", "rank", "backbone", "epsilon", "noise_multiplier"} & set(changes):
            fresh = {f"lr_{part}": None for part in PARTS} | {"alpha": None}
            if self.rank is None:
                fresh |= {"rank": 4, "targets": "q+v"}
            changes = fresh | changes
        return dataclasses.replace(self, **changes)


def _allowed(argument: str, value: str, allowed) -> None:
    if value not in allowed:
        raise ValueError(f"{argument}={value!r}: allowed: {', '.join(map(repr, allowed))}")


def _joined(argument: str, text: str, allowed: tuple[str, ...]) -> str:
    """Names joined by +, each one allowed, in the order of ``allowed``."""
    names = text.split("+")
    for name in names:
        _allowed(argument, name, allowed)
    return "+".join(name for name in allowed if name in names)
