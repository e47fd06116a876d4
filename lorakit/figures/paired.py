"""Methods compared pair by pair: the same key, the same images, the same order, another method."""

from collections.abc import Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lorakit.figures.style import (
    METHOD_COLOURS,
    METHOD_MARKERS,
    NAMES,
    TARGETS_SHOWN,
    style,
    suptitle,
)
from lorakit.figures.tables import half_width, in_order, share_of, with_usual_lora

WHERE = ["dataset", "backbone", "cipher"]  # what both of a pair have in common, and the seed
_VARIANT = ["method", "targets", "rank"]
_SHORT = {"fashion": "Grey clothes", "painted": "Random colours"}  # in a title
_FAR = 3  # points behind, likewise


def paired_differences(rows: pd.DataFrame, reference: str = "full") -> pd.DataFrame:
    """How far each method is from a reference, in accuracy, over seeds that both have.

    Args:
        rows: a results table, without privacy or with one epsilon.
        reference: a method; with several ranks or targets, the usual ones (rank 4 on q and v).

    Returns:
        A line for each method, LoRA and task: ``difference`` (mean of method less reference, -1 to
        1), its 95 % interval ``low`` to ``high`` (NaN for one pair), ``pairs``, ``accuracy`` (mean
        of the method) and ``share`` of the backbone's parameters.
    """
    groups = _pairs(rows, reference).groupby([*WHERE, *_VARIANT], dropna=False, sort=False)
    found = groups.agg(
        difference=("difference", "mean"),
        sem=("difference", "sem"),
        pairs=("seed", "size"),
        accuracy=("accuracy", "mean"),
        share=("share", "first"),
    ).reset_index()
    half = half_width(found.pop("sem"), found["pairs"])
    return found.assign(low=found["difference"] - half, high=found["difference"] + half)


def _pairs(rows: pd.DataFrame, reference: str) -> pd.DataFrame:
    """The rows of other methods, with their ``difference`` from the reference's, and ``share``."""
    base = rows[rows["method"] == reference]
    if len(base[_VARIANT].drop_duplicates()) > 1:
        base = with_usual_lora(base)
    base = base[[*WHERE, "seed", "accuracy"]]
    if base.empty or base.duplicated([*WHERE, "seed"]).any():
        allowed = "a method that is there, in one setting or with LoRA of rank 4 on q and v"
        raise ValueError(f"reference={reference!r}: allowed: {allowed}")
    others = rows.assign(share=share_of(rows))[rows["method"] != reference]
    if others.duplicated([*WHERE, *_VARIANT, "seed"]).any():
        raise ValueError("rows: allowed: of each method, LoRA, task and seed only one")
    pairs = others.merge(base, on=[*WHERE, "seed"], suffixes=("", "_base"))
    return pairs.assign(difference=pairs["accuracy"] - pairs["accuracy_base"])


def verdict(line: pd.Series, margin: float) -> str:
    """What an interval says: ``within`` the margin of zero, ``beyond`` it, or ``undecided``.

    >>> verdict(pd.Series({"low": -0.004, "high": 0.002}), 0.01)
    'within'
    """
    if -margin <= line["low"] and line["high"] <= margin:
        return "within"
    return "beyond" if line["high"] < -margin or line["low"] > margin else "undecided"


def claim_sentences(rows: pd.DataFrame, cipher: str, references: Sequence[str]) -> list[str]:
    """``lora+patch`` against each reference, in words; a sentence for each data set and backbone.

    Against ``full`` the question is whether it is at most one point behind, against others whether
    it is ahead.
    """
    sentences = []
    for reference in references:
        found = paired_differences(rows[rows["cipher"] == cipher], reference)
        for line in found[found["method"] == "lora+patch"].to_dict("records"):
            points = {name: f"{100 * line[name]:+.1f}" for name in ("difference", "low", "high")}
            if reference == "full":
                says = "not decided whether at most one point behind"
                says = "at most one point behind" if line["low"] >= -0.01 else says
                says = "more than one point behind" if line["high"] < -0.01 else says
            else:
                answer = {"beyond": "ahead" if line["difference"] > 0 else "behind"}
                says = answer.get(verdict(line, 0.0), "not decided which is ahead")
            sure = f"(95 % interval {points['low']} to {points['high']}, {line['pairs']} pairs)"
            where = [line["dataset"]] * (rows["dataset"].nunique() > 1) + [line["backbone"]]
            sentences.append(
                f"{', '.join(where)}: lora+patch (r = {line['rank']:.0f} on {line['targets']}, "
                f"{line['share']:.1%} trains) against {reference}: {points['difference']} points "
                f"{sure if line['pairs'] > 1 else '(one pair)'}, {says}."
            )
    return sentences


def claim_title(rows: pd.DataFrame) -> str:
    """A line for each data set: how near all methods stay to ``full``, or which falls far."""
    found, lines = paired_differences(rows), []
    for dataset in in_order(found["dataset"]):
        mine = found[found["dataset"] == dataset]
        last = mine.loc[mine["difference"].idxmin()]
        behind = round(-100 * last["difference"])
        if behind < _FAR:
            most = max(1, round(100 * mine["difference"].abs().max()))
            says = f"all within about {most} {'point' if most == 1 else 'points'} of full"
        else:
            usual = last["method"] == "lora" and last["targets"] == TARGETS_SHOWN
            says = f"{'LoRA alone' if usual else last['method']} falls {behind} behind"
        lines.append(f"{_SHORT.get(dataset, dataset)}: {says}")
    return "\n".join(lines)


def plot_paired(rows: pd.DataFrame, reference: str = "full", *, title: str | None = None) -> Figure:
    """Differences from a reference in points: a dot for each pair, a bar for the 95 % interval.

    A row of panels for each data set and backbone, a panel for each cipher; with several ciphers,
    a row has an axis of its own where others would leave it no room. The grey band is one point to
    either side. What differs between rows is said above them, LoRA's rank or targets where one
    method occurs with several. ``title`` is the finding; without one, the question.
    """
    found, pairs = paired_differences(rows, reference), _pairs(rows, reference)
    several = [name for name in WHERE if found[name].nunique() > 1 or name == "cipher"]
    wheres, ciphers = found[WHERE[:2]].drop_duplicates(), in_order(found["cipher"])
    order = {method: place for place, method in enumerate(in_order(found["method"]))}
    with style():
        size = (max(8.2, 2.6 * len(ciphers) + 1.8), 1.4 + 2.2 * len(wheres))
        spread = pairs.groupby(WHERE[:2])["difference"].agg(np.ptp)
        apart = len(ciphers) > 1 and spread.max() > 3 * spread.min()
        shape = {"figsize": size, "sharex": "row" if apart else True, "squeeze": False}
        figure, axes = plt.subplots(len(wheres), len(ciphers), **shape)
        for line, where in zip(axes, wheres.to_dict("records")):
            for ax, cipher in zip(line, ciphers):
                place = {**where, "cipher": cipher}
                mine = found[(found[WHERE] == list(place.values())).all(axis=1)]
                mine = mine.sort_values(["method", "rank"], key=lambda c: c.map(order).fillna(c))
                _panel(ax, mine, pairs)
                told = ", ".join(NAMES.get(place[name], place[name]) for name in several)
                told += _how_many(pairs, place)
                told = told if len(ciphers) > 1 else told.replace(" + ", "\xa0+\xa0")
                ax.set_title(fill(told, 26 if len(ciphers) > 1 else 52), fontsize=11)
            names = [[label.get_text() for label in ax.get_yticklabels()] for ax in line]
            for ax, mine in zip(line[1:], names[1:]):
                ax.tick_params(labelleft=mine != names[0])  # once is enough
        told = f"test accuracy minus that of {reference}, same key and images, in points"
        figure.supxlabel(f"{told}\n(dot: one key; bar: 95 % interval of the mean)", fontsize=11)
        look = {"xycoords": ("data", "axes fraction"), "fontsize": 9, "color": "#666666"}
        axes[0, 0].annotate("within one point", (1, 1.01), ha="right", va="bottom", **look)
        suptitle(figure, title or f"How far from {reference}? Left of the line is worse")
        return figure


def _how_many(pairs: pd.DataFrame, place: dict[str, str]) -> str:
    """Pictures and keys of a panel, if others have more or fewer."""
    told, cells = "", pairs.groupby(WHERE)
    for column, count, words in (("train", "max", "pictures"), ("seed", "nunique", "keys")):
        counts = cells[column].agg(count) if column in pairs else pd.Series(dtype=float)
        mine = counts.get(tuple(place.values()))  # none in a panel without pairs
        if counts.nunique() > 1 and pd.notna(mine):
            told += f", {mine:,.0f}\xa0{words}"
    return told


def _panel(ax: Axes, found: pd.DataFrame, pairs: pd.DataFrame) -> None:
    """A line for each method, its pairs a little above."""
    names = []
    for y, line in enumerate(found.to_dict("records")):
        colour = METHOD_COLOURS[line["method"]]
        points = 100 * pairs.merge(found.iloc[[y]][[*WHERE, *_VARIANT]])["difference"]
        ax.plot(points, np.full(len(points), y + 0.22), ".", color=colour, alpha=0.5)
        bar = 100 * (line["high"] - line["difference"])
        look = {"color": colour, "marker": METHOD_MARKERS[line["method"]], "capsize": 3}
        bar = None if np.isnan(bar) else bar
        ax.errorbar(100 * line["difference"], y, xerr=bar, markersize=7, **look)
        alike = found[found["method"] == line["method"]]
        told = [f"r = {line['rank']:.0f}"] if alike["rank"].nunique() > 1 else []
        told += [f"on {line['targets']}"] if alike["targets"].nunique() > 1 else []
        share = f" ({line['share']:.1%} train)" if found.duplicated("method").any() else ""
        names.append("\n".join([line["method"], *told]) + share)
    ax.axvspan(-1, 1, color="#E8E8E8", zorder=0)
    ax.axvline(0, color="#777777", linewidth=1, zorder=1)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(-0.6, len(names) - 0.3)
