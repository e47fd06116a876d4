"""The grids behind the figures: which experiments each preset runs, study by study."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

from lorakit.checks import check_choice, check_number, checked
from lorakit.data.load import DATASETS
from lorakit.experiments.experiment import Experiment
from lorakit.figures.style import CIPHER_SHOWN

CIPHERS = ("none", "shuffle", "shuffle+negative", "scramble+shuffle+negative")
SCRAMBLED = "scramble+shuffle+negative"
MLP = "proj+fc1+fc2"  # LoRA behind the attention instead of inside it
STUDIES = ("encryption", "length", "privacy")
_BASE = ("probe", "lora", "lora+patch", "full")
_FIVE, _THREE = (0.5, 1.0, 2.0, 4.0, 8.0), (0.5, 2.0, 8.0)  # epsilons

_PUBLIC = ("cifar10", "cifar100", "imagenette")
_PAPER = {
    "backbone": "vit_base_patch16_224",
    "epochs": 10,
    "batch_size": 128,
    "schedule": "cosine",
    "weight_decay": 0.01,
}

# settings of each data set; ciphers (every method, q+v at rank 4); adapters: targets, ranks (under
# shuffle + negative); length: epochs of longer runs; private: settings; epsilons: of data set and
# method; private_ciphers; private_ranks (of digits, at epsilon 2); seeds
PRESETS: dict[str, dict] = {
    "smoke": {
        "street": {"train": 128, "val": 32, "test": 100, "epochs": 1},
        "digits": {"train": 128, "val": 32, "test": 100, "epochs": 1},
        "ciphers": ("none", CIPHER_SHOWN),
        "adapters": {"q+v": (1, 4)},
        "length": {},
        "private": {
            "street": {"epochs": 1, "batch_size": 64},
            "digits": {"epochs": 1, "batch_size": 64},
        },
        "epsilons": {key: {"lora+patch": (8.0,)} for key in ("street", "digits")},
        "private_ciphers": ("none",),
        "private_ranks": (1, 4),
        "private_datasets": ("digits",),
        "seeds": 1,
        "datasets": ("street",),
    },
    "quick": {
        "street": {"train": 3000, "val": 500, "test": 1000, "epochs": 4},
        "digits": {"train": 1097, "val": 200, "test": 500, "epochs": 6},
        "ciphers": ("none", CIPHER_SHOWN),
        "adapters": {"q+v": (4, 16), MLP: (4,)},
        "length": {},
        "private": {
            "street": {"epochs": 2, "batch_size": 256},
            "digits": {"epochs": 6, "batch_size": 256},
        },
        "epsilons": {key: {"probe": _THREE, "lora+patch": _THREE} for key in ("street", "digits")},
        "private_ciphers": ("none",),
        "private_ranks": (4,),
        "private_datasets": ("digits",),
        "seeds": 1,
        "datasets": ("street", "digits"),
    },
    "full": {
        "street": {"train": 10_000, "val": 1000, "test": 5000, "epochs": 5},
        "digits": {"train": 1097, "val": 200, "test": 500, "epochs": 8},
        "ciphers": CIPHERS,
        "adapters": {"q+v": (1, 2, 4, 8, 16), MLP: (4,)},
        "length": {"street": 10},
        "private": {
            "street": {"epochs": 2, "batch_size": 256},
            "digits": {"epochs": 6, "batch_size": 256},
        },
        "epsilons": {key: dict.fromkeys(_BASE, _FIVE) for key in ("street", "digits")},
        "private_ciphers": ("none", CIPHER_SHOWN),
        "private_ranks": (1, 2, 4, 8, 16),
        "private_datasets": ("street", "digits"),
        "seeds": 3,
        "datasets": ("street", "digits"),
    },
    "paper": {  # a GPU, and a network once; see paper.py
        **dict.fromkeys(_PUBLIC, _PAPER),
        "ciphers": ("none", "shuffle", "scramble+shuffle"),
        "methods": ("lora", "lora+patch", "full"),
        "adapters": {},
        "length": {},
        "private": {name: {"batch_size": 1024} for name in _PUBLIC},
        "epsilons": {name: {"lora+patch": (2.0, 8.0), "full": (2.0, 8.0)} for name in _PUBLIC},
        "private_ciphers": ("none", "shuffle"),
        "private_ranks": (),
        "private_datasets": ("cifar10",),
        "seeds": 1,
        "datasets": ("cifar10",),
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

    - ``encryption``: every method under every cipher of the preset, with LoRA of rank 4 on q and
      v. Under pixel shuffling with negative-positive, ``lora`` and ``lora+patch`` at other ranks
      and targets; with scrambled blocks, ``lora+patch+pos`` too.
    - ``length``: LoRA on the MLP and ``full``, encrypted, trained for longer; may be empty.
    - ``privacy``: methods and ciphers against epsilon, and ranks at epsilon 2. What no privacy at
      all gives is in ``encryption``.

    Args:
        preset: one of ``PRESETS``.
        datasets: some of the preset's data sets (a list, or joined by a comma), ``street`` and
            ``digits``, or public ones for ``paper``; None means the preset's default.
        seeds: how many, from 0; None means the preset's own.
        study: one of ``STUDIES``.
    """
    check_choice("preset", preset, PRESETS)
    check_choice("study", study, STUDIES)
    settings = PRESETS[preset]
    if isinstance(datasets, str):
        datasets = datasets.split(",")
    if datasets is None:
        datasets = settings["private_datasets" if study == "privacy" else "datasets"]
    datasets, seeds = tuple(datasets), settings["seeds"] if seeds is None else seeds
    allowed = tuple(name for name in settings if name in DATASETS)
    if not datasets or not set(datasets) <= set(allowed):
        raise ValueError(f"datasets={datasets!r}: allowed: one or more of {allowed}")
    check_number("seeds", seeds, least=1, most=1000, whole=True)
    make = {"encryption": _encryption, "length": _length, "privacy": _privacy}[study]
    experiments = []
    for seed, dataset in product(range(seeds), datasets):
        base = Experiment.from_settings(dataset=dataset, seed=seed, **settings[dataset])
        experiments += make(base, settings)
    return list({e.id: e for e in experiments}.values())


def _encryption(base: Experiment, settings: dict) -> Iterator[Experiment]:
    for cipher, method in product(settings["ciphers"], settings.get("methods", _BASE)):
        yield base.replace(cipher=cipher, method=method)
    if SCRAMBLED in settings["ciphers"]:
        yield base.replace(cipher=SCRAMBLED, method="lora+patch+pos")
    for targets, ranks in settings["adapters"].items():
        for method, rank in product(("lora", "lora+patch"), ranks):
            yield base.replace(cipher=CIPHER_SHOWN, method=method, targets=targets, rank=rank)


def _length(base: Experiment, settings: dict) -> Iterator[Experiment]:
    if base.dataset in settings["length"]:
        longer = base.replace(
            cipher=CIPHER_SHOWN, epochs=settings["length"][base.dataset], targets=MLP
        )
        for method in ("lora", "lora+patch", "full"):
            yield longer.replace(method=method)


def _privacy(base: Experiment, settings: dict) -> Iterator[Experiment]:
    base = base.replace(**settings["private"][base.dataset])
    for cipher in settings["private_ciphers"]:
        for method, epsilons in settings["epsilons"][base.dataset].items():
            for epsilon in epsilons:
                yield base.replace(cipher=cipher, method=method, epsilon=epsilon)
    if base.dataset == "digits":
        for method, rank in product(("lora", "lora+patch"), settings["private_ranks"]):
            yield base.replace(method=method, rank=rank, epsilon=2.0)
