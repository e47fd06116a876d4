"""Epsilon from noise or noise from epsilon, what delta may be, and how loud the noise is."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import ipywidgets as widgets
import numpy as np
from matplotlib.axes import Axes

from lorakit.explore.explorer import Explorer, dropdown, log_slider
from lorakit.explore.view import View, bullets, new_axes, new_figure
from lorakit.figures.style import METHOD_COLOURS, METHOD_MARKERS, style
from lorakit.lora.budget import budget
from lorakit.privacy.accountant import compute_epsilon, find_noise_multiplier
from lorakit.privacy.curves import Quick, quick_noise

SHOWS = ("ε against steps", "ε against δ", "noise against gradient")
_SURE = 0.4  # seconds without a move before the slow, tight accountant is asked


def privacy_view(
    *,
    examples: int = 10_000,
    batch: int = 256,
    epochs: int = 5,
    known: str = "epsilon",
    epsilon: float = 2.0,
    noise_multiplier: float = 1.0,
    delta: float = 1e-5,
    show: str = SHOWS[0],
    tight: float | None = None,
) -> View:
    """What a private training promises, by two quick accountants and, if given, a tight one.

    Args:
        examples, batch, epochs: N, the expected batch (at most N), and passes over the data.
        known: ``epsilon`` or ``noise_multiplier``, the other follows from it.
        delta: above 0 and below 1; from 1/N on the promise is empty, and the picture says so.
        show: one of ``SHOWS``.
        tight: the answer of the PRV accountant to the same question, once it is there.

    Raises:
        ValueError: an argument out of range.
    """
    if not 1 <= batch <= examples:
        raise ValueError(f"batch={batch}: allowed: 1 to N = {examples}")
    if show not in SHOWS or known not in ("epsilon", "noise_multiplier"):
        raise ValueError(f"show={show!r}, known={known!r}: allowed: {SHOWS}, epsilon or noise...")
    rate, steps = batch / examples, epochs * math.ceil(examples / batch)
    sigma = quick_noise(epsilon, rate, steps, delta) if known == "epsilon" else noise_multiplier
    quick = Quick(sigma, rate)
    spent = quick.rdp(steps, delta)
    with style():
        figure = new_figure(height=4.0, below=1.05)
        ax = new_axes(figure)
        if show == SHOWS[0]:
            _against_steps(ax, quick, steps, delta)
            if tight is not None and known == "noise_multiplier":
                ax.plot([steps], [tight], "o", color="#0072B2", label="PRV, tight")
        elif show == SHOWS[1]:
            _against_delta(ax, quick, steps, delta, examples, rate)
        else:
            _noise(ax, sigma, batch)
        figure.legend(loc="lower left", ncol=3, fontsize=10, columnspacing=1.2)
    found = f"σ = {sigma:.3g}" if known == "epsilon" else f"ε = {spent:.3g}"
    given = f"ε = {epsilon:.3g} needs" if known == "epsilon" else f"σ = {sigma:.3g} spends"
    finding = f"{given} {found} by RDP"
    if tight is not None:
        finding += f"; {'σ' if known == 'epsilon' else 'ε'} = {tight:.3g} by PRV, which is tight"
    finding += f" (q = {rate:.3g}, {steps:,} steps, δ = {delta:.1e})"
    if delta >= 1 / examples:
        finding = f"An empty promise: δ = {delta:.1e} is not below 1/N = {1 / examples:.1e}"
    trap = quick.rdp(steps, min(rate, 0.99))
    return View(figure, finding, lambda: bullets([
        f"One epoch is {math.ceil(examples / batch):,} steps; each example is in a step with "
        f"probability q = {rate:.3g}.",
        f"δ must be far below 1/N = {1 / examples:.1e}. The trap: taking δ = 1/batches = "
        f"{rate:.1e} would let you claim ε = {trap:.3g}.",
        f"Noise in each coordinate of the mean gradient: σ C / batch = {sigma / batch:.2g} C.",
        "RDP is an upper bound, here from whole orders only; PRV is tight (Gopi et al. 2021); "
        "GDP is an approximation that may promise too much.",
    ]))  # fmt: skip


def _against_steps(ax: Axes, quick: Quick, steps: int, delta: float) -> None:
    at = np.unique(np.linspace(1, steps, 16).astype(int))
    ax.plot(at, [quick.rdp(n, delta) for n in at], "--", color="#D55E00", label="RDP")
    at = np.unique((steps * np.linspace(0.1, 1, 6) ** 2).astype(int).clip(1))
    ax.plot(at, [quick.gdp(n, delta) for n in at], ":", color="#777777",
            label="GDP (may promise too much)")  # fmt: skip
    ax.set(xlabel="steps", ylabel="ε spent", ylim=(0, None), xlim=(0, None))
    ax.locator_params(nbins=5)  # each tick takes some milliseconds


def _against_delta(
    ax: Axes, quick: Quick, steps: int, delta: float, examples: int, rate: float
) -> None:
    at = np.logspace(-9, math.log10(0.5), 24)
    ax.axvspan(1 / examples, 1, color="#D55E00", alpha=0.15, label="δ ≥ 1/N: empty promise")
    ax.plot(at, [quick.rdp(steps, d) for d in at], "--", color="#D55E00", label="RDP")
    ax.plot([delta], [quick.rdp(steps, delta)], "o", color="#0072B2", label="your δ")
    if rate < 0.5:
        ax.plot([rate], [quick.rdp(steps, rate)], "X", color="#000000",
                label="the trap: δ = 1/batches")  # fmt: skip
    ax.set(xlabel="δ", ylabel="ε that can be claimed", xscale="log", xlim=(1e-9, 1), ylim=(0, None))
    ax.locator_params(axis="x", numticks=5)
    ax.locator_params(axis="y", nbins=5)


def _noise(ax: Axes, sigma: float, batch: int) -> None:
    """Length of the noise over the largest mean gradient, for methods of ViT-B/16 and vit_micro."""
    for backbone, filled in (("vit_micro", True), ("vit_base_patch16_224", False)):
        for method in ("probe", "lora", "lora+patch", "full"):
            cost = budget(backbone, 4, patch_embed=method == "lora+patch")
            sizes = {"probe": cost.head, "full": cost.total}
            size = sizes.get(method, cost.trainable)
            colour = METHOD_COLOURS[method]
            ax.plot(size, sigma * math.sqrt(size) / batch, METHOD_MARKERS[method], color=colour,
                    markerfacecolor=colour if filled else "white", markersize=9,
                    label=method if filled else None)  # fmt: skip
    ax.axhline(1, color="#555555", linestyle="--", linewidth=1)
    ax.annotate("as long as the largest gradient", (0.01, 1), color="#555555", va="bottom",
                xycoords=("axes fraction", "data"), fontsize=9)  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="trainable parameters d (hollow: ViT-B/16)",
           ylabel="noise / gradient: σ √d / batch", ylim=(1e-2, 1e4),
           yticks=(0.01, 1, 100, 10_000), xticks=(1e3, 1e5, 1e7))  # fmt: skip


class PrivacyExplorer(Explorer):
    """Explore the settings of DP-SGD; the tight accountant answers when the controls rest."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._tight: tuple[tuple, float] | None = None
        self._timer: asyncio.TimerHandle | None = None
        controls = {
            "known": dropdown("you choose", [("epsilon ε", "epsilon"),
                                             ("noise multiplier σ", "noise_multiplier")],
                              hint="What is given; the other one follows"),
            "epsilon": log_slider("epsilon ε", -1, 1.5, 2, hint="Privacy budget", form=".2f"),
            "noise_multiplier": log_slider("sigma σ", -0.5, 1.5, 1, form=".2f",
                                           hint="Standard deviation of the noise over C"),
            "examples": log_slider("examples N", 2, 6, 10_000, hint="Size of the training set"),
            "batch": widgets.FloatLogSlider(256, base=2, min=0, max=math.log2(10_000), step=0.25,
                                            description="batch", readout_format=",.0f",
                                            tooltip="Expected batch of Poisson sampling"),
            "epochs": widgets.IntSlider(5, 1, 100, description="epochs",
                                        tooltip="Passes over the training set"),
            "delta": log_slider("delta δ", -8, -1, 1e-5, form=".1e",
                                hint="Probability that the promise fails; below 1/N"),
            "show": dropdown("show", SHOWS, hint="Which picture"),
        }  # fmt: skip
        super().__init__(self._view, controls, rules=self._rules)

    def _view(self, **chosen: float) -> View:
        for name in ("examples", "batch"):
            chosen[name] = round(chosen[name])
        question = tuple(value for name, value in chosen.items() if name != "show")
        if self._tight and self._tight[0] == question:
            return privacy_view(tight=self._tight[1], **chosen)
        self._ask_later(question, chosen)
        return privacy_view(**chosen)

    def _rules(self, controls: Mapping[str, widgets.Widget]) -> str:
        known = controls["known"].value
        other = {"epsilon": "noise_multiplier", "noise_multiplier": "epsilon"}[known]
        controls[known].disabled, controls[other].disabled = False, True
        controls["batch"].max = math.log2(round(controls["examples"].value))
        names = {"epsilon": "ε", "noise_multiplier": "σ"}
        return f"{names[other]} follows from {names[known]}. The batch is at most N."

    def _ask_later(self, question: tuple, chosen: dict) -> None:
        """Ask the tight accountant in a thread, once the controls have rested."""
        if self._timer:
            self._timer.cancel()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._timer = loop.call_later(_SURE, lambda: asyncio.ensure_future(ask()))

        async def ask() -> None:
            with suppress(ValueError):  # no noise is enough; the quick answer stays alone
                answer = await loop.run_in_executor(self._pool, lambda: _tight(**chosen))
                self._tight = (question, answer)
                self._changed(None)


def _tight(*, known, epsilon, noise_multiplier, examples, batch, epochs, delta, show) -> float:
    """Sigma for epsilon, or epsilon for sigma, by the PRV accountant."""
    rate, steps = batch / examples, epochs * math.ceil(examples / batch)
    if known == "epsilon":
        return find_noise_multiplier(epsilon, rate, steps, delta)
    return compute_epsilon(noise_multiplier, rate, steps, delta)
