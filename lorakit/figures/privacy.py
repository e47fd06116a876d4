"""What privacy is made of: noise, accountants, an attack; each returns a matplotlib Figure."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lorakit.figures.style import METHOD_COLOURS, METHOD_MARKERS, style, suptitle
from lorakit.privacy.audit import Audit

_ACCOUNTANTS = {"prv": ("#0072B2", "-"), "rdp": ("#D55E00", "--"), "gdp": ("#999999", ":")}


def plot_signal_to_noise(ratios: pd.DataFrame, noise_multiplier: float) -> Figure:
    """Gradient over noise against the number of trainable parameters, and a slope of -1/2.

    Args:
        ratios: columns ``method``, ``trainable``, ``part`` and ``ratio``, of which those of the
            part ``all`` are drawn; see ``privacy.dpsgd.signal_to_noise``.
        noise_multiplier: sigma, for the axis.
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
        suptitle(figure, "Does the signal stand out from the noise?")
        figure.legend(loc="outside right center")
        return figure


def plot_audit(audits: Mapping[str, Audit]) -> Figure:
    """ROC curves of the membership attack, one for each named model."""
    with style():
        figure, ax = plt.subplots(figsize=(7.4, 4.4))
        colours = ("#D55E00", "#0072B2", "#009E73", "#CC79A7")
        for (name, found), colour in zip(audits.items(), colours):
            bound = f"ε ≥ {found.epsilon_lower:.2f} (δ = {found.delta:g})"
            text = f"{name}\nadvantage {found.advantage:.0%}, {bound}"
            ax.plot(found.fpr, found.tpr, color=colour, linewidth=2, label=text)
        ax.plot([0, 1], [0, 1], color="#999999", linestyle=":", label="guessing blindly")
        ax.set_xlabel("false alarms (false positive rate)")
        ax.set_ylabel("right alarms (true positive rate)")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
        figure.legend(loc="outside right center")
        worst = max(audits, key=lambda name: audits[name].advantage)
        a = audits[worst]
        suptitle(figure, f"{worst}: the attack is right {a.correct} times of {a.guesses}")
        return figure


def plot_accountants(by_steps: pd.DataFrame, by_epsilon: pd.DataFrame) -> Figure:
    """Epsilon against steps and sigma against epsilon, for several accountants.

    Args:
        by_steps, by_epsilon: from ``privacy.curves.epsilon_by_steps`` and ``noise_by_epsilon``.
    """
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2))
        for name, (colour, dashes) in _ACCOUNTANTS.items():
            label = f"{name.upper()} (may promise too much)" if name == "gdp" else name.upper()
            look = {"color": colour, "linestyle": dashes, "linewidth": 2}
            mine = by_steps[by_steps["accountant"] == name]
            left.plot(mine["steps"], mine["epsilon"], label=label, **look)
            mine = by_epsilon[by_epsilon["accountant"] == name]
            right.plot(mine["epsilon"], mine["noise_multiplier"], **look)
        left.set(xlabel="steps", ylabel="ε spent", ylim=(0, None))
        right.set(xlabel="target ε", ylabel="noise multiplier σ", xscale="log", ylim=(0, None))
        targets = sorted(by_epsilon["epsilon"].unique())
        right.set_xticks(targets, [f"{target:g}" for target in targets])
        right.minorticks_off()
        suptitle(figure, "The same training: what do three accountants charge?")
        figure.legend(loc="outside lower center", ncol=3)
        return figure
