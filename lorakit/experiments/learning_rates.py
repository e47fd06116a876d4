"""Peak learning rate of each part, by method: chosen by ``python -m lorakit.experiments.tune``.

Chosen on a validation split, never on test; every candidate is in figures/results/tuning.csv.
"""

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


def tuned_rates(
    method: str,
    targets: str | None,
    rank: int | None,
    *,
    private: bool,
    backbone: str = "vit_micro",
) -> dict[str, float]:
    """The rates of an experiment that names none of its own.

    For another backbone than ``vit_micro`` they are ``LARGE_LEARNING_RATES``, private or not, which
    are what is usual for ViT-B/16 and were not tuned here.

    ``lora+patch+pos`` takes those of ``lora+patch``, and the patch embedding's for the position.
    """
    if method == "lora+patch+pos":
        rates = tuned_rates("lora+patch", targets, rank, private=private, backbone=backbone)
        return rates | {"position": rates["patch_embed"]}
    if backbone != "vit_micro":
        rates = LARGE_LEARNING_RATES[method]
        whole = private and method == "full"  # then the position has a part of its own
        return rates | ({"position": rates["backbone"]} if whole else {})
    if private:
        return PRIVATE_LEARNING_RATES[method]
    return _TUNED_APART.get((method, targets, rank), LEARNING_RATES[method])
