"""Backbones: create a Vision Transformer, choose what trains, count it."""

from collections.abc import Iterable

import timm
import torch
from timm.models import is_model_pretrained
from timm.models.vision_transformer import VisionTransformer
from torch import nn

import lorakit.lora.backbones  # noqa: F401  (registers vit_micro with timm)
from lorakit.checks import check_choice, check_number, checked
from lorakit.lora.lora import add_lora, check_fresh, check_vit
from lorakit.lora.position import RAW, add_position_update, check_position

PARTS = ("head", "lora", "patch_embed", "position", "backbone")
_TRAINS = {  # method: the parts that train
    "probe": ("head",),
    "patch": ("head", "patch_embed"),
    "bitfit": ("head",),  # and every bias
    "lora": ("head", "lora"),
    "lora+patch": ("head", "lora", "patch_embed"),
    "lora+patch+pos": ("head", "lora", "patch_embed", "position"),
    "full": PARTS,
}
METHODS = tuple(_TRAINS)


@checked
def create_backbone(
    name: str = "vit_micro", classes: int = 10, *, pretrained: bool = True, **kwargs
) -> VisionTransformer:
    """A timm ``VisionTransformer`` by name, with a new linear head for 2 or more classes.

    The weights of ``vit_micro`` are shipped, timm downloads others; ``pretrained=False`` leaves the
    model at its random start. More arguments are passed to timm, for example ``img_size``.
    """
    check_number("classes", classes, least=2, most=100_000, whole=True)
    check_backbone("name", name)
    with torch.device("meta"):  # a ViT, and arguments that fit? No weights are needed to tell
        check_vit(timm.create_model(name, num_classes=classes, **kwargs))
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=classes, **kwargs)
    except Exception as error:
        if not pretrained or name == "vit_micro":
            raise
        raise RuntimeError(
            f"name={name!r}: its pre-trained weights could not be loaded ({error}). Without a "
            "network use name='vit_micro', whose weights ship with lorakit. With one, run once "
            "to fill timm's cache. pretrained=False gives random weights."
        ) from error


def check_backbone(argument: str, name: str) -> None:
    """Raise ValueError unless timm knows the model, and the weights if the name has a tag."""
    if not timm.is_model(name) or ("." in name and not is_model_pretrained(name)):
        raise ValueError(
            f"{argument}={name!r}: allowed: 'vit_micro' or a ViT that timm knows, such as "
            "'vit_base_patch16_224'; timm.list_models('vit_*') lists them"
        )


@checked
def apply_method(
    model: VisionTransformer,
    method: str,
    *,
    targets: Iterable[str] = ("q", "v"),
    rank: int | None = 4,
    alpha: float | None = None,
    blocks: Iterable[int] | None = None,
    freeze_a: bool = False,
    private: bool = False,
) -> VisionTransformer:
    """Add what a method adds, freeze what it freezes; in place, and return the model.

    ``probe`` trains the head; ``patch`` the head and the patch embedding; ``bitfit`` the head and
    every bias (Zaken et al. 2021, arXiv 2106.10199); ``lora`` the head and LoRA (MeLo: Zhu et al.
    2023, arXiv 2311.08236); ``lora+patch`` the patch embedding too (Lin et al. 2025, arXiv
    2507.11943); ``lora+patch+pos`` an update of the position embedding as well; ``full`` all.

    Args:
        model: a timm ViT.
        method: one of ``METHODS``.
        targets, rank, alpha, blocks: see ``add_lora``; methods without LoRA ignore them.
        freeze_a: train only B, A stays at its random start (FFA-LoRA: Sun et al. 2024, arXiv
            2403.12313). Then ΔW is linear in what trains, and fewer numbers get noise.
        private: make ``full`` ready for DP: the position embedding and the class token train
            through a ``PositionUpdate``, to the same effect, as they are only added.
    """
    check_fresh(model)
    check_choice("method", method, METHODS)
    update_position = method == "lora+patch+pos" or (method == "full" and private)
    if update_position:
        check_position(model)  # before anything is changed
    settings = {"method": method, "targets": [], "rank": None, "alpha": None, "blocks": None}
    settings |= {"freeze_a": freeze_a and method.startswith("lora")}
    if method.startswith("lora"):
        targets = [targets] if isinstance(targets, str) else list(targets)
        blocks = None if blocks is None else sorted(blocks)
        add_lora(model, targets, rank, alpha, blocks)
        alpha = 2 * rank if alpha is None else alpha
        settings |= {"targets": targets, "rank": int(rank), "alpha": alpha, "blocks": blocks}
    model.adaptation = settings | {"private": private}  # for save_adapter
    if update_position:
        add_position_update(model)
    for name, parameter in model.named_parameters():
        trains = part_of(name) in _TRAINS[method]
        trains |= method == "bitfit" and name.endswith(".bias")
        trains &= not (update_position and name in RAW) and not (freeze_a and ".A." in name)
        parameter.requires_grad_(trains)
    return model


def part_of(name: str) -> str:
    """Which of ``PARTS`` a parameter belongs to, by its name.

    >>> part_of("blocks.0.attn.qkv.updates.q.A.weight"), part_of("blocks.0.norm1.bias")
    ('lora', 'backbone')
    """
    first = name.split(".")[0]
    if first in ("head", "patch_embed"):
        return first
    if first == "pos_drop":
        return "position"
    return "lora" if ".updates." in name else "backbone"


@checked
def count_parameters(model: nn.Module) -> dict[str, int]:
    """Parameters: ``total``, ``trainable``, and the trainable ones of each part."""
    groups = parts(model)
    counts = {part: sum(p.numel() for p in groups.get(part, ())) for part in PARTS}
    total = sum(p.numel() for p in model.parameters())
    return {"total": total, "trainable": sum(counts.values()), **counts}


def parts(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The trainable parameters of each part; parts with none are left out."""
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(part_of(name), []).append(parameter)
    return groups
