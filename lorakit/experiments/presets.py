"""The grids behind the figures: which experiments each preset runs, study by study."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

from lorakit.checks import check_choice, check_number, checked
from lorakit.data.load import DATASETS
from lorakit.experiments.experiment import Experiment
from lorakit.figures.style import CIPHER_SHOWN
from lorakit.lora.vit import METHODS

SCRAMBLED = "scramble+shuffle+negative"
MLP = "proj+fc1+fc2"  # LoRA behind the attention instead of inside it
STUDIES = ("encryption", "privacy")
_BASE = ("probe", "lora", "lora+patch", "full")
_THREE, _FIVE = (0.5, 2.0, 8.0), (0.5, 1.0, 2.0, 3.0, 8.0)  # epsilons

_PUBLIC = ("cifar10", "cifar100", "imagenette")
_PAPER = {"backbone": "vit_base_patch16_224", "epochs": 10, "batch_size": 128}
_PAPER |= {"schedule": "cosine", "weight_decay": 0.01}

# settings of each data set, and those used by default; seeds; for each study (see ``grid``)
# encryption: ciphers, methods, adapters (ranks of targets)
# privacy: private (settings), epsilons of data set and method, private_ciphers, private_seeds
PRESETS: dict[str, dict] = {
    "smoke": {
        "fashion": {"train": 128, "val": 32, "test": 100, "epochs": 1},
        "datasets": ("fashion",),
        "seeds": 1,
        "ciphers": ("none", CIPHER_SHOWN),
        "adapters": {"q+v": (1, 4)},
        "private_datasets": ("fashion",),
        "private": {"fashion": {"epochs": 1, "batch_size": 64}},
        "epsilons": {"fashion": {"lora+patch": (8.0,)}},
        "private_ciphers": ("none",),
    },
    "quick": {
        "fashion": {"train": 3000, "val": 500, "test": 2000, "epochs": 4},
        "datasets": ("fashion",),
        "seeds": 1,
        "ciphers": ("none", CIPHER_SHOWN),
        "adapters": {"q+v": (4, 16), MLP: (4,)},
        "private_datasets": ("fashion",),
        "private": {"fashion": {"epochs": 4, "batch_size": 128}},
        "epsilons": {"fashion": {"probe": _THREE, "lora+patch": _THREE}},
        "private_ciphers": ("none",),
    },
    "full": {
        "fashion": {"train": 4000, "val": 2000, "test": 5000, "epochs": 4},
        "datasets": ("fashion",),
        "seeds": 5,
        "ciphers": ("none", "shuffle", CIPHER_SHOWN, SCRAMBLED),
        "methods": METHODS,
        "adapters": {"q+v": (1, 2, 4, 8, 16)},
        "private_datasets": ("fashion",),
        "private": {"fashion": {"train": 10_000, "epochs": 4, "batch_size": 512}},
        "epsilons": {"fashion": dict.fromkeys(("probe", "patch", "lora+patch"), _FIVE)},
        "private_ciphers": ("none",),
    },
    "paper": {  # a GPU, and a network once; see paper.py
        **dict.fromkeys(_PUBLIC, _PAPER),
        "datasets": ("cifar10",),
        "seeds": 1,
        "ciphers": ("none", "shuffle", "scramble+shuffle"),
        "methods": ("lora", "lora+patch", "full"),
        "private_datasets": ("cifar10",),
        "private": {name: {"batch_size": 1024} for name in _PUBLIC},
        "epsilons": dict.fromkeys(_PUBLIC, dict.fromkeys(("lora+patch", "full"), (2.0, 8.0))),
        "private_ciphers": ("none", "shuffle"),
    },
}


@checked
def grid(
    preset: str,
    datasets: str | Iterable[str] | None = None,
    seeds: int | None = None,
    study: str = "encryption",
) -> list[Experiment]:
    """The experiments of one study in a preset.

    ``encryption``: every method under every cipher, and LoRA at other ranks and targets.
    ``privacy``: methods and ciphers against epsilon, with the control: clipped, no noise.

    Args:
        preset: one of ``PRESETS``.
        datasets: some of the preset's (a list, or joined by a comma); None means its default.
        seeds: how many, from 0; None means the preset's own.
        study: one of ``STUDIES``.
    """
    check_choice("preset", preset, PRESETS)
    check_choice("study", study, STUDIES)
    settings = PRESETS[preset]
    if datasets is None:
        datasets = settings["private_datasets" if study == "privacy" else "datasets"]
    datasets = tuple(datasets.split(",") if isinstance(datasets, str) else datasets)
    if seeds is None:
        seeds = settings.get("private_seeds" if study == "privacy" else "seeds", settings["seeds"])
    allowed = tuple(name for name in settings if name in DATASETS)
    if not datasets or not set(datasets) <= set(allowed):
        raise ValueError(f"datasets={datasets!r}: allowed: one or more of {allowed}")
    check_number("seeds", seeds, least=1, most=1000, whole=True)
    make = {"encryption": _encryption, "privacy": _privacy}[study]
    bases = (
        Experiment.from_settings(dataset=dataset, seed=seed, **settings[dataset])
        for seed, dataset in product(range(seeds), datasets)
    )
    return list({e.id: e for base in bases for e in make(base, settings)}.values())


def _encryption(base: Experiment, settings: dict) -> Iterator[Experiment]:
    for cipher, method in product(settings["ciphers"], settings.get("methods", _BASE)):
        yield base.replace(cipher=cipher, method=method)
    for targets, ranks in settings.get("adapters", {}).items():
        for method, rank in product(("lora", "lora+patch"), ranks):
            yield base.replace(cipher=CIPHER_SHOWN, method=method, targets=targets, rank=rank)


def _privacy(base: Experiment, settings: dict) -> Iterator[Experiment]:
    base = base.replace(**settings["private"][base.dataset])
    methods = settings["epsilons"][base.dataset]
    for cipher, (method, epsilons) in product(settings["private_ciphers"], methods.items()):
        like = base.replace(cipher=cipher, method=method)
        yield from (like.replace(epsilon=epsilon) for epsilon in epsilons)
        yield like.replace(noise_multiplier=0.0)
