"""What privacy is made of: noise, accountants, an attack; each returns a matplotlib Figure."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lorakit.figures.style import style, suptitle
from lorakit.privacy.audit import Audit

_ACCOUNTANTS = {"prv": ("#0072B2", "-"), "rdp": ("#D55E00", "--"), "gdp": ("#999999", ":")}
_PARTS = {
    "head": ("#009E73", "v"),
    "lora": ("#D55E00", "s"),
    "patch_embed": ("#0072B2", "o"),
    "position": ("#CC79A7", "P"),
    "backbone": ("#000000", "D"),
}


def plot_signal_to_noise(ratios: pd.DataFrame, noise_multiplier: float) -> Figure:
    """Gradient over noise, part by part, against the number of trainable parameters.

    Args:
        ratios: columns ``method``, ``rank``, ``trainable``, ``part`` (``all`` or of ``lora.PARTS``)
            and ``ratio``, see ``privacy.dpsgd.signal_to_noise``.
        noise_multiplier: sigma, for the axis.
    """
    if ratios.empty:
        raise ValueError("ratios: the table is empty; allowed: one ratio or more")
    with style():
        figure, ax = plt.subplots(figsize=(7.4, 4.6))
        whole = ratios[ratios["part"] == "all"].sort_values("trainable")
        line = {"color": "#BBBBBB", "linewidth": 3, "zorder": 1}
        ax.plot(whole["trainable"], whole["ratio"], label="all that trains", **line)
        for part, (colour, marker) in _PARTS.items():
            mine = ratios[ratios["part"] == part]
            if len(mine):
                look = {"color": colour, "markersize": 8, "markeredgecolor": "white"}
                ax.plot(mine["trainable"], mine["ratio"], marker, label=part, **look)
        small = {"fontsize": 9, "color": "#555555"}
        above = {"xytext": (0, 10), "textcoords": "offset points", "ha": "center", **small}
        for method, point in whole.groupby("method")[["trainable", "ratio"]].first().iterrows():
            ax.annotate(method, point, **above)
        ax.axhline(1, color="#555555", linewidth=1, linestyle="--")
        place = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "bottom"}
        ax.annotate("signal = noise", (1, 1), **place, **small)
        ax.set(xscale="log", yscale="log", xlabel="trainable parameters")
        ax.set_ylabel(f"|clipped gradient| / (σ C √d), σ = {noise_multiplier:.3g}")
        first, last = whole.iloc[0], whole.iloc[-1]
        more, fewer = last["trainable"] / first["trainable"], first["ratio"] / last["ratio"]
        suptitle(figure, f"{more:,.0f} × the parameters: signal / noise falls {fewer:.0f} ×")
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
        last = by_steps[by_steps["steps"] == by_steps["steps"].max()].set_index("accountant")
        more = last.loc["rdp", "epsilon"] / last.loc["prv", "epsilon"] - 1
        found = f"RDP charges {more:.0%} more than PRV"
        suptitle(figure, f"The same training, three accountants: {found}")
        figure.legend(loc="outside lower center", ncol=3)
        return figure
