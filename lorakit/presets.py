"""The grids behind the figures: which experiments each preset runs."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from lorakit.experiment import Experiment

CIPHERS = ("none", "shuffle", "shuffle+negative", "scramble+shuffle+negative")
SHOWN = "shuffle+negative"  # where ranks and targets are compared
MLP = "proj+fc1+fc2"  # LoRA behind the attention instead of inside it
_BASE = ("probe", "lora", "lora+patch", "full")

# settings of each data set; ciphers (every method, q+v at rank 4); targets: ranks (at SHOWN); seeds
PRESETS: dict[str, dict] = {
    "smoke": {
        "street": {"train": 128, "val": 32, "test": 100, "epochs": 1},
        "digits": {"train": 128, "val": 32, "test": 100, "epochs": 1},
        "ciphers": ("none", SHOWN),
        "adapters": {"q+v": (1, 4)},
        "seeds": 1,
        "datasets": ("street",),
    },
    "quick": {
        "street": {"train": 4000, "val": 500, "test": 1000, "epochs": 4},
        "digits": {"train": 1097, "val": 200, "test": 500, "epochs": 8},
        "ciphers": ("none", SHOWN),
        "adapters": {"q+v": (1, 4, 16), MLP: (4,)},
        "seeds": 1,
        "datasets": ("street", "digits"),
    },
    "full": {
        "street": {"train": 10_000, "val": 1000, "test": 5000, "epochs": 5},
        "digits": {"train": 1097, "val": 200, "test": 500, "epochs": 8},
        "ciphers": CIPHERS,
        "adapters": {"q+v": (1, 4, 16), MLP: (4,)},
        "seeds": 3,
        "datasets": ("street", "digits"),
    },
    "long": {  # twice the training of full, for the two methods whose gap is in question
        "street": {"train": 10_000, "val": 1000, "test": 5000, "epochs": 10},
        "digits": {"train": 1097, "val": 200, "test": 500, "epochs": 16},
        "methods": ("full",),
        "ciphers": (SHOWN,),
        "adapted": ("lora+patch",),
        "adapters": {MLP: (4,)},
        "seeds": 3,
        "datasets": ("street",),
    },
}


def grid(
    preset: str, datasets: str | Iterable[str] | None = None, seeds: int | None = None
) -> list[Experiment]:
    """The experiments of a preset.

    Every method runs under every cipher of the preset, with LoRA of rank 4 on q and v. Under pixel
    shuffling with negative-positive, ``lora`` and ``lora+patch`` run at other ranks and targets.

    Args:
        preset: one of ``PRESETS``.
        datasets: ``street``, ``digits`` or both (a list, or joined by a comma); None means the
            preset's own.
        seeds: how many, from 0; None means the preset's own.

    Raises:
        ValueError: an unknown preset or data set, no data set, or fewer than 1 seed.
    """
    if preset == "paper":
        raise ValueError(
            "preset='paper': ViT-B/16 on CIFAR needs the real data sets, which lorakit does not "
            f"load yet; allowed: one of {tuple(PRESETS)}"
        )
    if preset not in PRESETS:
        raise ValueError(f"preset={preset!r}: allowed: one of {tuple(PRESETS)}")
    settings = PRESETS[preset]
    if isinstance(datasets, str):
        datasets = datasets.split(",")
    datasets = settings["datasets"] if datasets is None else tuple(datasets)
    seeds = settings["seeds"] if seeds is None else seeds
    if not datasets or not set(datasets) <= {"street", "digits"}:
        raise ValueError(f"datasets={datasets!r}: allowed: one or both of ('street', 'digits')")
    if seeds < 1:
        raise ValueError(f"seeds={seeds}: allowed: 1 or more")
    experiments = []
    for seed in range(seeds):
        for dataset in datasets:
            base = Experiment(dataset=dataset, seed=seed, **settings[dataset])
            for cipher in settings["ciphers"]:
                for method in settings.get("methods", _BASE):
                    experiments.append(base.but(cipher=cipher, method=method))
            for targets, ranks in settings["adapters"].items():
                for method, rank in product(settings.get("adapted", ("lora", "lora+patch")), ranks):
                    adapter = {"method": method, "targets": targets, "rank": rank}
                    experiments.append(base.but(cipher=SHOWN, **adapter))
    return list(dict.fromkeys(experiments))
