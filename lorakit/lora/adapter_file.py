"""What a method trained, as one small file: safetensors with a JSON header, no pickle, no code.

It holds whatever trained or was added, and never an encryption key. A digest covers every byte: a
damaged file is refused, where else it would be a model with other answers.
"""

import copy
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from lorakit.checks import checked
from lorakit.lora.lora import check_fresh, check_vit, lora_layers
from lorakit.lora.tensors import UNSEALED, check_tensors, read_tensors, refuse, write_tensors
from lorakit.lora.vit import apply_method, create_backbone, part_of
from lorakit.runtime import versions

_FIELDS = {"backbone": str, "classes": list, "base": str}
_SETTINGS = ("method", "targets", "rank", "alpha", "blocks", "freeze_a", "private")


@checked
def save_adapter(
    model: VisionTransformer, path: str | Path, *, classes: Sequence[str] | None = None
) -> Path:
    """Write what ``apply_method`` made trainable, in one step; returns the path.

    ``classes`` names the logits in their order; None means by number. LoRA must not be merged.
    """
    header = {"digest": UNSEALED, "format": 2, **describe(model), "versions": versions()}
    number = model.head.out_features
    header["classes"] = list(map(str, range(number) if classes is None else classes))
    if len(header["classes"]) != number:
        raise ValueError(f"classes={classes!r}: allowed: {number} names, one for each logit")
    tensors = _stored(model)
    if broken := [n for n, t in tensors.items() if not t.isfinite().all()]:
        raise ValueError(f"model: {broken} hold values that are not finite")
    write_tensors(tensors, {"lorakit": json.dumps(header)}, path)
    return Path(path)


@checked
def read_adapter(path: str | Path) -> tuple[dict, dict[str, Tensor]]:
    """The header and the tensors of an adapter file, checked as far as that needs no model."""
    tensors, metadata = read_tensors(path)
    try:
        header = json.loads(metadata["lorakit"])
    except (ValueError, KeyError, RecursionError) as error:
        raise refuse(path, f"not an adapter of lorakit, or damaged ({error})") from None
    if not isinstance(header, dict) or header.get("format") != 2:
        raise refuse(path, "its header is not one of format 2")
    header.setdefault("freeze_a", False)  # files from before there was a choice
    wrong = [name for name in _SETTINGS if name not in header]
    wrong += [name for name, kind in _FIELDS.items() if not isinstance(header.get(name), kind)]
    if wrong:
        raise refuse(path, f"header fields {wrong} are missing or of another type")
    digest = str(header.pop("digest", ""))
    content = Path(path).read_bytes().replace(digest.encode(), UNSEALED.encode(), 1)
    if hashlib.sha256(content).hexdigest() != digest:
        raise refuse(path, "it was damaged or changed after it was written")
    return header, tensors


@checked
def load_adapter(
    path: str | Path, model: VisionTransformer | None = None, *, check_base: bool = True
) -> VisionTransformer:
    """Put an adapter on a fresh backbone, and return it; a ValueError leaves the model as it was.

    ``model`` has its pre-trained weights and no method; None creates it by the name in the file,
    which may download weights. ``check_base`` refuses other frozen weights than in training.
    """
    header, tensors = read_adapter(path)
    classes = len(header["classes"])
    if model is None:
        try:
            model = create_backbone(header["backbone"], classes)
        except (ValueError, TypeError) as error:
            raise refuse(path, str(error)) from None
    check_fresh(model)
    if (name := _name(model)).split(".")[0] != header["backbone"].split(".")[0]:
        raise refuse(path, f"made for backbone {header['backbone']!r}, not {name!r}")
    if (number := model.head.out_features) != classes:
        raise refuse(path, f"made for {classes} classes, the model has {number}")
    settings = {name: header[name] for name in _SETTINGS}
    return put_adapter(path, model, settings, tensors, header["base"] if check_base else None)


def put_adapter(
    path: str | Path,
    model: VisionTransformer,
    settings: dict,
    tensors: dict[str, Tensor],
    base: str | None = None,
) -> VisionTransformer:
    """Apply a method and fill in what it trains; a ValueError leaves the model as it was.

    ``settings`` are for ``apply_method``, ``tensors`` every parameter that will train, by name;
    ``path`` is for messages. ``base`` is the hash of the frozen weights; None does not check them.
    """
    try:
        skeleton = apply_method(copy.deepcopy(model).to("meta"), **settings)
    except (ValueError, TypeError) as error:
        raise refuse(path, f"its settings do not fit the model: {error}") from None
    check_tensors(path, tensors, _stored(skeleton))
    if base is not None and _fingerprint(model, skeleton) != base:
        raise refuse(path, "the frozen weights of this model are not those it was trained on")
    apply_method(model, **settings)
    with torch.no_grad():
        for name, parameter in _stored(model).items():
            parameter.copy_(tensors[name])
    return model


def describe(model: VisionTransformer) -> dict:
    """Backbone, hash of its frozen weights, and the method with its settings."""
    check_vit(model)
    settings = getattr(model, "adaptation", None)
    layers = [layer for _, layer in lora_layers(model)]
    if not settings or bool(layers) != settings["method"].startswith("lora"):
        raise ValueError("model: no method was applied; call apply_method(model, method) first")
    if any(layer.merged for layer in layers):
        raise ValueError("model: its LoRA is merged into the backbone; call unmerge_lora first")
    base = _fingerprint(model, model)
    return {"backbone": _name(model), "base": base, **settings}


def _name(model: VisionTransformer) -> str:
    """For ``create_backbone``: timm's architecture, and the tag of its weights."""
    made = getattr(model, "pretrained_cfg", {"architecture": type(model).__name__})
    return ".".join(made[part] for part in ("architecture", "tag") if made.get(part))


def _stored(model: nn.Module) -> dict[str, nn.Parameter]:
    """What trains, and LoRA's A even where it is frozen: it was drawn at random."""
    everything = model.named_parameters()
    return {name: p for name, p in everything if p.requires_grad or part_of(name) == "lora"}


def _fingerprint(model: nn.Module, adapted: nn.Module) -> str:
    """A hash of the weights of a model, with LoRA or without, that are frozen in an adapted one."""
    stored = {_plain(name) for name in _stored(adapted)}
    digest = hashlib.sha256()
    for name, parameter in sorted((_plain(n), p) for n, p in model.named_parameters()):
        if name not in stored:
            digest.update(f"{name} {tuple(parameter.shape)} ".encode())
            digest.update(parameter.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _plain(name: str) -> str:
    """A parameter's name in the backbone without LoRA."""
    return name.replace(".base.", ".")
