"""Peak learning rate of each part, by method: chosen on validation images, never on test.

Those in ``rates.csv`` go before the tables here, which ``experiments.tune`` made.
"""

from __future__ import annotations

import csv
import math
from functools import lru_cache
from importlib.resources import files
from operator import eq

RATES = files("lorakit.experiments") / "rates.csv"  # made by experiments.search_rates

Rates = dict[str, float]  # of each part that trains

LEARNING_RATES: dict[str, Rates] = {
    "probe": {"head": 3e-2},
    "patch": {"head": 5e-3, "patch_embed": 4e-3},
    "bitfit": {"head": 2e-2, "backbone": 2e-2, "patch_embed": 2e-2},
    "lora": {"head": 5e-3, "lora": 5e-3},
    "lora+patch": {"head": 2e-3, "lora": 2e-3, "patch_embed": 4e-3},
    "full": {"head": 5e-4, "backbone": 5e-4, "patch_embed": 4e-3},
}

# The same under differential privacy.
PRIVATE_LEARNING_RATES: dict[str, Rates] = {
    "probe": {"head": 3e-2},
    "patch": {"head": 2e-2, "patch_embed": 1e-2},
    "bitfit": {"head": 1e-2, "backbone": 1e-2, "patch_embed": 1e-2},  # as full; not tuned apart
    "lora": {"head": 2e-2, "lora": 2e-2},
    "lora+patch": {"head": 2e-2, "lora": 2e-2, "patch_embed": 1e-2},
    "full": {"head": 1e-2, "backbone": 1e-2, "patch_embed": 1e-2, "position": 1e-2},
}

# For larger backbones: what is usual for ViT-B/16, not tuned here.
LARGE_LEARNING_RATES: dict[str, Rates] = {
    "probe": {"head": 1e-2},
    "patch": {"head": 1e-3, "patch_embed": 1e-3},
    "bitfit": {"head": 1e-3, "backbone": 1e-3, "patch_embed": 1e-3},
    "lora": {"head": 1e-3, "lora": 1e-3},
    "lora+patch": {"head": 1e-3, "lora": 1e-3, "patch_embed": 1e-3},
    "full": {"head": 1e-3, "backbone": 5e-5, "patch_embed": 1e-3},
}

# More rank, or targets that reach further, want smaller steps: (method, targets, rank).
_TUNED_APART: dict[tuple, Rates] = {
    ("lora", "q+v", 16): {"head": 2e-3, "lora": 2e-3},
    ("lora", "proj+fc1+fc2", 4): {"head": 2e-3, "lora": 2e-3},
}

_SMALL = ("vit_micro", "vit_mini")  # architectures for which the first two tables are meant


def tuned_rates(
    dataset: str,
    backbone: str,
    cipher: str,
    method: str,
    targets: str | None = None,
    rank: int | None = None,
    freeze_a: bool | None = None,
    epsilon: float | None = None,
) -> Rates:
    """The rates of an experiment that names none of its own; ``epsilon=None`` is no privacy.

    Of all searched cells with this data set, backbone, method and privacy or none, the one with
    most of the other settings in common; where none was searched, a table above.
    """
    alike = searched_rates().get((dataset, backbone, method, epsilon is not None))
    if alike:
        wanted = (cipher, targets, rank, bool(freeze_a), epsilon)
        return alike[max(alike, key=lambda cell: sum(map(eq, cell, wanted)))]
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
def searched_rates() -> dict[tuple, dict[tuple, Rates]]:
    """The file of searched rates: what ``tuned_rates`` needs in common, other settings, rates."""
    found: dict[tuple, dict[tuple, Rates]] = {}
    for line in csv.DictReader(RATES.read_text().splitlines()) if RATES.is_file() else ():
        epsilon = float(line["epsilon"])
        epsilon = epsilon if epsilon < math.inf else None
        rank = int(float(line["rank"])) if line["rank"] else None
        task = (line["dataset"], line["backbone"], line["method"], epsilon is not None)
        cell = (line["cipher"], line["targets"] or None, rank, line["freeze_a"] == "True", epsilon)
        rates = {n[3:]: float(rate) for n, rate in line.items() if n.startswith("lr_") and rate}
        found.setdefault(task, {})[cell] = rates
    return found
