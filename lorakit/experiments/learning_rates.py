"""Peak learning rate of each part, by method: chosen by ``python -m lorakit.experiments.tune``.

Chosen on a validation split, never on test; every candidate is in figures/results/tuning.csv. The
rates in ``rates.csv`` go before these: each was searched for on the task it is used for.
"""

from __future__ import annotations

import csv
import math
from functools import lru_cache
from importlib.resources import files
from operator import eq

RATES = files("lorakit.experiments") / "rates.csv"  # made by experiments.search_rates

LEARNING_RATES: dict[str, dict[str, float]] = {
    "probe": {"head": 3e-2},
    "patch": {"head": 5e-3, "patch_embed": 4e-3},
    "bitfit": {"head": 2e-2, "backbone": 2e-2, "patch_embed": 2e-2},
    "lora": {"head": 5e-3, "lora": 5e-3},
    "lora+patch": {"head": 2e-3, "lora": 2e-3, "patch_embed": 4e-3},
    "full": {"head": 5e-4, "backbone": 5e-4, "patch_embed": 4e-3},
}

# The same under differential privacy.
PRIVATE_LEARNING_RATES: dict[str, dict[str, float]] = {
    "probe": {"head": 3e-2},
    "patch": {"head": 2e-2, "patch_embed": 1e-2},
    "bitfit": {"head": 1e-2, "backbone": 1e-2, "patch_embed": 1e-2},  # as full; not tuned apart
    "lora": {"head": 2e-2, "lora": 2e-2},
    "lora+patch": {"head": 2e-2, "lora": 2e-2, "patch_embed": 1e-2},
    "full": {"head": 1e-2, "backbone": 1e-2, "patch_embed": 1e-2, "position": 1e-2},
}

# For backbones that are larger: usual values, not tuned.
LARGE_LEARNING_RATES: dict[str, dict[str, float]] = {
    "probe": {"head": 1e-2},
    "patch": {"head": 1e-3, "patch_embed": 1e-3},
    "bitfit": {"head": 1e-3, "backbone": 1e-3, "patch_embed": 1e-3},
    "lora": {"head": 1e-3, "lora": 1e-3},
    "lora+patch": {"head": 1e-3, "lora": 1e-3, "patch_embed": 1e-3},
    "full": {"head": 1e-3, "backbone": 5e-5, "patch_embed": 1e-3},
}

# More rank, or targets that reach further, want smaller steps: (method, targets, rank).
_TUNED_APART: dict[tuple[str, str | None, int | None], dict[str, float]] = {
    ("lora", "q+v", 16): {"head": 2e-3, "lora": 2e-3},
    ("lora", "proj+fc1+fc2", 4): {"head": 2e-3, "lora": 2e-3},
}


_SMALL = ("vit_micro", "vit_mini")  # architectures for which the first two tables are meant


def tuned_rates(
    dataset: str, backbone: str, cipher: str, method: str, targets: str | None = None,
    rank: int | None = None, freeze_a: bool | None = None, epsilon: float | None = None,
) -> dict[str, float]:  # fmt: skip
    """The rates of an experiment that names none of its own.

    Those found by ``experiments.search_rates`` for this data set, backbone and method, of the cell
    that has most of the other settings in common; where none was searched, those of the tables
    above, which for large backbones are what is usual for ViT-B/16 and were not tuned here. An
    ``epsilon`` of None is no privacy.

    ``lora+patch+pos`` takes those of ``lora+patch`` there, and the patch embedding's for the
    position.
    """
    wanted = (cipher, targets, rank, bool(freeze_a), epsilon)
    alike = {
        key: rates
        for (*cell, private, key), rates in searched_rates()
        if cell == [dataset, backbone, method] and private == (epsilon is not None)
    }
    if alike:
        return alike[max(alike, key=lambda key: sum(map(eq, key, wanted)))]
    if method == "lora+patch+pos":
        rates = tuned_rates(dataset, backbone, cipher, "lora+patch", targets, rank, None, epsilon)
        return rates | {"position": rates["patch_embed"]}
    if backbone.split(".")[0] not in _SMALL:
        rates = LARGE_LEARNING_RATES[method]
        whole = epsilon is not None and method == "full"  # then the position has a part of its own
        return rates | ({"position": rates["backbone"]} if whole else {})
    if epsilon is not None:
        return PRIVATE_LEARNING_RATES[method]
    return _TUNED_APART.get((method, targets, rank), LEARNING_RATES[method])


@lru_cache(maxsize=1)
def searched_rates() -> list[tuple[tuple, dict[str, float]]]:
    """The file of searched rates: what a line is for, and its rates by part."""
    if not RATES.is_file():
        return []
    found = []
    for line in csv.DictReader(RATES.read_text().splitlines()):
        epsilon, rank = float(line["epsilon"]), line["rank"]
        epsilon = epsilon if epsilon < math.inf else None
        key = (line["cipher"], line["targets"] or None, int(float(rank)) if rank else None)
        key += (line["freeze_a"] == "True", epsilon)
        cell = (line["dataset"], line["backbone"], line["method"], epsilon is not None, key)
        rates = {n[3:]: float(rate) for n, rate in line.items() if n.startswith("lr_") and rate}
        found.append((cell, rates))
    return found
