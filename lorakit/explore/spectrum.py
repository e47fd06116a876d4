"""How much of its rank a trained adapter uses: a chart that needs no kernel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import altair as alt
import pandas as pd

from lorakit.checks import checked
from lorakit.explore.saved import SavedChart, card, choice, plot_lines, slider
from lorakit.figures.style import OTHER_COLOURS
from lorakit.lora.backbones import EXAMPLE_ADAPTER
from lorakit.lora.budget import singular_values

_TITLE = (
    "[adapter, 'the first ' + first + ' of ' + shares.length + ' directions hold', "
    "format(shares[min(first, shares.length) - 1], '.0%') + ' of ΔW (squared)']"
)


@checked
def spectrum_chart(adapters: Mapping[str, str | Path] | None = None) -> SavedChart:
    """Singular values of the updates ΔW of adapters, by name; the default ships with lorakit."""
    adapters = adapters or {"encrypted clothes, r = 16": EXAMPLE_ADAPTER}
    found = {name: singular_values(path) for name, path in adapters.items()}
    table = pd.concat([values.assign(adapter=name) for name, values in found.items()])
    largest = table.groupby(["adapter", "block", "target"])["value"].transform("max")
    table = table.assign(over=(table["value"] / largest).clip(lower=1e-6))
    squares = {name: (v["value"] ** 2).groupby(v["index"]).sum() for name, v in found.items()}
    held = {name: (s.cumsum() / s.sum()).tolist() for name, s in squares.items()}
    first, ranks = next(iter(held)), {name: len(shares) for name, shares in held.items()}
    few = max(1, ranks[first] // 4)
    targets = list(table["target"].unique())
    scale = alt.Scale(domain=targets, range=OTHER_COLOURS[: len(targets)])
    picked = alt.selection_point(name="picked", fields=["target"], bind="legend")
    base = alt.Chart(table).transform_filter("datum.adapter == adapter").transform_filter(picked)
    reach = alt.Scale(domain=(1, max(ranks.values())), nice=False)
    base = base.encode(
        x=alt.X("index:Q", title="number of the singular value", scale=reach).axis(format="d"),
        y=alt.Y("over:Q", title="over the largest one")
        .scale(type="log")
        .axis(format="~g", values=[1e-3, 0.01, 0.1, 1]),
    )
    colour = alt.Color("target:N", scale=scale)
    hover = ["target", "block", "index", alt.Tooltip("over:Q", format=".3f", title="value")]
    dim = alt.when("datum.index <= first").then(alt.value(1)).otherwise(alt.value(0.25))
    line = base.mark_line(opacity=0.3).encode(color=colour, detail="block:N")
    mark = base.mark_point(filled=True, size=45).encode(color=colour, opacity=dim, tooltip=hover)
    params = [alt.param(name="shares", expr=f"{json.dumps(held)}[adapter]")]
    params += [choice("adapter", "adapter", list(held), first)]
    params += [slider("first", "the first", 1, max(ranks.values()), few)]
    chart = alt.layer(line, mark.add_params(picked)).add_params(*params)
    finding = (
        f"{first}: the first {few} of {ranks[first]} directions hold {held[first][few - 1]:.0%} "
        "of ΔW (squared)"
    )
    mean = table[table["adapter"] == first].groupby(["target", "index"], as_index=False)["over"]
    axes = {"xlabel": "number of the singular value", "ylabel": "mean over the blocks"}
    lines = mean.mean(), "index", "over", "target", finding
    still = partial(plot_lines, *lines, yscale="log", **axes)
    return SavedChart(card(chart, alt.expr(_TITLE)), finding, still)
