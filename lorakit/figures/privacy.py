"""What privacy is made of: noise, accountants, an attack; each returns a matplotlib Figure."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lorakit.figures.style import METHOD_COLOURS, METHOD_MARKERS, style, suptitle
from lorakit.privacy.accountant import compute_epsilon, find_noise_multiplier

_ACCOUNTANTS = {"prv": ("#0072B2", "-"), "rdp": ("#D55E00", "--"), "gdp": ("#999999", ":")}


def plot_signal_to_noise(ratios: pd.DataFrame, noise_multiplier: float) -> Figure:
    """Gradient over noise against the number of trainable parameters, and a slope of -1/2.

    ``ratios`` has columns ``method``, ``trainable``, ``part`` and ``ratio``, of which those of the
    part ``all`` are drawn; see ``privacy.dpsgd.signal_to_noise``.
    """
    whole = ratios[ratios["part"] == "all"].sort_values("trainable")
    if whole.empty:
        raise ValueError("ratios: none of the part 'all'; allowed: one ratio or more")
    with style():
        figure, ax = plt.subplots(figsize=(7.4, 4.4))
        for method, line in whole.groupby("method", sort=False):
            look = {"color": METHOD_COLOURS[method], "markersize": 9, "linestyle": "none"}
            ax.plot(line["trainable"], line["ratio"], METHOD_MARKERS[method], label=method, **look)
        sizes, first = whole["trainable"], whole.iloc[0]
        falls = first["ratio"] * (first["trainable"] / sizes) ** 0.5
        ax.plot(sizes, falls, color="#BBBBBB", zorder=0, label="1 / √d")
        ax.axhline(1, color="#555555", linewidth=1, linestyle="--", label="signal = noise")
        ax.set(xscale="log", yscale="log", xlabel="trainable parameters d")
        ax.set_ylabel(f"|clipped gradient| / (σ C √d), σ = {noise_multiplier:.3g}")
        suptitle(figure, "Every number that trains gets its noise: the ratio falls with √d")
        figure.legend(loc="outside right center")
        return figure


def plot_audits(rows: pd.DataFrame, attacks: Mapping[str, str]) -> Figure:
    """Every audit as a dot: the least epsilon it shows, in a panel for each attack.

    ``rows`` are those of ``figures/studies/audits.py``; ``attacks`` are its columns, with titles.
    """
    variants, claimed = list(rows["variant"].unique()), rows["claimed"].mean()
    shifts = np.random.default_rng(0).uniform(-0.25, 0.25, (len(attacks), len(rows)))
    with style():
        figure, axes = plt.subplots(1, len(attacks), figsize=(9.4, 3.9), sharex=True, sharey=True)
        colours = ("#0072B2", "#009E73", "#D55E00")
        for ax, (name, title), shift, colour in zip(axes, attacks.items(), shifts, colours):
            places = rows["variant"].map(variants.index) + shift
            ax.scatter(rows[name], places, s=14, color=colour, alpha=0.5, linewidth=0)
            ax.axvline(claimed, color="black", linestyle="--", linewidth=1)
            refuted = (rows[name] > claimed).groupby(rows["variant"], sort=False)
            at = {"transform": ax.get_yaxis_transform(), "ha": "right", "va": "center"}
            for place, (_, found) in enumerate(refuted):
                ax.text(0.99, place, f"{found.sum()} of {len(found)}", fontsize=9, **at)
            ax.set_title(f"attack on {title}", loc="left", fontsize=10)
            ax.set(xlabel="ε is at least", ylim=(len(variants) - 0.5, -0.5))
            ax.grid(axis="y", visible=False)
        axes[0].set_xlim(-0.5, 1.4 * rows[list(attacks)].max().max())
        axes[0].set_yticks(range(len(variants)), variants)
        axes[0].text(claimed, len(variants) - 0.7, " claimed", fontsize=9)
        title = f"How many audits refute ε = {claimed:.0f}? Those right of the dashed line"
        suptitle(figure, title)
        return figure


def plot_accountants(
    steps: Sequence[int],
    targets: Sequence[float],
    *,
    noise_multiplier: float,
    sample_rate: float,
    delta: float,
    planned: int,
) -> Figure:
    """What three accountants charge: epsilon after so many steps, and the noise of a target.

    ``noise_multiplier`` is for the first; the second is for ``planned`` steps.
    """
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2))
        for name, (colour, dashes) in _ACCOUNTANTS.items():
            label = f"{name.upper()} (may promise too much)" if name == "gdp" else name.upper()
            look = {"color": colour, "linestyle": dashes, "linewidth": 2}
            ledger = {"delta": delta, "accountant": name}
            spent = [compute_epsilon(noise_multiplier, sample_rate, n, **ledger) for n in steps]
            left.plot(steps, spent, label=label, **look)
            noise = [find_noise_multiplier(e, sample_rate, planned, **ledger) for e in targets]
            right.plot(targets, noise, **look)
        left.set(xlabel="steps", ylabel="ε spent", ylim=(0, None))
        right.set(xlabel="target ε", ylabel="noise multiplier σ", xscale="log", ylim=(0, None))
        right.set_xticks(targets, [f"{target:g}" for target in targets])
        right.minorticks_off()
        suptitle(figure, "The same training: what do three accountants charge?")
        figure.legend(loc="outside lower center", ncol=3)
        return figure
