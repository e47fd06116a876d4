"""Adapters of other projects: Hugging Face PEFT's, and the files of LoRA-ViT and MeLo.

PEFT's format is written here and read by PEFT itself, which adapts timm's fused qkv as one map. Our
updates of n of its slices, each of rank r, are one of rank n r: their A stacked, their B along a
diagonal of blocks, the same scale. The other way round, every slice gets PEFT's whole A and its own
rows of B. The function is the same.
"""

import copy
import json
import re
from itertools import product
from pathlib import Path

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from lorakit.checks import check_choice, check_number
from lorakit.lora.adapter_file import describe, put_adapter
from lorakit.lora.lora import LAYERS, LoRA, LoRALinear, check_fresh, lora_layers
from lorakit.lora.tensors import check_tensors, read_tensors, refuse, write_tensors
from lorakit.runtime import write_atomic

_WHOLE = ("head", "patch_embed")  # parts that an adapter may bring as a whole
_PREFIX = "base_model.model."
_TENSORS, _CONFIG = "adapter_model.safetensors", "adapter_config.json"
_READ = """peft_type task_type auto_mapping base_model_name_or_path revision inference_mode
peft_version r lora_alpha lora_dropout target_modules exclude_modules modules_to_save use_rslora
rank_pattern alpha_pattern layers_to_transform layers_pattern init_lora_weights eva_config
qalora_group_size""".split()  # settings of PEFT that leave an update alpha / r B A, or mean nothing
_STARTS = (True, False, "gaussian", "orthogonal", "eva")  # others change the frozen weights


def export_peft(model: VisionTransformer, folder: str | Path) -> Path:
    """Write the two files of an adapter, for ``peft.PeftModel.from_pretrained(vit, folder)``.

    PEFT cannot hold a position update, and LoRA must not be merged.
    """
    found = describe(model)
    check_choice("method", found["method"], ("lora", "lora+patch"))
    tensors, ranks = {}, {}
    for name, layer in lora_layers(model):
        a, b = _fused(layer)
        tensors[f"{_PREFIX}{name}.lora_A.weight"] = a
        tensors[f"{_PREFIX}{name}.lora_B.weight"] = b
        ranks[name] = len(a)
    saved = [part for part in _WHOLE if part == "head" or found["method"] == "lora+patch"]
    for part in saved:
        for name, value in model.get_submodule(part).named_parameters():
            tensors[f"{_PREFIX}{part}.{name}"] = value
    rank = next(iter(ranks.values()))
    others = {name: r for name, r in ranks.items() if r != rank}
    scale = found["alpha"] / found["rank"]
    blocks = sorted({int(name.split(".")[1]) for name in ranks})
    layers = sorted({re.escape(name.split(".", 2)[2]) for name in ranks})
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": found["backbone"],
        "inference_mode": True,
        "r": rank,
        "lora_alpha": scale * rank,
        "rank_pattern": others,
        "alpha_pattern": {name: scale * r for name, r in others.items()},
        "target_modules": rf"blocks\.({'|'.join(map(str, blocks))})\.({'|'.join(layers)})",
        "modules_to_save": saved,
    }
    write_tensors(tensors, {"format": "pt"}, Path(folder) / _TENSORS)
    write_atomic(json.dumps(config, indent=2) + "\n", Path(folder) / _CONFIG)
    return Path(folder)


@torch.no_grad()
def import_peft(folder: str | Path, model: VisionTransformer) -> VisionTransformer:
    """Put a LoRA adapter of PEFT on a fresh ViT; everything is checked before it is changed.

    PEFT (``pip install peft``) reads the adapter onto a copy of the model. Its updates become ours,
    and what it merges must be what ours merge. An adapter that is more than alpha / r B A in linear
    maps of the blocks, a head and a patch embedding is a ValueError that names what is more.
    """
    check_fresh(model)
    folder = Path(folder)
    _check_config(folder)
    if not (folder / _TENSORS).exists() and (folder / "adapter_model.bin").exists():
        raise refuse(folder, f"adapter_model.bin can run code; allowed: {_TENSORS}")
    tensors, _ = read_tensors(folder / _TENSORS)
    loaded = _load_with_peft(folder, copy.deepcopy(model), tensors)
    updates = {}  # A (r, in) and B (out, r), the scale in B
    for name, layer in loaded.named_modules():
        if hasattr(layer, "lora_A") and name.split(".", 4)[-1] in LAYERS:
            a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
            updates[name.removeprefix(_PREFIX)] = a, layer.scaling["default"] * b
    merged = dict(loaded.merge_and_unload().named_parameters())
    whole = {name.removeprefix(_PREFIX).split(".")[0] for name in tensors} & set(_WHOLE)
    ours = {name: p for name, p in merged.items() if name.split(".")[0] in whole | {"head"}}
    for name, value in model.named_parameters():
        if pair := updates.get(name.removesuffix(".weight")):
            value = value + pair[1] @ pair[0]
        gap = (merged[name] - ours.get(name, value)).abs().max()
        if not gap < 1e-5 * (1 + value.abs().max()):  # not a number is refused too
            raise refuse(folder, f"it changes {name!r}, and not by alpha / r B A")
    if not updates:
        raise refuse(folder, "it holds no LoRA for the blocks")
    settings, updates = _as_ours(updates, model)
    settings["method"] = "lora+patch" if "patch_embed" in whole else "lora"
    return put_adapter(folder, model, settings, ours | updates)


def import_lora_vit(
    path: str | Path, model: VisionTransformer, *, scale: float = 1.0
) -> VisionTransformer:
    """Put a file of LoRA-ViT or MeLo on a fresh ViT (q and v of every block).

    (github.com/JamesQFreeman/LoRA-ViT; MeLo: arXiv 2311.08236, ``.safetensors``.)

    The file holds ``w_a_000``, ``w_b_000``, ... (q and v in turn) and ``fc_{d}in_{c}out``, but
    neither alpha nor the head's bias, which becomes zero. ``scale`` is what its project multiplies
    B A by: 1 in LoRA-ViT, ``alpha // r`` in MeLo, in whole numbers, so that alpha below r trains
    nothing.
    """
    check_number("scale", scale)
    check_fresh(model)
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


def _check_config(folder: Path) -> None:
    """Refuse by name what makes more of an adapter than alpha / r B A, known to PEFT or not."""
    try:
        config = json.loads((folder / _CONFIG).read_text())
    except (ValueError, RecursionError) as error:
        raise refuse(folder, f"{_CONFIG} is not JSON ({error})") from None
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise refuse(folder, "its peft_type is not 'LORA'")
    check_number("lora_alpha", config.get("lora_alpha", 8))
    check_choice("init_lora_weights", config.get("init_lora_weights", True), _STARTS)
    default = _peft().LoraConfig()
    for name, value in config.items():
        if name not in _READ and value and value != getattr(default, name, None):
            raise refuse(folder, f"{name}={value!r} is more than alpha / r B A")


def _load_with_peft(folder: Path, model: VisionTransformer, tensors: dict) -> nn.Module:
    """The model wrapped by PEFT, with the adapter's tensors in it."""
    peft = _peft()
    try:
        config = peft.PeftConfig.from_pretrained(str(folder))
        with torch.device("meta"):  # a rank takes no memory before the file is seen to have it
            loaded = peft.PeftModel(model, config)
        wanted = peft.get_peft_model_state_dict(loaded, save_embedding_layers=False)
    except Exception as error:
        raise refuse(folder, f"PEFT does not read it ({error})") from error
    check_tensors(folder, tensors, wanted)
    peft.set_peft_model_state_dict(loaded, tensors, low_cpu_mem_usage=True)
    return loaded


def _as_ours(updates: dict, model: VisionTransformer) -> tuple[dict, dict[str, Tensor]]:
    """Settings of ``apply_method`` and tensors by name; what is not adapted stays as it starts."""
    blocks = sorted({int(name.split(".")[1]) for name in updates})
    layers = [layer for layer in LAYERS if any(name.endswith(layer) for name in updates)]
    targets = [target for layer in layers for target in LAYERS[layer]]
    rank = max(len(a) for a, _ in updates.values())
    tensors = {}
    for block, layer in product(blocks, layers):
        name = f"blocks.{block}.{layer}"
        weight = model.get_submodule(name).weight
        a, b = updates.get(name, (weight[:0], weight[:, :0]))
        for target, rows in zip(LAYERS[layer], b.chunk(len(LAYERS[layer]))):
            ours = LoRA(a.shape[1], len(rows), rank, rank).to(weight)
            ours.A.weight[: len(a)] = a
            ours.B.weight[:, : len(a)] = rows
            tensors |= {f"{name}.updates.{target}.{n}": p for n, p in ours.named_parameters()}
    return {"targets": targets, "rank": rank, "alpha": rank, "blocks": blocks}, tensors


def _peft():
    try:
        import peft
    except ImportError as error:
        raise ImportError("adapters of PEFT are read by PEFT itself: pip install peft") from error
    return peft


def _fused(layer: LoRALinear) -> tuple[Tensor, Tensor]:
    """One update for the whole layer: A (n r, in), B (out, n r)."""
    a = torch.cat([update.A.weight for update in layer.updates.values()])
    none, has = a.new_zeros(layer.width, 0), layer.updates
    return a, torch.block_diag(*(has[s].B.weight if s in has else none for s in layer.slices))
