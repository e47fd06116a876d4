"""The files of LoRA-ViT (github.com/JamesQFreeman/LoRA-ViT) and MeLo (arXiv 2311.08236)."""

from __future__ import annotations

from pathlib import Path

import torch
from timm.models.vision_transformer import VisionTransformer

from lorakit.lora.interchange.foreign import apply_updates, refuse
from lorakit.lora.lora import check_vit
from lorakit.lora.tensors import read_tensors


def import_lora_vit(
    path: str | Path, model: VisionTransformer, *, scale: float = 1.0
) -> VisionTransformer:
    """Put a ``.safetensors`` file of LoRA-ViT or MeLo on a fresh ViT (q and v of every block).

    Such a file holds neither alpha nor the head's bias. LoRA-ViT adds B A as it is (scale 1);
    MeLo multiplies by ``alpha // r``, in whole numbers, so that alpha below r trains nothing.
    The head's bias becomes zero.

    Args:
        path: with tensors ``w_a_000``, ``w_b_000``, ... (q and v in turn) and ``fc_{d}in_{c}out``.
        model: a timm ViT with its pre-trained weights and c classes.
        scale: what the file's project multiplies the update by.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a damaged file, other tensors, or shapes that do not fit. The model is then
            as it was.
    """
    tensors, _ = read_tensors(path)
    check_vit(model)
    updates, rest = {}, {}
    for i in range(2 * len(model.blocks)):
        pair = [tensors.pop(f"w_{letter}_{i:03d}", None) for letter in "ab"]
        if any(t is None or t.ndim != 2 for t in pair):
            raise refuse(path, f"w_a_{i:03d} or w_b_{i:03d} is missing, for q and v of each block")
        updates[f"blocks.{i // 2}.attn.qkv", "qv"[i % 2]] = (pair[0], scale * pair[1])
    head = model.head
    name = f"fc_{head.in_features}in_{head.out_features}out"
    if set(tensors) != {name}:
        raise refuse(path, f"expected the head {name!r} beside LoRA, found {sorted(tensors)}")
    rest = {"head.weight": tensors[name], "head.bias": torch.zeros(head.out_features)}
    return apply_updates(path, model, updates, rest)
