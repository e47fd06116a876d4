"""Epsilon from noise or noise from epsilon, what delta may be, and how loud the noise is."""

import asyncio
import math
from contextlib import suppress

import numpy as np
from matplotlib.axes import Axes

from lorakit.checks import check_choice, check_number
from lorakit.explore.explorer import Controls, Explorer, dropdown, hide, log_slider, slider
from lorakit.explore.view import View, bullets, new_axes, new_figure
from lorakit.figures.style import METHOD_COLOURS, METHOD_MARKERS, style
from lorakit.lora.budget import budget
from lorakit.privacy.accountant import compute_epsilon, find_noise_multiplier
from lorakit.privacy.curves import Quick, quick_noise

_FOLLOWS = {"epsilon": "σ", "noise_multiplier": "ε"}  # from what is known
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
    """
    check_number("batch", batch, least=1, most=examples)
    check_number("delta", delta, above=0, below=1)
    check_choice("show", show, SHOWS)
    check_choice("known", known, _FOLLOWS)
    rate, steps = batch / examples, epochs * math.ceil(examples / batch)
    sigma = quick_noise(epsilon, rate, steps, delta) if known == "epsilon" else noise_multiplier
    quick = Quick(sigma, rate)
    with style():
        figure = new_figure(height=4.0, below=1.05)
        ax = new_axes(figure)
        if show == SHOWS[0]:
            _against_steps(ax, quick, steps, delta)
            if tight is not None and known == "noise_multiplier":
                ax.plot([steps], [tight], "o", color="#0072B2", label="PRV, tight")
        elif show == SHOWS[1]:
            _against_delta(ax, quick, steps, delta, examples)
        else:
            _noise(ax, sigma, batch)
        figure.legend(loc="lower left", ncol=3, fontsize=10, columnspacing=1.2)
    finding = f"ε = {epsilon:.3g} needs σ = {sigma:.3g} by RDP"
    if known == "noise_multiplier":
        finding = f"σ = {sigma:.3g} spends ε = {quick.rdp(steps, delta):.3g} by RDP"
    if tight is not None:
        finding += f"; {_FOLLOWS[known]} = {tight:.3g} by PRV, which is tight"
    finding += f" (q = {rate:.3g}, {steps:,} steps, δ = {delta:.1e})"
    if delta >= 1 / examples:
        finding = f"An empty promise: δ = {delta:.1e} is not below 1/N = {1 / examples:.1e}"
    trap = quick.rdp(steps, min(rate, 0.99))
    notes = [
        f"One epoch is {math.ceil(examples / batch):,} steps; each example is in a step with "
        f"probability q = {rate:.3g}.",
        f"δ must be far below 1/N = {1 / examples:.1e}. The trap: taking δ = 1/batches = "
        f"{rate:.1e} would let you claim ε = {trap:.3g}.",
        f"Noise in each coordinate of the mean gradient: σ C / batch = {sigma / batch:.2g} C.",
        "RDP is an upper bound, here from whole orders only; PRV is tight (Gopi et al. 2021); "
        "GDP is an approximation that may promise too much.",
    ]
    return View(figure, finding, lambda: bullets(notes))


def _against_steps(ax: Axes, quick: Quick, steps: int, delta: float) -> None:
    at = np.unique(np.linspace(1, steps, 16).astype(int))
    ax.plot(at, [quick.rdp(n, delta) for n in at], "--", color="#D55E00", label="RDP")
    at = np.unique((steps * np.linspace(0.1, 1, 6) ** 2).astype(int).clip(1))
    gdp = [quick.gdp(n, delta) for n in at]
    ax.plot(at, gdp, ":", color="#777777", label="GDP (may promise too much)")
    ax.set(xlabel="steps", ylabel="ε spent", ylim=(0, None), xlim=(0, None))
    ax.locator_params(nbins=5)  # each tick takes some milliseconds


def _against_delta(ax: Axes, quick: Quick, steps: int, delta: float, examples: int) -> None:
    ax.axvspan(1 / examples, 1, color="#D55E00", alpha=0.15, label="δ ≥ 1/N: empty promise")
    marks = [(np.logspace(-9, math.log10(0.5), 24), "--", "#D55E00", "RDP")]
    marks += [([delta], "o", "#0072B2", "your δ")]
    if quick.sample_rate < 0.5:
        marks += [([quick.sample_rate], "X", "#000000", "the trap: δ = 1/batches")]
    for at, form, colour, label in marks:
        ax.plot(at, [quick.rdp(steps, d) for d in at], form, color=colour, label=label)
    ax.set(xlabel="δ", ylabel="ε that can be claimed", xscale="log", xlim=(1e-9, 1), ylim=(0, None))
    ax.locator_params(axis="x", numticks=5)
    ax.locator_params(axis="y", nbins=5)


def _noise(ax: Axes, sigma: float, batch: int) -> None:
    """Length of the noise over the largest mean gradient, for methods of ViT-B/16 and vit_micro."""
    for backbone, filled in (("vit_micro", True), ("vit_base_patch16_224", False)):
        plain, patch = (budget(backbone, 4, patch_embed=trains) for trains in (False, True))
        sizes = {"probe": plain.head, "lora": plain.trainable}
        sizes |= {"lora+patch": patch.trainable, "full": plain.total}
        for method, size in sizes.items():
            look = {"color": METHOD_COLOURS[method], "marker": METHOD_MARKERS[method]}
            look |= {"label": method} if filled else {"markerfacecolor": "white"}
            ax.plot(size, sigma * math.sqrt(size) / batch, markersize=9, linestyle="", **look)
    ax.axhline(1, color="#555555", linestyle="--", linewidth=1)
    place = {"xy": (0.01, 1), "xycoords": ("axes fraction", "data"), "va": "bottom"}
    ax.annotate("as long as the largest gradient", color="#555555", fontsize=9, **place)
    ax.set(xscale="log", xlabel="trainable parameters d (hollow: ViT-B/16)", xticks=(1e3, 1e5, 1e7))
    ax.set(yscale="log", ylabel="noise / gradient: σ √d / batch", ylim=(1e-2, 1e4))
    ax.set_yticks((0.01, 1, 100, 10_000))


class PrivacyExplorer(Explorer):
    """Explore the settings of DP-SGD; the tight accountant answers when the controls rest."""

    def __init__(self) -> None:
        self._answers: dict[tuple, float] = {}  # of the tight accountant, by question
        known = [("epsilon ε", "epsilon"), ("noise multiplier σ", "noise_multiplier")]
        sigma = {"hint": "Standard deviation of the noise over C", "form": ".2f"}
        batch = {"hint": "Expected batch of Poisson sampling", "base": 2, "step": 0.25}
        delta = {"hint": "Probability that the promise fails; below 1/N", "form": ".1e"}
        controls = {
            "known": dropdown("you choose", known, hint="What is given; the other one follows"),
            "epsilon": log_slider("epsilon ε", -1, 1.5, 2, hint="Privacy budget", form=".2f"),
            "noise_multiplier": log_slider("sigma σ", -0.5, 1.5, 1, **sigma),
            "examples": log_slider("examples N", 2, 6, 10_000, hint="Size of the training set"),
            "batch": log_slider("batch", 0, math.log2(10_000), 256, **batch),
            "epochs": slider("epochs", 1, 100, 5, hint="Passes over the training set"),
            "delta": log_slider("delta δ", -8, -1, 1e-5, **delta),
            "show": dropdown("show", SHOWS, hint="Which picture"),
        }
        super().__init__(self._view, controls, rules=_rules)

    def _view(self, *, show: str, **asked: object) -> View:
        self._asked = question = tuple(asked.items())
        view = privacy_view(show=show, tight=self._answers.get(question), **asked)
        if question not in self._answers:
            with suppress(RuntimeError):  # no loop runs, as in a script
                self._task = asyncio.get_running_loop().create_task(self._ask(question))
        return view

    async def _ask(self, question: tuple) -> None:
        """Ask the tight accountant in a thread, once the controls have rested."""
        await asyncio.sleep(_SURE)
        if question == self._asked:
            with suppress(ValueError):  # no noise is enough; the quick answer stays alone
                self._answers[question] = await asyncio.to_thread(_tight, **dict(question))
                self._changed()


def _rules(controls: Controls) -> None:
    known = controls["known"].value
    (other,) = _FOLLOWS.keys() - {known}
    hide(controls, other)
    controls["batch"].max = math.log2(round(controls["examples"].value))


def _tight(*, known, epsilon, noise_multiplier, examples, batch, epochs, delta) -> float:
    """Sigma for epsilon, or epsilon for sigma, by the PRV accountant."""
    rate, steps = batch / examples, epochs * math.ceil(examples / batch)
    if known == "epsilon":
        return find_noise_multiplier(epsilon, rate, steps, delta)
    return compute_epsilon(noise_multiplier, rate, steps, delta)
