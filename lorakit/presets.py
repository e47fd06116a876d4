"""The grids behind the figures: which experiments each preset runs."""

from __future__ import annotations

from collections.abc import Iterable

from lorakit.experiment import Experiment

CIPHERS = ("none", "shuffle", "shuffle+negative", "scramble+shuffle+negative")
SHOWN = "shuffle+negative"  # the cipher of the rank figure
_BASE = ("probe", "lora", "lora+patch", "full")

# settings of each data set, then ciphers (all methods at rank 4), ranks (at SHOWN), seeds
PRESETS: dict[str, dict] = {
    "smoke": {
        "street": {"train": 128, "val": 32, "test": 100, "epochs": 1},
        "digits": {"train": 128, "val": 32, "test": 100, "epochs": 1},
        "ciphers": ("none", SHOWN),
        "ranks": {"lora": (1, 4), "lora+patch": (1, 4)},
        "seeds": 1,
        "datasets": ("street",),
    },
    "quick": {
        "street": {"train": 4000, "val": 500, "test": 1000, "epochs": 5},
        "digits": {"train": 1097, "val": 200, "test": 500, "epochs": 8},
        "ciphers": ("none", SHOWN),
        "ranks": {"lora": (1, 4, 16), "lora+patch": (1, 4, 16)},
        "seeds": 1,
        "datasets": ("street", "digits"),
    },
    "full": {
        "street": {"train": 10_000, "val": 1000, "test": 5000, "epochs": 5},
        "digits": {"train": 1097, "val": 200, "test": 500, "epochs": 8},
        "ciphers": CIPHERS,
        "ranks": {"lora": (1, 4, 16), "lora+patch": (1, 2, 4, 8, 16)},
        "seeds": 3,
        "datasets": ("street", "digits"),
    },
}


def grid(
    preset: str, datasets: str | Iterable[str] | None = None, seeds: int | None = None
) -> list[Experiment]:
    """The experiments of a preset.

    Every method runs under every cipher of the preset at rank 4; ``lora`` and ``lora+patch`` run
    at the other ranks too, under pixel shuffling with negative-positive.

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
                for method in _BASE:
                    experiments.append(base.but(cipher=cipher, method=method))
            for method, ranks in settings["ranks"].items():
                for rank in ranks:
                    experiments.append(base.but(cipher=SHOWN, method=method, rank=rank))
    return list(dict.fromkeys(experiments))
