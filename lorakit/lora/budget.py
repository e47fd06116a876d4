"""What an adapter costs before it is trained: parameters, disk, memory; and what it learned."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from lorakit.checks import check_number
from lorakit.lora.adapter_file import read_adapter
from lorakit.lora.lora import LAYERS, check_targets
from lorakit.lora.vit import create_backbone

_FLOAT32 = 4  # bytes


@dataclass(frozen=True)
class Budget:
    """Trainable parameters of ``lora`` or ``lora+patch``, and what follows from them.

    ``total`` is the backbone with its head, LoRA not included.
    """

    lora: int
    patch_embed: int
    head: int
    total: int

    @property
    def trainable(self) -> int:
        return self.lora + self.patch_embed + self.head

    @property
    def share(self) -> float:
        """Of the backbone's parameters, 0 to 1."""
        return self.trainable / self.total

    @property
    def adapter_bytes(self) -> int:
        """Of the weights in an adapter file, in float32."""
        return _FLOAT32 * self.trainable

    @property
    def optimizer_bytes(self) -> int:
        """Gradients and Adam's two moments, in float32."""
        return 3 * _FLOAT32 * self.trainable

    def private_bytes(self, batch: int) -> int:
        """A gradient for every example of a physical batch, in float32."""
        return _FLOAT32 * self.trainable * batch


def budget(
    backbone: str,
    rank: int,
    targets: Iterable[str] = ("q", "v"),
    *,
    blocks: int | None = None,
    patch_embed: bool = True,
    freeze_a: bool = False,
    classes: int = 10,
) -> Budget:
    """Count without building: LoRA on a map from a to b numbers trains r (a + b); A frozen, r b.

    ``blocks`` is how many blocks get LoRA, None means all; ``patch_embed`` whether the patch
    embedding trains too; for the others see ``vit.apply_method``.
    """
    targets = check_targets(targets)
    model = shapes(backbone)
    depth = len(model.blocks)
    blocks = depth if blocks is None else blocks
    check_number("rank", rank, least=1, most=model.embed_dim, whole=True)
    check_number("blocks", blocks, least=1, most=depth, whole=True)
    check_number("classes", classes, least=2, whole=True)
    ends = 0  # a + b of all targets in a block
    for layer, slices in LAYERS.items():
        linear = model.blocks[0].get_submodule(layer)
        width = linear.out_features // len(slices) + (0 if freeze_a else linear.in_features)
        ends += width * len(set(slices) & set(targets))
    head = model.embed_dim * classes + classes
    rest = _count(model) - _count(model.head)
    embedding = _count(model.patch_embed) if patch_embed else 0
    return Budget(rank * ends * blocks, embedding, head, rest + head)


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
            update = header["alpha"] / header["rank"] * b @ a  # ΔW (out, in)
            values = torch.linalg.svdvals(update.double())[: header["rank"]].tolist()
            block, target = int(name.split(".")[1]), name.split(".")[-3]
            lines += [(block, target, i, value) for i, value in enumerate(values, start=1)]
    if not lines:
        raise ValueError(f"adapter={str(adapter)!r}: it holds no LoRA; allowed: one that does")
    return pd.DataFrame(lines, columns=["block", "target", "index", "value"])


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
