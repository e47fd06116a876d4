"""Low-rank adaptation (LoRA) for timm Vision Transformers, from scratch.

A frozen linear map W gets a trainable update of rank r (Hu et al. 2021, arXiv 2106.09685, eq. 3):

    h = W x + (alpha / r) B A x,    A: (r, in), B: (out, r), B = 0 at the start.

The verbs: ``add_lora``, ``merge_lora``, ``unmerge_lora``, ``remove_lora``, ``lora_layers``.
"""

import math
from collections.abc import Iterable, Iterator
from itertools import product

import torch
from timm.layers import PatchEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from lorakit.checks import check_choice, check_number, checked

LAYERS = {  # of a block: what each part of its output is called; timm fuses q, k and v into one
    "attn.qkv": ("q", "k", "v"),
    "attn.proj": ("proj",),
    "mlp.fc1": ("fc1",),
    "mlp.fc2": ("fc2",),
}
TARGETS = tuple(target for slices in LAYERS.values() for target in slices)


class LoRA(nn.Module):
    """The update alone: x (..., in) to (alpha / r) B A x (..., out).

    A and B are bias-free ``nn.Linear`` modules, not raw parameters: Opacus then finds a fast
    per-example gradient for each.

    >>> update = LoRA(8, 6, rank=2, alpha=4)
    >>> update.A.weight.shape, update.B.weight.shape, update.scale
    (torch.Size([2, 8]), torch.Size([6, 2]), 2.0)
    """

    @checked
    def __init__(self, in_features: int, out_features: int, rank: int, alpha: float) -> None:
        super().__init__()
        check_number("in_features", in_features, least=1, most=1e6, whole=True)
        check_number("out_features", out_features, least=1, most=1e6, whole=True)
        check_number("rank", rank, least=1, most=min(in_features, out_features), whole=True)
        check_number("alpha", alpha, above=0, most=1e6)
        self.A = nn.Linear(in_features, rank, bias=False)
        self.B = nn.Linear(rank, out_features, bias=False)
        self.scale = float(alpha / rank)  # a checkpoint knows no numbers of NumPy
        nn.init.kaiming_uniform_(self.A.weight, a=math.sqrt(5))  # PyTorch's default of nn.Linear
        nn.init.zeros_(self.B.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.B(self.A(x)) * self.scale

    def delta_weight(self) -> Tensor:
        """The update as a matrix: ΔW = (alpha / r) B A, shape (out, in), rank at most r."""
        return self.scale * self.B.weight @ self.A.weight


class LoRALinear(nn.Module):
    """A linear map (in) to (out) with low-rank updates on equal slices of its output.

    A plain layer has one slice. timm computes q, k and v in one map to 3 d numbers: first those of
    q, then of k, then of v, so that each is a third of the output and may have its own update.

    ``slices`` are the names of the slices, in order; ``updates`` for some or all of them, by name.
    """

    @checked
    def __init__(self, base: nn.Linear, slices: tuple[str, ...], updates: dict[str, LoRA]) -> None:
        super().__init__()
        if not set(updates) <= set(slices) or not slices or base.out_features % len(slices):
            raise ValueError(f"updates for {list(updates)}: allowed: equal slices, {slices}")
        self.base, self.slices, self.merged = base, slices, False
        self.width = base.out_features // len(slices)
        self.updates = nn.ModuleDict(updates)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) if self.merged else self.base(x) + self.update(x)

    def update(self, x: Tensor) -> Tensor:
        """What LoRA adds to the output: (..., in) to (..., out), zero in slices without it."""
        zero = x.new_zeros(()).expand(*x.shape[:-1], self.width)
        parts = [self.updates[s](x) if s in self.updates else zero for s in self.slices]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    def delta_weight(self) -> Tensor:
        """ΔW of the whole layer, shape (out, in)."""
        zero = self.base.weight.new_zeros(self.width, self.base.in_features)
        parts = [self.updates[s].delta_weight() if s in self.updates else zero for s in self.slices]
        return torch.cat(parts)


@checked
def lora_layers(model: nn.Module) -> Iterator[tuple[str, LoRALinear]]:
    """Every adapted layer of a model, with its name.

    >>> from timm.models.vision_transformer import VisionTransformer
    >>> vit = VisionTransformer(img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2)
    >>> [name for name, _ in lora_layers(add_lora(vit, targets=["q", "fc2"], rank=2))]
    ['blocks.0.attn.qkv', 'blocks.0.mlp.fc2']
    """
    for name, module in model.named_modules():
        if isinstance(module, LoRALinear):
            yield name, module


@checked
def add_lora(
    model: VisionTransformer,
    targets: Iterable[str] = ("q", "v"),
    rank: int = 4,
    alpha: float | None = None,
    blocks: Iterable[int] | None = None,
) -> VisionTransformer:
    """Add LoRA to a ViT in place, and return it. The outputs do not change until it trains.

    What trains is left alone, see ``vit.apply_method``. After an error the model is as it was.

    Args:
        model: a timm ``VisionTransformer`` without LoRA.
        targets: which linear maps, any of ``TARGETS``.
        rank: r, from 1 to the narrowest width of the targets.
        alpha: the scale is alpha / r; None means 2 r.
        blocks: indices of the blocks to adapt; None means all.
    """
    check_fresh(model)
    targets = check_targets(targets)
    alpha = 2 * rank if alpha is None else alpha
    depth = len(model.blocks)
    chosen = range(depth) if blocks is None else sorted(set(blocks))
    if not chosen or not set(chosen) <= set(range(depth)):
        raise ValueError(f"blocks={list(chosen)}: allowed: one or more of 0 to {depth - 1}")
    added = {}
    for i, (layer, slices) in product(chosen, LAYERS.items()):
        name = f"blocks.{i}.{layer}"
        if wanted := [s for s in slices if s in targets]:
            base = dict(model.named_modules()).get(name)
            if not isinstance(base, nn.Linear):
                raise ValueError(f"targets={slices}: this model has no linear map {name!r}")
            size = base.in_features, base.out_features // len(slices)
            updates = {s: LoRA(*size, rank, alpha).to(base.weight) for s in wanted}
            added[name] = LoRALinear(base, slices, updates)
    for name, layer in added.items():
        model.set_submodule(name, layer)
    return model


@checked
def merge_lora(model: nn.Module) -> nn.Module:
    """Fold every update into its base weight, W + ΔW: same outputs, no extra cost to run."""
    return _shift(model, +1)


@checked
def unmerge_lora(model: nn.Module) -> nn.Module:
    """Undo ``merge_lora``, up to rounding, so that the updates can train on."""
    return _shift(model, -1)


@checked
def remove_lora(model: nn.Module) -> nn.Module:
    """Put the plain linear maps back. Merged updates stay in the weights, others are dropped."""
    for name, layer in list(lora_layers(model)):
        model.set_submodule(name, layer.base)
    return model


def check_vit(model: nn.Module) -> None:
    """Raise TypeError unless it is a timm ViT with a linear patch embedding and one head."""
    linear = isinstance(getattr(model, "patch_embed", None), PatchEmbed)
    if not isinstance(model, VisionTransformer) or not linear or hasattr(model, "head_dist"):
        raise TypeError(
            f"model={type(model).__name__}: allowed: a timm VisionTransformer with a linear patch "
            "embedding and one head, for example timm.create_model('vit_base_patch16_224')"
        )


def check_fresh(model: nn.Module) -> None:
    """As ``check_vit``, and raise ValueError if it has LoRA."""
    check_vit(model)
    if next(lora_layers(model), None):
        raise ValueError("model: it has LoRA already; call remove_lora(model) first")


def check_targets(targets: str | Iterable[str]) -> tuple[str, ...]:
    """One or more of ``TARGETS``, each once; ValueError for anything else."""
    targets = (targets,) if isinstance(targets, str) else tuple(targets)
    for target in targets:
        check_choice("targets", target, TARGETS)
    if not targets:
        raise ValueError(f"targets={targets}: allowed: one or more of {TARGETS}")
    return tuple(dict.fromkeys(targets))


@torch.no_grad()
def _shift(model: nn.Module, sign: int) -> nn.Module:
    """Add (+1) or subtract (-1) ΔW wherever that is not the state already."""
    layers = [layer for _, layer in lora_layers(model)]
    if not layers:
        raise ValueError("model: it has no LoRA; call add_lora(model) first")
    for layer in layers:
        if layer.merged != (sign > 0):
            layer.base.weight += sign * layer.delta_weight()
            layer.merged = sign > 0
    return model
