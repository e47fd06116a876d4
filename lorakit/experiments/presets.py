"""The grids behind the figures: which experiments each preset runs, study by study."""

from collections.abc import Iterable, Iterator
from itertools import product

from lorakit.checks import check_choice, check_number, checked
from lorakit.experiments.experiment import Experiment
from lorakit.figures.style import CIPHER_SHOWN
from lorakit.lora.vit import METHODS

SCRAMBLED = "scramble+shuffle+negative"
MLP = "proj+fc1+fc2"  # LoRA behind the attention instead of inside it
STUDIES = ("encryption", "privacy")
_BASE = ("probe", "lora", "lora+patch", "full")
_PAPER = {"backbone": "vit_base_patch16_224", "epochs": 10, "batch_size": 128}
_PAPER |= {"schedule": "cosine", "weight_decay": 0.01}

# datasets: settings of each, the default one first; seeds: 1 if not said
# for encryption: ciphers, methods, adapters (ranks of targets)
# for privacy: private (settings), epsilons of each method, private_ciphers
PRESETS: dict[str, dict] = {
    "smoke": {
        "datasets": {"fashion": {"train": 128, "val": 32, "test": 100, "epochs": 1}},
        "ciphers": ("none", CIPHER_SHOWN),
        "adapters": {"q+v": (1, 4)},
        "private": {"batch_size": 64},
        "epsilons": {"lora+patch": (8.0,)},
    },
    "quick": {
        "datasets": {"fashion": {"train": 3000, "val": 500, "test": 2000, "epochs": 4}},
        "ciphers": ("none", CIPHER_SHOWN),
        "adapters": {"q+v": (4, 16), MLP: (4,)},
        "private": {"batch_size": 128},
        "epsilons": dict.fromkeys(("probe", "lora+patch"), (0.5, 2.0, 8.0)),
    },
    "full": {
        "datasets": {"fashion": {"train": 4000, "val": 2000, "test": 5000, "epochs": 4}},
        "seeds": 5,
        "ciphers": ("none", "shuffle", CIPHER_SHOWN, SCRAMBLED),
        "methods": METHODS,
        "adapters": {"q+v": (1, 2, 4, 8, 16)},
        "private": {"train": 10_000, "batch_size": 512},
        "epsilons": dict.fromkeys((*_BASE, "patch"), (0.5, 1.0, 2.0, 3.0, 8.0)),
    },
    "paper": {  # a GPU, and a network once; see paper.py
        "datasets": dict.fromkeys(("cifar10", "cifar100", "imagenette"), _PAPER),
        "ciphers": ("none", "shuffle", "scramble+shuffle"),
        "methods": ("lora", "lora+patch", "full"),
        "private": {"batch_size": 1024},
        "epsilons": dict.fromkeys(("lora+patch", "full"), (2.0, 8.0)),
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
    ``datasets`` are some of the preset's, a list or joined by commas, and ``seeds`` so many from 0;
    None means the preset's own.
    """
    check_choice("preset", preset, PRESETS)
    check_choice("study", study, STUDIES)
    settings = PRESETS[preset]
    seeds = settings.get("seeds", 1) if seeds is None else seeds
    check_number("seeds", seeds, least=1, most=1000, whole=True)
    allowed = settings["datasets"]
    datasets = [*allowed][:1] if datasets is None else datasets
    datasets = tuple(datasets.split(",") if isinstance(datasets, str) else datasets)
    if not datasets or not allowed.keys() >= {*datasets}:
        raise ValueError(f"datasets={datasets!r}: allowed: one or more of {tuple(allowed)}")
    make = {"encryption": _encryption, "privacy": _privacy}[study]
    bases = (
        Experiment.from_settings(dataset=dataset, seed=seed, **allowed[dataset])
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
    base = base.replace(**settings["private"])
    ciphers = settings.get("private_ciphers", ("none",))
    for cipher, (method, epsilons) in product(ciphers, settings["epsilons"].items()):
        like = base.replace(cipher=cipher, method=method)
        yield from (like.replace(epsilon=epsilon) for epsilon in epsilons)
        yield like.replace(noise_multiplier=0.0)
