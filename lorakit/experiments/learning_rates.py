"""Peak learning rate of each part, by method: chosen on validation images, never on test.

Those in ``rates.csv`` go before the tables here, which ``experiments.tune`` made.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

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


def tuned_rates(settings: Mapping[str, object]) -> Rates:
    """The rates of an experiment with these settings (see ``Experiment.settings``).

    Of all searched cells with the same data set, backbone, method, and privacy or none, those of
    the cell with most of its other settings in common; where none was searched, a table above.
    """
    wanted = {name: _plain(value) for name, value in settings.items()}
    others = {name for name in wanted if not name.startswith("lr_")}
    alike = [cell for cell in searched_rates() if _task(cell) == _task(wanted)]
    if alike:
        best = max(alike, key=lambda cell: sum(cell[n] == wanted[n] for n in cell if n in others))
        return {name[3:]: float(v) for name, v in best.items() if name.startswith("lr_") and v}
    method, private = settings["method"], _task(wanted)[-1]
    if method == "lora+patch+pos":
        rates = tuned_rates({**settings, "method": "lora+patch"})
        return rates | {"position": rates["patch_embed"]}
    if settings["backbone"].split(".")[0] not in _SMALL:
        rates = LARGE_LEARNING_RATES[method]
        whole = private and method == "full"  # then the position has a part of its own
        return rates | ({"position": rates["backbone"]} if whole else {})
    if private:
        return PRIVATE_LEARNING_RATES[method]
    lora = (method, settings["targets"], settings["rank"])
    return _TUNED_APART.get(lora, LEARNING_RATES[method])


@lru_cache(maxsize=1)
def searched_rates() -> list[dict[str, str | float]]:
    """The lines of the file of searched rates."""
    lines = csv.DictReader(RATES.read_text().splitlines()) if RATES.is_file() else ()
    return [{name: _plain(value) for name, value in line.items()} for line in lines]


def _task(settings: Mapping[str, object]) -> tuple:
    """What two experiments must share for the rates of one to serve the other."""
    private = settings["epsilon"] != math.inf or settings.get("noise_multiplier", "") != ""
    return (settings["dataset"], settings["backbone"], settings["method"], private)


def _plain(value: object) -> str | float:
    """A setting as it is, or as a table holds it, in one form."""
    try:
        return str(value) if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return str(value or "")
