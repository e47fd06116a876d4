"""The marks of a figure of results: how a line looks, its means, its axis."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lorakit.figures.style import (
    CIPHER_NAMES,
    METHOD_COLOURS,
    METHOD_MARKERS,
    METHOD_NAMES,
    TARGETS_SHOWN,
)
from lorakit.figures.tables import epsilon_name, in_order

IN_STEPS = ("cipher", "epsilon")  # axes whose values stand side by side, at equal distances
DASHES = {"full": "--", "probe": ":"}  # of methods without a rank, against rank


def explain_colours(ax: Axes, means: pd.DataFrame, x: str, hue: str) -> None:
    """What colours and markers mean."""
    for value in in_order(means[hue]):
        look = look_of(means[means[hue] == value], hue, in_order(means[hue]))
        kind = "s" if x == "trainable" else "-"  # no line joins methods
        ax.plot([], [], kind, color=look["colour"], label=look["label"])
    for method in in_order(means["method"]):
        level = x == "rank" and means[means["method"] == method]["rank"].isna().all()
        look = DASHES.get(method, "-.") if level else METHOD_MARKERS[method]
        ax.plot([], [], look, color="#555555", label=METHOD_NAMES[method])


def look_of(line: pd.DataFrame, hue: str, hues: list) -> dict:
    """Name, colour and marker of a line."""
    first = line.iloc[0]
    hollow = not (pd.isna(first["targets"]) or first["targets"] == TARGETS_SHOWN)
    look = {"method": first["method"], "hollow": hollow}
    if hue == "method":
        label = METHOD_NAMES[first["method"]] + (f" on {first['targets']}" if hollow else "")
        return look | {"colour": METHOD_COLOURS[first["method"]], "label": label}
    place = hues.index(first["epsilon"]) / max(1, len(hues) - 1)
    colour = plt.get_cmap("viridis_r")(0.2 + 0.8 * place)
    return look | {"colour": colour, "label": epsilon_name(first["epsilon"])}


def draw_means(
    ax: Axes, places: pd.Series, line: pd.DataFrame, look: dict, label: str | None
) -> None:
    """A marker for each mean, a bar for its interval where there is one."""
    colour, marker = look["colour"], METHOD_MARKERS[look["method"]]
    known = line["interval"].notna()
    bars = {"linestyle": "none", "capsize": 3, "linewidth": 1.2, "zorder": 3}  # over the marks
    ax.errorbar(places[known], line["mean"][known], line["interval"][known], color=colour, **bars)
    fill, edge, width = ("white", colour, 1.5) if look["hollow"] else (colour, "white", 1)
    marks = {"markerfacecolor": fill, "markeredgecolor": edge, "markeredgewidth": width}
    ax.plot(places, line["mean"], marker, color=colour, markersize=8, label=label, **marks)


def value_axis(ax: Axes, x: str, values: list) -> None:
    """Scale, ticks and limits of the horizontal axis."""
    if x == "cipher":
        names = [CIPHER_NAMES.get(v, v).replace(" + ", "\n+ ") for v in values]
        ax.grid(False, axis="x")
    elif x == "epsilon":
        names = [f"{v:g}" if np.isfinite(v) else "∞\n(no noise)" for v in values]
    if x in IN_STEPS:
        ax.set_xticks(range(len(values)), names)
        ax.set_xlim(-0.5, len(values) - 0.5)
    elif x == "trainable":
        ax.set_xscale("log")
        low, high = np.floor(np.log10(min(values))), np.ceil(np.log10(max(values)))
        ax.set_xlim(0.8 * 10**low, 10 ** max(high, low + 1))
        ax.minorticks_off()
    else:
        ax.set_xscale("log", base=2)
        ax.set_xticks(values, [f"{v:g}" for v in values])
        ax.minorticks_off()
