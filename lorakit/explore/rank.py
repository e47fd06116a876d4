"""How many parameters an adapter trains, what that costs, and what rank a trained one uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import ipywidgets as widgets
from matplotlib.ticker import EngFormatter

from lorakit.checks import checked
from lorakit.explore.explorer import Controls, Explorer, dropdown, log_slider, notches, slider
from lorakit.explore.view import View, bullets, new_axes, new_figure
from lorakit.figures.style import OTHER_COLOURS, TRAINABLE, style
from lorakit.lora.backbones import EXAMPLE_ADAPTER
from lorakit.lora.budget import budget, shapes, singular_values
from lorakit.lora.lora import TARGETS

_SIZES = ("tiny", "small", "base", "large")
BACKBONES = ("vit_micro", *(f"vit_{size}_patch16_224" for size in _SIZES))
_RANKS = (1, 2, 4, 8, 16, 32, 64)


def rank_view(
    *,
    backbone: str = "vit_base_patch16_224",
    rank: int = 4,
    alpha: float = 8.0,
    targets: Sequence[str] = ("q", "v"),
    blocks: int = 12,
    patch_embed: bool = True,
    classes: int = 10,
    batch: int = 64,
) -> View:
    """Bars of what trains, and what it costs on disk and in memory; see ``lora.budget.budget``."""
    cost = budget(backbone, rank, targets, blocks=blocks, patch_embed=patch_embed, classes=classes)
    sizes = {"patch embedding": cost.patch_embed, "LoRA": cost.lora, "head": cost.head}
    with style():
        figure = new_figure(height=2.6)
        ax = new_axes(figure)
        figure.subplots_adjust(left=0.28, right=0.72)
        look = {"color": (TRAINABLE, "#D55E00", "#009E73"), "height": 0.6}
        ax.barh(range(3), sizes.values(), tick_label=list(sizes), **look)
        for place, size in enumerate(sizes.values()):
            text = f" {size:,} ({size / cost.trainable:.0%})" if size else " frozen"
            ax.text(size, place, text, va="center")
        ax.set(xlabel="trainable parameters", xlim=(0, 1.02 * max(sizes.values())))
        ax.invert_yaxis()
        ax.grid(False, axis="y")
        ax.locator_params(axis="x", nbins=3)
        ax.xaxis.set_major_formatter("{x:,.0f}")
    finding = (
        f"{'lora+patch' if patch_embed else 'lora'}, r = {rank} on {', '.join(targets)}: "
        f"{cost.trainable:,} of {cost.total:,} parameters train, {cost.share:.2%}"
    )
    size = EngFormatter("B", places=1)
    notes = [
        f"Scale alpha / r = {alpha / rank:.3g}; it changes how far a step goes, not what trains.",
        f"The adapter on disk: {size(cost.adapter_bytes)} (the whole model: "
        f"{size(4 * cost.total)}).",
        f"Gradients and Adam's moments: {size(cost.optimizer_bytes)} (full fine-tuning: "
        f"{size(12 * cost.total)}).",
        f"Under DP, a gradient for each of {batch} examples: {size(cost.private_bytes(batch))} "
        f"(full fine-tuning: {size(4 * batch * cost.total)}).",
    ]
    return View(figure, finding, lambda: bullets(notes))


def singular_view(*, adapter: str | Path) -> View:
    """Singular values of every trained update ΔW in a file, each over the largest of its map."""
    values = singular_values(adapter)
    rank = int(values["index"].max())
    with style():
        figure = new_figure(height=3.4)
        ax = new_axes(figure)
        for (target, mine), colour in zip(values.groupby("target", sort=False), OTHER_COLOURS):
            lines = mine.pivot(index="index", columns="block", values="value")
            lines = (lines / lines.max()).clip(lower=1e-6)
            drawn = ax.plot(lines.index, lines, color=colour, alpha=0.75)
            drawn[0].set_label(target)
        ax.set(yscale="log", ylabel="over the largest one")
        ax.set(xlabel="index of the singular value", xlim=(0.7, rank + 0.3))
        ax.legend(title="ΔW of, a line for each block", ncol=len(TARGETS), loc="lower left")
    square, few = values["value"] ** 2, max(1, rank // 4)
    share = square[values["index"] <= few].sum() / square.sum()
    finding = (
        f"Trained at rank {rank}: the first {few} singular value{'s' * (few > 1)} of each update "
        f"hold {share:.0%} of its size (squared)"
    )
    return View(figure, finding)


def rank_explorer() -> Explorer:
    """Explore what rank, targets and blocks cost in any ViT."""
    targets = {"description": "targets", "tooltip": "Linear maps with LoRA; several with Ctrl"}
    patch = "The paper's method; without it, plain LoRA"
    memory = "Examples in memory at a time, under DP"
    alphas, batches = (1, *(2 * r for r in _RANKS)), (1, 8, 16, 32, 64, 128, 256)
    controls = {
        "backbone": dropdown("model", BACKBONES, BACKBONES[3], hint="The Vision Transformer"),
        "rank": notches("rank r", _RANKS, 4, hint="Rank of LoRA's updates"),
        "alpha": notches("alpha", alphas, 8, hint="LoRA's scale is alpha / r"),
        "targets": widgets.SelectMultiple(options=TARGETS, value=("q", "v"), rows=6, **targets),
        "blocks": slider("blocks", 1, 12, 12, hint="How many blocks get LoRA"),
        "patch_embed": widgets.Checkbox(
            True, description="train the patch embedding", tooltip=patch
        ),
        "classes": log_slider("classes", 1, 3, 10, hint="Classes of the head"),
        "batch": notches("physical batch", batches, 64, hint=memory),
    }
    return Explorer(rank_view, controls, rules=_rules)


def _rules(controls: Controls) -> str:
    blocks, depth = controls["blocks"], len(shapes(controls["backbone"].value).blocks)
    whole = blocks.value == blocks.max
    blocks.max = depth
    if whole:
        blocks.value = depth
    return "" if controls["targets"].value else "Choose at least one target."


@checked
def singular_explorer(adapters: Mapping[str, str | Path] | None = None) -> Explorer:
    """Explore the singular values of trained adapters, by name; the default ships with lorakit."""
    adapters = adapters or {"encrypted clothes, r = 16": EXAMPLE_ADAPTER}
    options = [(name, str(path)) for name, path in adapters.items()]
    controls = {"adapter": dropdown("adapter", options, hint="A trained adapter's file")}
    return Explorer(singular_view, controls)
