"""Peak learning rate of each part, by method: searched for on validation images, never on test."""

import csv
import math
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

RATES = files("lorakit.experiments") / "rates.csv"  # made by experiments.search_rates

Rates = dict[str, float]  # of each part that trains

# For larger backbones, and for what was never searched: what is usual for ViT-B/16.
USUAL: dict[str, Rates] = {
    "probe": {"head": 1e-2},
    "patch": {"head": 1e-3, "patch_embed": 1e-3},
    "bitfit": {"head": 1e-3, "backbone": 1e-3, "patch_embed": 1e-3},
    "lora": {"head": 1e-3, "lora": 1e-3},
    "lora+patch": {"head": 1e-3, "lora": 1e-3, "patch_embed": 1e-3},
    "full": {"head": 1e-3, "backbone": 5e-5, "patch_embed": 1e-3},
}

# Small backbones under differential privacy, where no search was made: set by hand.
PRIVATE: dict[str, Rates] = {
    "bitfit": {"head": 1e-2, "backbone": 1e-2, "patch_embed": 1e-2},
    "lora": {"head": 2e-2, "lora": 2e-2},
    "full": {"head": 1e-2, "backbone": 1e-2, "patch_embed": 1e-2},
}
_SMALL = ("vit_micro", "vit_mini")


def tuned_rates(settings: Mapping[str, object]) -> Rates:
    """The rates of an experiment with these settings (see ``Experiment.settings``).

    On a small backbone those of a searched cell: of all with the same method, and privacy or none,
    the one on the same data set and backbone, with most of its other settings in common. On a
    larger one, or where none was searched, a table above.
    """
    wanted = {n: _plain(value) for n, value in settings.items() if not n.startswith("lr_")}

    def likeness(cell: Mapping[str, object]) -> tuple:
        same = {name for name, value in wanted.items() if cell.get(name) == value}
        return "dataset" in same, "backbone" in same, len(same)

    method, private = settings["method"], _private(wanted)
    small = settings["backbone"].split(".")[0] in _SMALL
    alike = [c for c in searched_rates() if c["method"] == method and _private(c) == private]
    if small and alike:
        best = max(alike, key=likeness)
        return {name[3:]: float(v) for name, v in best.items() if name.startswith("lr_") and v}
    if method == "lora+patch+pos":
        rates = tuned_rates({**settings, "method": "lora+patch"})
        return rates | {"position": rates["patch_embed"]}
    rates = PRIVATE[method] if small and private and method in PRIVATE else USUAL[method]
    whole = private and method == "full"  # then the position has a part of its own
    return rates | ({"position": rates["backbone"]} if whole else {})


@lru_cache(maxsize=1)
def searched_rates() -> list[dict[str, str | float]]:
    """The lines of the file of searched rates."""
    lines = csv.DictReader(RATES.read_text().splitlines()) if RATES.is_file() else ()
    return [{name: _plain(value) for name, value in line.items()} for line in lines]


def _private(settings: Mapping[str, object]) -> bool:
    return settings["epsilon"] != math.inf or settings.get("noise_multiplier", "") != ""


def _plain(value: object) -> str | float:
    """A setting as it is, or as a table holds it, in one form."""
    try:
        return str(value) if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return str(value or "")
