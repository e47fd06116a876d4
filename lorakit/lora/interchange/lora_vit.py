"""The files of LoRA-ViT (github.com/JamesQFreeman/LoRA-ViT) and MeLo (arXiv 2311.08236)."""

from pathlib import Path

import torch
from timm.models.vision_transformer import VisionTransformer

from lorakit.checks import check_number
from lorakit.lora.adapter_file import put_adapter
from lorakit.lora.lora import check_vit
from lorakit.lora.tensors import read_tensors, refuse


def import_lora_vit(
    path: str | Path, model: VisionTransformer, *, scale: float = 1.0
) -> VisionTransformer:
    """Put a ``.safetensors`` file of LoRA-ViT or MeLo on a fresh ViT (q and v of every block).

    The file holds ``w_a_000``, ``w_b_000``, ... (q and v in turn) and ``fc_{d}in_{c}out``, but
    neither alpha nor the head's bias, which becomes zero. ``scale`` is what its project multiplies
    B A by: 1 in LoRA-ViT, ``alpha // r`` in MeLo, in whole numbers, so that alpha below r trains
    nothing.
    """
    check_number("scale", scale)
    check_vit(model)
    tensors, _ = read_tensors(path)
    names = {f"fc_{model.head.in_features}in_{model.head.out_features}out": "head.weight"}
    for i in range(2 * len(model.blocks)):
        update = f"blocks.{i // 2}.attn.qkv.updates.{'qv'[i % 2]}"
        names |= {f"w_a_{i:03d}": f"{update}.A.weight", f"w_b_{i:03d}": f"{update}.B.weight"}
    if missing := sorted(names.keys() - tensors.keys()):
        raise refuse(path, f"tensors missing: {missing[:4]}")
    rank = tensors["w_a_000"].numel() // model.embed_dim
    settings = {"method": "lora", "targets": ["q", "v"], "rank": rank, "alpha": rank}
    ours = {names.get(n, n): scale * t if n.startswith("w_b") else t for n, t in tensors.items()}
    ours["head.bias"] = torch.zeros(model.head.out_features)
    return put_adapter(path, model, settings, ours)
