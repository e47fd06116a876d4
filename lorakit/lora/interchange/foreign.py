"""Put updates from elsewhere on a ViT, after everything about them was checked."""

from __future__ import annotations

from pathlib import Path

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from lorakit.lora.lora import check_vit, lora_layers
from lorakit.lora.vit import apply_method


def apply_updates(
    path: str | Path,
    model: VisionTransformer,
    updates: dict[tuple[str, str], tuple[Tensor, Tensor]],
    rest: dict[str, Tensor],
) -> VisionTransformer:
    """Check every shape, then add LoRA of scale 1 and fill it.

    Args:
        path: where it came from, for messages.
        model: a fresh ViT.
        updates: A (r, in) and B (out, r), scale included, by the name of the layer and its slice.
        rest: other parameters by their names, such as ``head.weight``.

    Raises:
        ValueError: something does not fit. The model is then as it was.
    """
    check_vit(model)
    if next(lora_layers(model), None):
        raise ValueError("model: it has LoRA already; allowed: a fresh backbone")
    targets = sorted({target for _, target in updates})
    blocks = sorted({int(name.split(".")[1]) for name, _ in updates})
    if len(updates) != len(targets) * len(blocks):
        raise refuse(path, "not every adapted block has the same targets")
    ranks = {len(a) for a, _ in updates.values()}
    rank = max(ranks, default=0)
    if not updates:
        raise refuse(path, "it holds no LoRA")
    modules = dict(model.named_modules())
    for (name, target), (a, b) in updates.items():
        base = modules.get(name)
        if base is None:
            raise refuse(path, f"layer {name!r} is not in this model")
        width = base.out_features // (3 if name.endswith("qkv") else 1)
        if a.shape[1] != base.in_features or tuple(b.shape) != (width, len(a)):
            raise refuse(path, f"shapes of {name!r}, {target}, do not fit this model")
    parameters = dict(model.named_parameters())
    for name, value in rest.items():
        if name not in parameters or parameters[name].shape != value.shape:
            raise refuse(path, f"tensor {name!r} does not fit this model")
    whole = {name for name in parameters if name.split(".")[0] in {n.split(".")[0] for n in rest}}
    if missing := whole - set(rest):
        raise refuse(path, f"tensors {sorted(missing)} are missing")
    method = "lora+patch" if any(name.startswith("patch_embed") for name in rest) else "lora"
    apply_method(model, method, targets=targets, rank=rank, alpha=rank, blocks=blocks)
    with torch.no_grad():
        for (name, target), (a, b) in updates.items():
            update = model.get_submodule(name).updates[target]
            update.A.weight[: len(a)] = a
            update.B.weight[:, : len(a)] = b  # ranks that are missing stay zero
        for name, value in rest.items():
            parameters[name].copy_(value)
    return model


def refuse(path: str | Path, reason: str) -> ValueError:
    """The error for a file that does not fit, with the reason."""
    return ValueError(f"path={str(path)!r}: {reason}")
