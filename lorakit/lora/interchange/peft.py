"""LoRA adapters in the format of Hugging Face PEFT.

PEFT adapts timm's fused qkv as one map from d to 3 d numbers. Our updates of q, k and v, each of
rank r, are one such update of rank n r, n the number of slices adapted: their A stacked, their B
along a diagonal of blocks; alpha grows likewise, so that the scale alpha / r stays. The other way
round, every slice gets PEFT's whole A and its own rows of B. Either way the function is the same.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from lorakit.lora.adapter_file import describe
from lorakit.lora.interchange.foreign import apply_updates, refuse
from lorakit.lora.lora import LoRALinear, lora_layers
from lorakit.lora.tensors import read_tensors
from lorakit.runtime import write_atomic

_LAYER = re.compile(r"blocks\.(\d+)\.(attn\.qkv|attn\.proj|mlp\.fc1|mlp\.fc2)")
_PREFIX = "base_model.model."
_SAVED = ("head", "patch_embed")
_QKV = ("q", "k", "v")


def export_peft(model: VisionTransformer, folder: str | Path) -> Path:
    """Write ``adapter_config.json`` and ``adapter_model.safetensors`` as PEFT reads them.

    With it: ``peft.PeftModel.from_pretrained(timm.create_model(...), folder)``.

    Raises:
        ValueError: no method with LoRA was applied, one PEFT cannot hold (a position update), or
            merged LoRA.
    """
    from safetensors.torch import save

    found = describe(model)
    if found["method"] not in ("lora", "lora+patch"):
        raise ValueError(f"method={found['method']!r}: allowed: 'lora' or 'lora+patch'")
    tensors, ranks, alphas = {}, {}, {}
    for name, layer in lora_layers(model):
        a, b = _fused(layer)
        tensors[f"{_PREFIX}{name}.lora_A.weight"] = a
        tensors[f"{_PREFIX}{name}.lora_B.weight"] = b
        ranks[name], alphas[name] = len(a), found["alpha"] * len(a) / found["rank"]
    saved = [part for part in _SAVED if part == "head" or found["method"] == "lora+patch"]
    for part in saved:
        for name, value in model.get_submodule(part).named_parameters():
            tensors[f"{_PREFIX}{part}.{name}"] = value.detach()
    names = sorted({re.escape(name.split(".", 2)[2]) for name in ranks})
    blocks = sorted({int(name.split(".")[1]) for name in ranks})
    first = next(iter(ranks))
    config = {
        "peft_type": "LORA", "task_type": None, "bias": "none", "inference_mode": True,
        "base_model_name_or_path": found["backbone"], "fan_in_fan_out": False,
        "r": ranks[first], "lora_alpha": alphas[first], "lora_dropout": 0.0,
        "rank_pattern": {n: r for n, r in ranks.items() if r != ranks[first]},
        "alpha_pattern": {n: a for n, a in alphas.items() if a != alphas[first]},
        "target_modules": rf"blocks\.({'|'.join(map(str, blocks))})\.({'|'.join(names)})",
        "modules_to_save": saved, "use_rslora": False, "use_dora": False,
    }  # fmt: skip
    folder = Path(folder)
    content = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    write_atomic(save(content, {"format": "pt"}), folder / "adapter_model.safetensors")
    write_atomic(json.dumps(config, indent=2) + "\n", folder / "adapter_config.json")
    return folder


def import_peft(folder: str | Path, model: VisionTransformer) -> VisionTransformer:
    """Put a LoRA adapter of PEFT on a fresh ViT; everything is checked before it is changed.

    Args:
        folder: with ``adapter_config.json`` and ``adapter_model.safetensors``.
        model: a timm ViT with its pre-trained weights and as many classes as the adapter.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: not LoRA, a variant that is more than alpha / r B A, layers or shapes that do
            not fit, or a damaged file. The model is then as it was.
    """
    folder = Path(folder)
    try:
        config = json.loads((folder / "adapter_config.json").read_text())
    except ValueError as error:
        raise refuse(folder, f"adapter_config.json is not JSON ({error})") from None
    wanted = {"peft_type": "LORA", "use_dora": False, "bias": "none", "fan_in_fan_out": False}
    for name, value in wanted.items():
        if not isinstance(config, dict) or config.get(name, value) != value:
            raise refuse(folder, f"{name} is not {value!r}")
    tensors, _ = read_tensors(folder / "adapter_model.safetensors")
    layers: dict[str, dict[str, Tensor]] = {}
    rest = {}
    for name, value in tensors.items():
        plain = name.removeprefix(_PREFIX)
        layer, _, leaf = plain.partition(".lora_")
        if leaf in ("A.weight", "B.weight") and _LAYER.fullmatch(layer):
            layers.setdefault(layer, {})[leaf[0]] = value
        elif plain.split(".")[0] in _SAVED:
            rest[plain] = value
        else:
            raise refuse(folder, f"tensor {name!r} has no place here")
    updates = {}
    for name, pair in layers.items():
        if set(pair) != {"A", "B"} or pair["A"].ndim != 2 or pair["B"].ndim != 2:
            raise refuse(folder, f"layer {name!r} has no matrices A and B")
        scale = _scale(folder, config, name, len(pair["A"]))
        parts = pair["B"].chunk(3) if name.endswith("qkv") else (pair["B"],)
        slices = _QKV if name.endswith("qkv") else (name.split(".")[-1],)
        for slice_, b in zip(slices, parts):
            updates[name, slice_] = (pair["A"], scale * b)
    return apply_updates(folder, model, updates, rest)


def _fused(layer: LoRALinear) -> tuple[Tensor, Tensor]:
    """One update for the whole layer: A (n r, in), B (out, n r)."""
    updates = [(i, layer.updates[s]) for i, s in enumerate(layer.slices) if s in layer.updates]
    width = layer.base.out_features // len(layer.slices)
    rank = updates[0][1].A.out_features
    a = torch.cat([update.A.weight for _, update in updates])
    b = a.new_zeros(layer.base.out_features, len(a))
    for place, (i, update) in enumerate(updates):
        b[width * i : width * (i + 1), rank * place : rank * (place + 1)] = update.B.weight
    return a, b


def _scale(folder: Path, config: dict, name: str, rank: int) -> float:
    """PEFT's alpha / r, or alpha / √r with rank-stabilised LoRA."""
    alpha = config.get("lora_alpha")
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        if name == pattern or name.endswith(f".{pattern}"):
            alpha = value
    if not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
        raise refuse(folder, f"lora_alpha={alpha!r} is not a number")
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
