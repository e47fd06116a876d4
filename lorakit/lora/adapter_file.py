"""What a method trained, as one small file: safetensors with a JSON header, no pickle, no code.

The file holds LoRA's matrices, the patch embedding, the position update, the head with its bias:
whatever trained, and nothing that did not. Encryption keys are never part of it.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from lorakit.lora.lora import check_vit, lora_layers
from lorakit.lora.tensors import read_tensors
from lorakit.lora.vit import apply_method, create_backbone
from lorakit.runtime import versions, write_atomic

_SETTINGS = ("method", "targets", "rank", "alpha", "blocks", "private")
_FIELDS = {"format": int, "backbone": str, "classes": list, "base": str, "method": str,
           "targets": list, "rank": (int, type(None)), "alpha": (float, int, type(None)),
           "blocks": (list, type(None)), "private": bool}  # fmt: skip


def save_adapter(
    model: VisionTransformer, path: str | Path, *, classes: Sequence[str] | None = None
) -> Path:
    """Write what ``apply_method`` made trainable, atomically; returns the path.

    Args:
        model: a ViT from ``create_backbone`` with a method applied, trained or not.
        path: usually ``*.safetensors``.
        classes: names of the classes, in the order of the logits; numbers if None.

    Raises:
        ValueError: no method was applied, LoRA is merged, a weight is not finite, or as many
            names as classes were not given.
    """
    from safetensors.torch import save

    header = {"format": 1, **describe(model), "versions": versions()}
    number = model.head.out_features
    header["classes"] = list(map(str, range(number) if classes is None else classes))
    if len(header["classes"]) != number:
        raise ValueError(f"classes={classes!r}: allowed: {number} names, one for each logit")
    tensors = _trainable(model)
    if broken := [n for n, t in tensors.items() if not t.isfinite().all()]:
        raise ValueError(f"model: {broken} hold values that are not finite")
    content = {n: t.detach().cpu().contiguous() for n, t in tensors.items()}
    write_atomic(save(content, {"lorakit": json.dumps(header)}), path)
    return Path(path)


def read_adapter(path: str | Path) -> tuple[dict, dict[str, Tensor]]:
    """The header and the tensors of an adapter file, checked as far as that needs no model.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not an adapter of lorakit, or one that is damaged.
    """
    tensors, metadata = read_tensors(path)
    try:
        header = json.loads(metadata["lorakit"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _refuse(path, f"not an adapter of lorakit, or damaged ({error})") from None
    if not isinstance(header, dict) or header.get("format") != 1:
        raise _refuse(path, "its header is not one of format 1")
    for name, kind in _FIELDS.items():
        if name not in header or not isinstance(header[name], kind):
            raise _refuse(path, f"header field {name!r} is missing or of another type")
    return header, tensors


def load_adapter(
    path: str | Path, model: VisionTransformer | None = None, *, check_base: bool = True
) -> VisionTransformer:
    """Put an adapter on a fresh backbone, and return the model; everything is checked before.

    Args:
        path: a file of ``save_adapter``.
        model: the backbone with its pre-trained weights, no method applied; None creates it by
            the name in the file, which may download weights.
        check_base: refuse a backbone whose frozen weights are not those it was trained on.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a damaged file, another backbone or number of classes, a missing, extra or
            misshapen tensor, or other frozen weights. The model is then as it was.
    """
    header, tensors = read_adapter(path)
    settings = {name: header[name] for name in _SETTINGS}
    if settings["rank"] is None:
        settings |= {"rank": 1, "targets": ["q"]}  # not used by such a method
    if model is None:
        try:
            model = create_backbone(header["backbone"], len(header["classes"]))
        except (ValueError, TypeError) as error:
            raise _refuse(path, str(error)) from None
    check_vit(model)
    if next(lora_layers(model), None):
        raise ValueError("model: it has LoRA already; allowed: a fresh backbone")
    if (name := _architecture(model)) != header["backbone"]:
        raise _refuse(path, f"made for backbone {header['backbone']!r}, not {name!r}")
    if model.head.out_features != len(header["classes"]):
        number = model.head.out_features
        raise _refuse(path, f"made for {len(header['classes'])} classes, the model has {number}")
    try:
        skeleton = apply_method(_without_values(model), **settings)
    except (ValueError, TypeError) as error:
        raise _refuse(path, f"its settings do not fit the model: {error}") from None
    wanted = _trainable(skeleton)
    for problem, names in (
        ("missing", wanted.keys() - tensors.keys()),
        ("not expected", tensors.keys() - wanted.keys()),
        ("of another shape", [n for n in wanted.keys() & tensors.keys()
                              if wanted[n].shape != tensors[n].shape]),
    ):  # fmt: skip
        if names:
            raise _refuse(path, f"tensors {problem}: {sorted(names)[:4]}")
    frozen = {_plain(n) for n, p in skeleton.named_parameters() if not p.requires_grad}
    if check_base and _fingerprint(model, frozen) != header["base"]:
        raise _refuse(path, "the frozen weights of this model are not those it was trained on")
    apply_method(model, **settings)
    with torch.no_grad():
        for name, parameter in _trainable(model).items():
            parameter.copy_(tensors[name])
    return model


def describe(model: VisionTransformer) -> dict:
    """Backbone, hash of its frozen weights, and the method with its settings.

    Raises:
        ValueError: no method was applied, or LoRA is merged.
    """
    check_vit(model)
    settings = getattr(model, "adaptation", None)
    layers = [layer for _, layer in lora_layers(model)]
    if not settings or bool(layers) != settings["method"].startswith("lora"):
        raise ValueError("model: no method was applied; call apply_method(model, method) first")
    if any(layer.merged for layer in layers):
        raise ValueError("model: its LoRA is merged into the backbone; call unmerge_lora first")
    frozen = {_plain(n) for n, p in model.named_parameters() if not p.requires_grad}
    return {"backbone": _architecture(model), "base": _fingerprint(model, frozen), **settings}


def _architecture(model: VisionTransformer) -> str:
    return getattr(model, "pretrained_cfg", {}).get("architecture", type(model).__name__)


def _trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def _plain(name: str) -> str:
    """A parameter's name in the backbone without LoRA."""
    return name.replace(".base.", ".")


def _fingerprint(model: nn.Module, frozen: set[str]) -> str:
    """A hash of the frozen weights, LoRA or not."""
    digest = hashlib.sha256()
    for name, parameter in sorted((_plain(n), p) for n, p in model.named_parameters()):
        if name in frozen:
            digest.update(f"{name} {tuple(parameter.shape)} ".encode())
            digest.update(parameter.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _without_values(model: VisionTransformer) -> VisionTransformer:
    """A copy on the meta device: names and shapes only."""
    memo = {id(p): nn.Parameter(torch.empty_like(p, device="meta")) for p in model.parameters()}
    memo |= {id(b): torch.empty_like(b, device="meta") for b in model.buffers()}
    return copy.deepcopy(model, memo)


def _refuse(path: str | Path, reason: str) -> ValueError:
    return ValueError(f"path={str(path)!r}: {reason}")
