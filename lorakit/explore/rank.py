"""What a rank costs in any ViT, and how much of it a training uses: charts without a kernel."""

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import altair as alt
import pandas as pd

from lorakit.checks import checked
from lorakit.explore.saved import COLOURS, SavedChart, card, choice, said, slider
from lorakit.figures.style import OTHER_COLOURS, RANK_SHOWN, TRAINABLE
from lorakit.lora.backbones import EXAMPLE_ADAPTER
from lorakit.lora.budget import shapes, singular_values, trained_by_method
from lorakit.lora.lora import TARGETS

_SIZES = ("tiny", "small", "base", "large")
BACKBONES = ("vit_micro", *(f"vit_{size}_patch16_224" for size in _SIZES))
_TARGETS = ("q+v", "q+k+v", "+".join(TARGETS))
_RANKS = (1, 2, 4, 8, 16, 32, 64)
_METHODS = ("probe", "patch", "bitfit", "lora", "lora+patch", "full")
_COUNT = "facts[datum.method][0] + facts[datum.method][1] * datum.rank"
_TITLE = (
    "[backbone + ', rank ' + rank + ' on ' + targets, "
    "'lora+patch trains ' + format(now, ',') + ' parameters,', "
    "format(now / facts.full[0], '.2%') + ' of ' + format(facts.full[0], ',')]"
)
_HELD = (
    "[adapter, 'the first ' + first + ' of ' + shares.length + ' directions hold', "
    "shares[first - 1] + ' of ΔW (squared)']"
)
_SIDE, _GAP, _LIFT = 84, 22, 100  # pixels: of the frozen matrix, beside it, above the axes


def rank_chart() -> SavedChart:
    """Trainable parameters against rank, and the thin matrices to scale; for ten classes."""
    places = {
        f"{b} {t}": {**trained_by_method(b, t.split("+")), "width": shapes(b).embed_dim}
        for b, t in product(BACKBONES, _TARGETS)
    }
    backbone, targets, rank = BACKBONES[3], _TARGETS[0], RANK_SHOWN
    params = [choice("backbone", "model", BACKBONES, backbone)]
    params += [choice("targets", "LoRA on", _TARGETS, targets)]
    params += [slider("rank", "rank r", 1, 64, rank)]
    params += [alt.param(name="facts", expr=f"{json.dumps(places)}[backbone + ' ' + targets]")]
    now = "facts['lora+patch'][0] + facts['lora+patch'][1] * rank"
    params += [alt.param(name="now", expr=now)]
    chart = alt.layer(*_lines(), *_matrices()).add_params(*params)

    facts = places[f"{backbone} {targets}"]
    total, trains = facts["full"][0], facts["lora+patch"][0] + facts["lora+patch"][1] * rank
    finding = (
        f"{backbone}, rank {rank} on {targets}: lora+patch trains {trains:,} of "
        f"{total:,} parameters, {trains / total:.2%}"
    )
    return SavedChart(card(chart, alt.expr(_TITLE)), finding)


def _lines() -> Iterator[alt.Chart]:
    """A line for each method, marks to hover over, and the rank that is chosen."""
    picked = alt.selection_point(name="picked", fields=["method"], bind="legend")
    colours = alt.Scale(domain=_METHODS, range=[COLOURS[name] for name in _METHODS])
    table = pd.DataFrame(product(_METHODS, _RANKS), columns=["method", "rank"])
    hover = [alt.Tooltip("method:N"), alt.Tooltip("rank:Q", title="rank")]
    hover += [alt.Tooltip("trainable:Q", format=","), alt.Tooltip("share:Q", format=".2%")]
    scale = alt.Scale(type="log", base=2, domain=(1, 64), nice=False)
    x = alt.X("rank:Q", scale=scale, title="rank r of LoRA").axis(values=_RANKS, format="d")
    y = alt.Y("trainable:Q", title="trainable parameters").scale(type="log")
    y = y.axis(format="~s", values=[10**n for n in range(3, 10)])
    colour = alt.Color("method:N", scale=colours)

    def drawn(chart: alt.Chart) -> alt.Chart:
        chart = chart.transform_filter(picked).transform_calculate(trainable=_COUNT)
        return chart.transform_calculate(share="datum.trainable / facts.full[0]").encode(x=x, y=y)

    every, here = alt.Chart(table), alt.Chart(table).transform_filter("datum.rank == 1")
    here = here.transform_calculate(rank="rank")
    yield drawn(every).mark_line(strokeWidth=2).encode(color=colour)
    mark = drawn(every.transform_filter("facts[datum.method][1] > 0")).mark_point(size=50)
    yield mark.encode(color=colour, fill=colour, tooltip=hover).add_params(picked)
    chosen = drawn(here).mark_point(size=130, filled=True, opacity=1)
    yield chosen.encode(color=colour, tooltip=hover)


def _matrices() -> Iterator[alt.Chart]:
    """Above the axes: W, and beside it B and A of the chosen rank, to scale."""
    once = alt.Chart(alt.Data(values=[{}]))
    thin = f"max(1.5, {_SIDE} * rank / facts.width)"
    b, top, bottom = _SIDE + _GAP, -_LIFT, _SIDE - _LIFT
    a, right = f"{b + _GAP} + {thin}", f"{b + _GAP + _SIDE} + {thin}"
    places = [(0, _SIDE, bottom, "#999999"), (b, f"{b} + {thin}", bottom, TRAINABLE)]
    places += [(a, right, f"{top} + {thin}", TRAINABLE)]
    for left, end, below, colour in places:
        ends = {"x": left, "x2": end, "y": top, "y2": below}
        pixels = {name: alt.expr(str(value)) for name, value in ends.items()}
        yield once.mark_rect(color=colour, **pixels)
    size = "facts.width + ' × ' + facts.width"
    signs = {f"{_SIDE + _GAP / 2}": "'+'", f"{b + _GAP / 2} + {thin}": "'·'"}
    for x, text in signs.items():
        yield said(once, alt.expr(x), top + _SIDE / 2, text, align="center", fontSize=16)
    yield said(once, _SIDE / 2, top + _SIDE / 2, f"['W, frozen', {size}]", align="center")
    numbers = "format(2 * facts.width * rank, ',') + ' numbers'"
    words = f"['B A, to scale:', {numbers}, format(2 * rank / facts.width, '.1%') + ' of W']"
    yield said(once, alt.expr(a), top + 50, words)


@checked
def spectrum_chart(adapter: str | Path = EXAMPLE_ADAPTER) -> SavedChart:
    """Singular values of the updates ΔW of an adapter file; the default ships with lorakit."""
    name = "encrypted clothes, r = 16" if adapter == EXAMPLE_ADAPTER else Path(adapter).stem
    table = singular_values(adapter)
    largest = table.groupby(["block", "target"])["value"].transform("max")
    table = table.assign(over=(table["value"] / largest).clip(lower=1e-6))
    held, targets = _held(table), list(table["target"].unique())
    few = max(1, len(held) // 4)
    picked = alt.selection_point(name="picked", fields=["target"], bind="legend")
    x = alt.X("index:Q", title="number of the singular value").axis(format="d")
    y = alt.Y("over:Q", title="singular value / the largest").scale(type="log", nice=False)
    base = alt.Chart(table).transform_filter(picked)
    base = base.encode(
        x=x.scale(domain=(1, len(held)), nice=False),
        y=y.axis(format="~g", values=[1e-3, 0.01, 0.1, 1]),
    )
    scale = alt.Scale(domain=targets, range=OTHER_COLOURS[: len(targets)])
    colour = alt.Color("target:N", scale=scale)
    hover = ["target", "block", "index", alt.Tooltip("over:Q", format=".3f", title="value")]
    dim = alt.when("datum.index <= first").then(alt.value(1)).otherwise(alt.value(0.25))
    line = base.mark_line(opacity=0.3).encode(color=colour, detail="block:N")
    mark = base.mark_point(filled=True, size=45).encode(color=colour, opacity=dim, tooltip=hover)
    params = [alt.param(name="adapter", value=name), alt.param(name="shares", value=held)]
    params += [slider("first", "the first", 1, len(held), few)]
    chart = alt.layer(line, mark.add_params(picked)).add_params(*params)
    found = f"the first {few} of {len(held)} directions hold {held[few - 1]} of ΔW (squared)"
    return SavedChart(card(chart, alt.expr(_HELD)), f"{name}: {found}")


def _held(values: pd.DataFrame) -> list[str]:
    """What share of each target's squares the first directions hold, in words, for any number."""
    squares = values["value"] ** 2
    sums = squares.groupby([values["index"], values["target"]], sort=False).sum().unstack()
    shares = sums.cumsum() / sums.sum()
    return [", ".join(f"{t} {s:.0%}" for t, s in row.items()) for row in shares.to_dict("records")]
