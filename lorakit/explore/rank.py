"""How many parameters an adapter trains, what that costs, and what rank a trained one uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import ipywidgets as widgets

from lorakit.explore.explorer import Explorer, dropdown, log_slider, slider
from lorakit.explore.view import View, bullets, new_axes, new_figure
from lorakit.figures.style import OTHER_COLOURS, TRAINABLE, style
from lorakit.lora.backbones import EXAMPLE_ADAPTER
from lorakit.lora.budget import Budget, budget, shapes, singular_values
from lorakit.lora.lora import TARGETS

BACKBONES = ("vit_micro", "vit_tiny_patch16_224", "vit_small_patch16_224",
             "vit_base_patch16_224", "vit_large_patch16_224")  # fmt: skip
_RANKS = (1, 2, 4, 8, 16, 32, 64)
_PARTS = {"patch embedding": "patch_embed", "LoRA": "lora", "head": "head"}


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
    """Bars of what trains, and what it costs on disk and in memory.

    Raises:
        ValueError: what ``lora.budget.budget`` refuses.
    """
    cost = budget(backbone, rank, targets, blocks=blocks, patch_embed=patch_embed, classes=classes)
    with style():
        figure = new_figure(height=2.6)
        ax = new_axes(figure)
        figure.subplots_adjust(left=0.28, right=0.72)
        sizes = [getattr(cost, part) for part in _PARTS.values()]
        bars = ax.barh(range(3), sizes, color=(TRAINABLE, "#D55E00", "#009E73"), height=0.6)
        for bar, size in zip(bars, sizes):
            text = f" {size:,} ({size / cost.trainable:.0%})" if size else " frozen"
            ax.text(size, bar.get_y() + 0.3, text, va="center")
        ax.set_yticks(range(3), list(_PARTS))
        ax.set(xlabel="trainable parameters", xlim=(0, 1.02 * max(sizes)))
        ax.invert_yaxis()
        ax.grid(False, axis="y")
        ax.locator_params(axis="x", nbins=3)
        ax.xaxis.set_major_formatter(lambda n, _: f"{n:,.0f}")
    method = "lora+patch" if patch_embed else "lora"
    finding = (
        f"{method}, r = {rank} on {', '.join(targets)}: {cost.trainable:,} of {cost.total:,} "
        f"parameters train, {cost.share:.2%}"
    )
    return View(figure, finding, lambda: bullets(_costs(cost, rank, alpha, batch)))


def singular_view(*, adapter: str | Path) -> View:
    """Singular values of every trained update ΔW, each over the largest of its map.

    Raises:
        FileNotFoundError, ValueError: see ``lora.budget.singular_values``.
    """
    values = singular_values(adapter)
    relative = values["value"] / values.groupby(["block", "target"])["value"].transform("max")
    values = values.assign(relative=relative.clip(lower=1e-6))
    rank = values["index"].max()
    with style():
        figure = new_figure(height=3.4)
        ax = new_axes(figure)
        for target, colour in zip(dict.fromkeys(values["target"]), OTHER_COLOURS):
            for number, (_, line) in enumerate(values[values["target"] == target].groupby("block")):
                ax.plot(line["index"], line["relative"], color=colour, alpha=0.75,
                        label=target if number == 0 else None)  # fmt: skip
        ax.set(yscale="log", xlabel="index of the singular value", xlim=(0.7, rank + 0.3),
               ylabel="over the largest one")  # fmt: skip
        ax.legend(title="ΔW of, a line for each block", ncol=len(TARGETS), loc="lower left")
    energy = values.assign(square=values["value"] ** 2)
    halves = energy[energy["index"] <= max(1, rank // 4)]["square"].sum() / energy["square"].sum()
    finding = (
        f"Trained at rank {rank}: the first {max(1, rank // 4)} singular "
        f"value{'s' if rank >= 8 else ''} of each update hold {halves:.0%} of its size (squared)"
    )
    return View(figure, finding)


def rank_explorer() -> Explorer:
    """Explore what rank, targets and blocks cost in any ViT."""
    controls = {
        "backbone": dropdown("model", BACKBONES, BACKBONES[3], hint="The Vision Transformer"),
        "rank": widgets.SelectionSlider(description="rank r", options=_RANKS, value=4,
                                        tooltip="Rank of LoRA's updates"),
        "alpha": widgets.SelectionSlider(description="alpha", options=(1, *(2 * r for r in _RANKS)),
                                         value=8, tooltip="LoRA's scale is alpha / r"),
        "targets": widgets.SelectMultiple(description="targets", options=TARGETS, rows=6,
                                          value=("q", "v"),
                                          tooltip="Linear maps with LoRA; several with Ctrl"),
        "blocks": slider("blocks", 1, 12, 12, hint="How many blocks get LoRA"),
        "patch_embed": widgets.Checkbox(True, description="train the patch embedding",
                                        tooltip="The paper's method; without it, plain LoRA"),
        "classes": log_slider("classes", 1, 3, 10, hint="Classes of the head"),
        "batch": widgets.SelectionSlider(description="physical batch", value=64,
                                         options=(1, 8, 16, 32, 64, 128, 256),
                                         tooltip="Examples in memory at a time, under DP"),
    }  # fmt: skip
    return Explorer(_view, controls, rules=_rules)


def singular_explorer(adapters: Mapping[str, str | Path] | None = None) -> Explorer:
    """Explore the singular values of trained adapters, by name; the default ships with lorakit."""
    adapters = adapters or {"street, encrypted, r = 16": EXAMPLE_ADAPTER}
    options = [(name, str(path)) for name, path in adapters.items()]
    return Explorer(
        singular_view, {"adapter": dropdown("adapter", options, hint="A trained adapter's file")}
    )


def _view(*, classes: float, **chosen: object) -> View:
    return rank_view(classes=max(2, round(classes)), **chosen)


def _rules(controls: Mapping[str, widgets.Widget]) -> str:
    depth = len(shapes(controls["backbone"].value).blocks)
    whole = controls["blocks"].value == controls["blocks"].max
    controls["blocks"].max = depth
    if whole:
        controls["blocks"].value = depth
    return "" if controls["targets"].value else "Choose at least one target."


def _costs(cost: Budget, rank: int, alpha: float, batch: int) -> list[str]:
    return [
        f"Scale alpha / r = {alpha / rank:.3g}; it changes how far a step goes, not what trains.",
        f"The adapter on disk: {_size(cost.adapter_bytes)} (the whole model: "
        f"{_size(4 * cost.total)}).",
        f"Gradients and Adam's moments: {_size(cost.optimizer_bytes)} (full fine-tuning: "
        f"{_size(12 * cost.total)}).",
        f"Under DP, a gradient for each of {batch} examples: {_size(cost.private_bytes(batch))} "
        f"(full fine-tuning: {_size(4 * batch * cost.total)}).",
    ]


def _size(count: float) -> str:
    """Bytes in words.

    >>> _size(2_982_952)
    '3.0 MB'
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.1f} {unit}" if unit != "bytes" else f"{count:.0f} bytes"
        count /= 1000
    raise AssertionError
