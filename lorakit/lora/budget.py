"""What a method trains, before it does; and what a trained adapter learned."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import pandas as pd
import torch
from timm.models.vision_transformer import VisionTransformer

from lorakit.lora.adapter_file import read_adapter
from lorakit.lora.lora import LAYERS, check_targets
from lorakit.lora.tensors import refuse
from lorakit.lora.vit import create_backbone


def trained_by_method(backbone: str, targets: Iterable[str]) -> dict[str, tuple[int, int]]:
    """What a method trains with ten classes: the numbers without LoRA, and those of each rank.

    Counted without building: LoRA on a map from a to b numbers trains r (a + b).
    """
    targets, model = check_targets(targets), shapes(backbone)
    ends = 0  # a + b of all targets in a block
    for layer, slices in LAYERS.items():
        linear = model.blocks[0].get_submodule(layer)
        width = linear.in_features + linear.out_features // len(slices)
        ends += width * len(set(slices) & set(targets))
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    head, embedding = (
        sum(size for name, size in sizes.items() if name.startswith(part))
        for part in ("head", "patch_embed")
    )
    biases = sum(size for name, size in sizes.items() if name.endswith("bias"))
    lora = ends * len(model.blocks)
    return {
        "probe": (head, 0),
        "patch": (head + embedding, 0),
        "bitfit": (biases + sizes["head.weight"], 0),
        "lora": (head, lora),
        "lora+patch": (head + embedding, lora),
        "full": (sum(sizes.values()), 0),
    }


@lru_cache(maxsize=8)
def shapes(backbone: str) -> VisionTransformer:
    """A backbone without values, on the meta device."""
    with torch.device("meta"):
        return create_backbone(backbone, pretrained=False)


def singular_values(adapter: str | Path) -> pd.DataFrame:
    """Singular values of every update ΔW = (alpha / r) B A in an adapter file.

    Columns ``block``, ``target``, ``index`` (from 1 to r) and ``value``, largest first.
    """
    header, tensors = read_adapter(adapter)
    lines = []
    for name, a in tensors.items():
        if name.endswith(".A.weight") and (b := tensors.get(f"{name[:-9]}.B.weight")) is not None:
            try:
                if not a.ndim == b.ndim == 2:
                    raise TypeError("A and B are matrices")
                block, target = int(name.split(".")[1]), name.split(".")[-3]
                update = header["alpha"] / header["rank"] * b @ a  # ΔW (out, in)
                values = torch.linalg.svdvals(update.double())[: len(a)].tolist()
            except (TypeError, ValueError, ArithmeticError, RuntimeError, IndexError) as error:
                raise refuse(adapter, f"alpha, rank or {name!r}: {error}") from None
            lines += [(block, target, i, value) for i, value in enumerate(values, start=1)]
    if not lines:
        raise refuse(adapter, "it holds no LoRA; allowed: an adapter that does")
    return pd.DataFrame(lines, columns=["block", "target", "index", "value"])
