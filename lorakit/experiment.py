"""One value that says everything about a run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

from lorakit import data
from lorakit.cipher import STEPS
from lorakit.lora import TARGETS
from lorakit.optim import SCHEDULES
from lorakit.vit import METHODS, PARTS

# Peak learning rate of each part, by method: chosen on a validation split by
# `python -m lorakit.tune`, never on test; every candidate is in figures/results/tuning.csv.
LEARNING_RATES: dict[str, dict[str, float]] = {
    "probe": {"head": 3e-2},
    "bitfit": {"head": 2e-2, "backbone": 2e-2, "patch_embed": 2e-2},
    "lora": {"head": 5e-3, "lora": 5e-3},
    "lora+patch": {"head": 2e-3, "lora": 2e-3, "patch_embed": 4e-3},
    "full": {"head": 5e-4, "backbone": 5e-4, "patch_embed": 4e-3},
}


# More rank, or targets that reach further, want smaller steps: (method, targets, rank).
_TUNED_APART: dict[tuple[str, str | None, int | None], dict[str, float]] = {
    ("lora", "q+v", 16): {"head": 2e-3, "lora": 2e-3},
    ("lora", "proj+fc1+fc2", 4): {"head": 2e-3, "lora": 2e-3},
}


@dataclass(frozen=True)
class Experiment:
    """Data, cipher, method, optimiser and seed of one run; equal values mean equal results.

    Attributes:
        dataset: one of ``data.DATASETS``.
        train, val, test: images in each split; None means the data set's default.
        cipher: ``"none"`` or any of ``cipher.STEPS`` joined by ``+``; blocks are the patches.
        method: one of ``vit.METHODS``.
        rank, alpha, targets: of LoRA, ``targets`` joined by ``+``; None without LoRA. ``alpha``
            defaults to 2 x rank.
        backbone: a name for ``vit.create_backbone``.
        epochs, batch_size, weight_decay, schedule, warmup, label_smoothing: see ``train.fit``.
        lr_head, lr_lora, lr_patch_embed, lr_backbone: peak learning rates; None means
            ``LEARNING_RATES`` of the method, or none where the part does not train.
        measure: the split that gives the accuracy: ``test``, or ``val`` to tune.
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
    lr_backbone: float | None = None
    weight_decay: float = 0.01
    schedule: str = "one-cycle"
    warmup: float = 0.1
    label_smoothing: float = 0.0
    measure: str = "test"
    seed: int = 0

    def __post_init__(self) -> None:
        _allowed("dataset", self.dataset, sorted(data.DATASETS))
        _allowed("method", self.method, METHODS)
        _allowed("schedule", self.schedule, SCHEDULES)
        _allowed("measure", self.measure, ("test", "val"))
        if self.cipher != "none":
            self._set("cipher", _joined("cipher", self.cipher, STEPS))
        sizes = data.DATASETS[self.dataset][1]
        for name, size in zip(("train", "val", "test"), sizes):
            if getattr(self, name) is None:
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
        apart = _TUNED_APART.get((self.method, self.targets, self.rank))
        tuned = apart or LEARNING_RATES[self.method]
        for part in PARTS:
            asked = getattr(self, f"lr_{part}")
            if part not in tuned or asked is None:
                asked = tuned.get(part)
            if asked is not None and not asked > 0:
                raise ValueError(f"lr_{part}={asked}: allowed: a number above 0")
            self._set(f"lr_{part}", asked if asked is None else float(asked))
        if self.seed < 0:
            raise ValueError(f"seed={self.seed}: allowed: 0 or more")

    def _set(self, name: str, value: object) -> None:
        """Put a setting into its one normal form, so that equal experiments have equal ids."""
        object.__setattr__(self, name, value)

    @property
    def id(self) -> str:
        """A hash of every setting: the key of the results table."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def learning_rates(self) -> dict[str, float]:
        """Peak learning rate of each part that trains."""
        rates = {part: getattr(self, f"lr_{part}") for part in PARTS}
        return {part: rate for part, rate in rates.items() if rate is not None}

    def but(self, **changes) -> Experiment:
        """The same experiment with some settings changed.

        With another method, targets or rank, learning rates and alpha are filled in anew.

        >>> Experiment(method="probe").but(method="lora", rank=2).alpha
        4.0
        """
        if {"method", "targets", "rank"} & set(changes):
            fresh = {f"lr_{part}": None for part in PARTS} | {"alpha": None}
            if self.rank is None:
                fresh |= {"rank": 4, "targets": "q+v"}
            changes = fresh | changes
        return replace(self, **changes)


def _allowed(argument: str, value: str, allowed) -> None:
    if value not in allowed:
        raise ValueError(f"{argument}={value!r}: allowed: {', '.join(map(repr, allowed))}")


def _joined(argument: str, text: str, allowed: tuple[str, ...]) -> str:
    """Names joined by +, each one allowed, in the order of ``allowed``."""
    names = text.split("+")
    for name in names:
        _allowed(argument, name, allowed)
    return "+".join(name for name in allowed if name in names)
