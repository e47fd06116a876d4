"""Accuracy against rank, parameters, epsilon or cipher: a chart that needs no kernel."""

import json
from collections.abc import Iterator, Mapping

import altair as alt
import ipywidgets as widgets
import pandas as pd
from IPython.display import display

from lorakit.checks import checked
from lorakit.explore.points import NO_RANK, best_in_words, newest_beside, opening, points
from lorakit.explore.saved import COLOURS, INK, SavedChart, card, choice, said, slider
from lorakit.figures.style import METHOD_MARKERS
from lorakit.figures.tables import in_order

_AGAINST = {
    "trainable": "trainable parameters",
    "rank": "rank r of LoRA",
    "epsilon": "privacy budget ε",
    "cipher": "encryption",
}
_MARKERS = {"v": "triangle-down", "^": "triangle-up", "P": "cross", "s": "square", "o": "circle"}
_MARKERS |= {"X": "M-.7,-.7L.7,.7M.7,-.7L-.7,.7", "D": "diamond"}
_SHAPES = {method: _MARKERS[marker] for method, marker in METHOD_MARKERS.items()}
_STAR = "M0,-1L.3,-.4L1,-.3L.5,.2L.6,.9L0,.5L-.6,.9L-.5,.2L-1,-.3L-.3,-.4Z"
_GREY, _RING = "#C4C4C4", "#E69F00"
_IN_STEPS = "against == 'epsilon' || against == 'cipher'"
_SHOWN = (
    "datum.dataset == dataset && (against == 'cipher' || datum.cipher == cipher)"
    " && (against == 'epsilon' || datum.privacy == privacy)"
    f" && (datum.usual || !({_IN_STEPS}))"
)
_TITLE = (
    "[dataset, against == 'cipher' ? privacy : "
    "cipher + (against == 'epsilon' ? '' : ', ' + privacy)]"
)
_HOVER = {"name": "method", "accuracy": "accuracy", "seeds": "seeds", "trainable": "parameters"}
_HOVER |= {"share": "share", "cipher": "cipher", "privacy": "privacy", "recipe": "trained on"}
_FORMS = {"trainable": ",", "share": ".2%"}
_Y = alt.Y("mean:Q", title="test accuracy").axis(format="%").scale(zero=False)
_BUDGET = 5.0  # trainable parameters at first, as a power of ten


@checked
def results_chart(rows: pd.DataFrame, own: pd.DataFrame | None = None) -> SavedChart:
    """A results table as a chart with menus, a legend that filters, a budget, words on hover.

    Args:
        rows: a results table; each mark is a mean over seeds, and over nothing else.
        own: rows of one's own, each a star; the chart opens where the newest of them is.
    """
    table = points(rows, own)
    opens = opening(table)
    layers = [*_frame(table), *_marks(table)]
    chart = alt.layer(*layers).add_params(*_menus(table, opens))
    chart = card(chart, alt.expr(_TITLE), newest_beside(table))
    return SavedChart(chart, best_in_words(table, opens, 10**_BUDGET))


def _menus(table: pd.DataFrame, opens: dict[str, str]) -> Iterator[alt.Parameter]:
    """What the reader chooses, inside the chart."""
    steps = _steps(table)
    offered = {"dataset": list(table["dataset"].unique()), "cipher": steps["cipher"]}
    offered["privacy"] = steps["epsilon"][::-1]
    yield choice("against", "accuracy against", list(_AGAINST), "trainable", _AGAINST.values())
    for name, text in (("dataset", "data set"), ("cipher", "cipher"), ("privacy", "privacy")):
        yield choice(name, text, offered[name], opens[name])
    low, high = (round(end(table["at_trainable"]), 1) for end in (min, max))
    at = min(max(_BUDGET, low), high)
    yield slider("budget", "budget", low, high + 0.1, at, 0.05)


def _steps(table: pd.DataFrame) -> dict[str, list[str]]:
    """The values of axes that have them at equal distances, in order."""
    columns = {"epsilon": "privacy", "cipher": "cipher"}
    return {a: list(table.sort_values(f"at_{a}")[name].unique()) for a, name in columns.items()}


def _axis(table: pd.DataFrame) -> alt.X:
    """One axis for all that can stand on it: places are numbers, labels follow the menu."""
    names = _steps(table)
    ticks = {axis: list(range(len(values))) for axis, values in names.items()}
    ticks |= {"rank": list(range(NO_RANK, 9)), "trainable": list(range(1, 10))}
    places = [table[f"at_{axis}"] for axis in _AGAINST]
    low, high = (
        alt.expr(f"{json.dumps(dict(zip(_AGAINST, ends)))}[against]")
        for ends in ([min(p) - 0.3 for p in places], [max(p) + 0.3 for p in places])
    )
    label = (
        "against == 'trainable' ? format(pow(10, datum.value), '~s') : against == 'rank' ? "
        "(datum.value < 0 ? 'no LoRA' : format(pow(2, datum.value), 'd')) : "
        f"split({json.dumps(names)}[against][datum.value], ' + ')"
    )
    axis = alt.Axis(title=" ", values=alt.expr(f"{json.dumps(ticks)}[against]"), labelExpr=label)
    return alt.X("at:Q", axis=axis, scale=alt.Scale(nice=False, domainMin=low, domainMax=high))


def _marks(table: pd.DataFrame) -> Iterator[alt.Chart]:
    """Lines, intervals, means, one's own stars, and the best within the budget."""
    picked = alt.selection_point(name="picked", fields=["method"], bind="legend")
    base = (
        alt.Chart(table)
        .transform_filter(_SHOWN)
        .transform_filter(picked)
        .transform_calculate(at="datum['at_' + against]", inside="datum.at_trainable <= budget")
        .transform_calculate(score="datum.inside && !datum.yours ? datum.mean : -1")
        .transform_calculate(step=f"{_IN_STEPS} ? round(datum.at) : 0")
        .transform_joinaggregate(best="max(score)", groupby=["step"])
        .transform_calculate(wins="datum.score > 0 && datum.score == datum.best")
    )
    placed = base.encode(x=_axis(table), y=_Y)
    methods, legend = in_order(table["method"]), alt.Legend(values=_present(table))
    colours, shapes = (
        {"scale": alt.Scale(domain=methods, range=[looks[m] for m in methods]), "legend": legend}
        for looks in (COLOURS, _SHAPES)
    )
    beyond = alt.when("!datum.inside").then(alt.value(_GREY))
    colour = beyond.otherwise(alt.Color("method:N", **colours))
    fill = beyond.otherwise(alt.Fill("method:N", **colours))
    full = alt.when("datum.hollow").then(alt.value(0)).otherwise(alt.value(1))
    shape = alt.Shape("method:N", **shapes)
    hover = [alt.Tooltip(n, title=t, format=_FORMS.get(n, "")) for n, t in _HOVER.items()]

    level = base.transform_filter("against == 'rank' && !(datum.rank > 0)")
    yield level.mark_rule(strokeDash=[4, 4], opacity=0.6).encode(y=_Y, color=colour)
    line = placed.transform_filter("against == 'rank' ? datum.rank > 0 : against != 'cipher'")
    yield line.mark_line(opacity=0.5).encode(detail="line:N", color=alt.Color("method:N"))
    yield placed.mark_rule(strokeWidth=1.5).encode(y="low:Q", y2="high:Q", color=colour)
    mean = placed.transform_filter("!datum.yours").mark_point(size=110, strokeWidth=2, opacity=1)
    look = {"color": colour, "fill": fill, "fillOpacity": full, "shape": shape}
    yield mean.encode(tooltip=hover, **look).add_params(picked)
    unusual = placed.transform_filter("datum.hollow")
    unusual = unusual.transform_calculate(on="split(split(datum.name, ' on ')[1], '+')")
    yield unusual.mark_text(align="right", baseline="middle", dx=-18, dy=-14).encode(text="on:N")
    star = placed.transform_filter("datum.yours")
    star = star.mark_point(shape=_STAR, size=300, opacity=1, aria=False)  # mostly there are none
    yield star.encode(tooltip=hover, fill=fill, stroke=alt.value(INK))
    yield from _winner(placed.transform_filter("datum.wins"))


def _present(table: pd.DataFrame) -> alt.Expr:
    """The methods that a picture has; the legend names no others."""
    groups = (["dataset", "cipher", "privacy"], ["dataset", "privacy"], ["dataset", "cipher"])
    parts = [part for names in groups for part in table.groupby(names)]
    have = {"".join(where): in_order(rows["method"]) for where, rows in parts}
    where = "dataset + (against == 'cipher' ? '' : cipher) + (against == 'epsilon' ? '' : privacy)"
    return alt.expr(f"{json.dumps(have)}[{where}] || []")


def _winner(best: alt.Chart) -> Iterator[alt.Chart]:
    """A ring around the best, and its name above the picture."""
    yield best.mark_point(shape="circle", size=500, stroke=_RING, strokeWidth=3, opacity=1)
    name = f"{_IN_STEPS} ? 'in each column: ringed' : datum.name + ', ' + datum.accuracy"
    one = best.transform_window(n="row_number()").transform_filter("datum.n == 1")
    yield said(one, -62, -12, name, fontWeight="bold")


def _frame(table: pd.DataFrame) -> Iterator[alt.Chart]:
    """The budget and its rule, the axis in words, and what to say where there is nothing."""
    once = alt.Chart(alt.Data(values=[{}]))
    budget = "'best with at most ' + format(pow(10, budget), ',.0f') + ' parameters'"
    yield said(once, -62, -28, budget, fontWeight="bold")
    rule = once.transform_filter("against == 'trainable'")
    rule = rule.transform_calculate(at="budget", end="12").encode(x=_axis(table))
    yield rule.mark_rect(color=INK, opacity=0.07, clip=True).encode(x2="end:Q")
    yield rule.mark_rule(color=_RING, strokeWidth=2, clip=True)
    middle, below = alt.expr("width / 2"), alt.expr("height + (against == 'cipher' ? 66 : 38)")
    axis = alt.expr(f"{json.dumps(_AGAINST)}[against]")
    yield once.mark_text(x=middle, y=below, text=axis, fontWeight="bold")
    count = alt.Chart(table).transform_calculate(here=f"{_SHOWN} ? 1 : 0")
    none = count.transform_aggregate(found="sum(here)").transform_filter("datum.found == 0")
    text = "no run in the table: choose another cipher or privacy"
    yield none.mark_text(x=middle, y=alt.expr("height / 2"), text=text)


class Results:
    """A ``results_chart`` that runs of one's own join; ``output`` shows it among widgets."""

    @checked
    def __init__(self, rows: pd.DataFrame, own: pd.DataFrame | None = None) -> None:
        self.rows, self.own = rows, own
        self.output, self._shown = widgets.Output(layout={"width": "100%"}), None
        self._draw()

    def add(self, row: Mapping[str, object]) -> None:
        """Show one more row of one's own wherever the chart stands."""
        old = [] if self.own is None else [self.own[self.own["id"] != row["id"]]]
        self.own = pd.concat([*old, pd.DataFrame([row])], ignore_index=True)
        self._draw()

    def _draw(self) -> None:
        self.chart = results_chart(self.rows, self.own)
        self.output.outputs = (self.chart.output(),)
        if self._shown is not None:
            self._shown.update(self.chart)

    def _ipython_display_(self) -> None:
        self._shown = display(self.chart, display_id=True)
