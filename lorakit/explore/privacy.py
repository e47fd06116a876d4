"""What noise promises, and what it leaves to an attacker: a chart that needs no kernel.

``python -m lorakit.explore.privacy`` computes anew what it draws, in ten minutes on two CPU cores.
"""

import math
from collections.abc import Iterator
from itertools import product
from multiprocessing import Pool
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from lorakit.explore.saved import SavedChart, card, choice, said, slider
from lorakit.figures.style import OTHER_COLOURS
from lorakit.privacy.accountant import compute_epsilon, default_delta
from lorakit.privacy.meaning import what_it_means

TABLE = Path(__file__).parent / "promises.csv"
EXAMPLES, BATCHES, EPOCHS = (2000, 10_000, 60_000), (256, 1024), (1, 3, 10, 30, 100)
NOISES = np.linspace(0.6, 5, 12).round(1)  # as far apart as the steps of the slider
_OPENS = {"examples": 10_000, "batch": 256, "epochs": 10, "noise": 1.0}
_MENUS = {"examples": "training images", "batch": "batch", "epochs": "epochs"}
_ACCUSED, _FOUND = "outsiders accused", "members found, at most"
_AT_MOST = "cumulativeNormal(quantileNormal({}) + datum.mu)"  # found, at a share of accused
_SAID = (
    "['ε = ' + format(datum.epsilon, '.2f') + ' at δ = ' + format(datum.delta, '.0e'), "
    "'Accuse 1 outsider in 100: you find', "
    f"'at most ' + format(100 * {_AT_MOST.format(0.01)}, '.0f') + ' members in 100']"
)
_TITLE = (
    "[format(examples, ',') + ' images, batches of ' + format(batch, ','), "
    "epochs + ' epochs, σ = ' + noise]"
)
_NOTES = ["Dashed: a guess. Grey: other σ.", "ε by PRV; attackers by PLD, as a"]
_NOTES += ["Gaussian curve above it: upper bounds"]
_CHOSEN = "datum.epochs == epochs && abs(datum.noise - noise) < 0.1"
_BLUE, _ORANGE = OTHER_COLOURS[:2]


def privacy_chart() -> SavedChart:
    """Noise, epochs, batch and size, to epsilon and to the best attack; from a table that ships."""
    table = pd.read_csv(TABLE)
    table["delta"] = table["examples"].map(default_delta)
    table["mu"] = table["mu"].clip(upper=99)  # infinite, which JSON does not know
    offered = {name: sorted(table[name].unique().tolist()) for name in _MENUS}
    params = [choice(name, _MENUS[name], offered[name], _OPENS[name]) for name in _MENUS]
    params += [slider("noise", "noise multiplier σ", 0.6, 5, _OPENS["noise"], 0.4)]
    here = alt.Chart(table).transform_filter("datum.examples == examples && datum.batch == batch")
    panels = [alt.layer(*layers(here)) for layers in (_attack, _noise)]
    chart = alt.concat(*panels, spacing=24).resolve_scale(x="independent", y="independent")
    chart = card(chart.add_params(*params), alt.expr(_TITLE), _NOTES)

    opens = table[(table[list(_OPENS)] == pd.Series(_OPENS)).all(axis=1)].iloc[0]
    finding = (
        "10,000 images, batches of 256, 10 epochs, σ = 1: "
        f"ε = {opens['epsilon']:.2f} at δ = {opens['delta']:.0e}; an attacker who accuses 1 "
        f"outsider in 100 finds at most {100 * ndtr(ndtri(0.01) + opens['mu']):.0f} members in 100"
    )
    return SavedChart(chart, finding)


def _attack(here: alt.Chart) -> Iterator[alt.Chart]:
    """Members found against outsiders accused, for every noise; the chosen one in full colour."""
    x = alt.X("accused:Q", title=_ACCUSED).scale(type="log", domain=(0.001, 1), nice=False)
    y = alt.Y("found:Q", title=_FOUND).scale(domain=(0, 1)).axis(format=".0%", tickCount=5)
    rates = here.transform_calculate(accused="sequence(-3, 0.01, 0.1)")
    rates = rates.transform_filter("datum.epochs == epochs").transform_flatten(["accused"])
    rates = rates.transform_calculate(accused="min(0.9999, pow(10, datum.accused))")
    curves = rates.transform_calculate(found=_AT_MOST.format("datum.accused"))
    curves = curves.encode(x=x.axis(values=[0.001, 0.01, 0.1, 1], format="~%"), y=y)
    chosen = curves.transform_filter(_CHOSEN)
    one = chosen.transform_filter("abs(datum.accused - 0.01) < 1e-6")
    hover = [alt.Tooltip("accused:Q", title=_ACCUSED, format=".1%")]
    hover += [alt.Tooltip("found:Q", title=_FOUND, format=".1%")]

    yield curves.mark_line(color="#888888", opacity=0.5, strokeWidth=1).encode(detail="noise:N")
    guess = chosen.transform_calculate(found="datum.accused")
    yield guess.mark_line(strokeDash=[4, 4], color="#888888")
    yield chosen.mark_line(color=_BLUE, strokeWidth=3)
    yield one.mark_rule(color=_ORANGE, strokeWidth=2).encode(y2=alt.datum(0))
    yield one.mark_point(color=_ORANGE, filled=True, size=130, opacity=1)
    yield chosen.mark_point(size=200, opacity=0).encode(tooltip=hover)
    yield said(here.transform_filter(_CHOSEN), -56, -48, _SAID, fontWeight="bold")


def _noise(here: alt.Chart) -> Iterator[alt.Chart]:
    """Epsilon against noise, a line for each number of epochs."""
    x = alt.X("noise:Q", title="noise multiplier σ").scale(domain=(0.6, 6.4), nice=False)
    y = alt.Y("epsilon:Q", title="ε spent").scale(type="log", nice=False, padding=12)
    y = y.axis(format="~g", values=[0.01, 0.1, 1, 10, 100])
    lines = here.encode(x=x.axis(values=[1, 2, 3, 4, 5]), y=y)
    mine = alt.when("datum.epochs == epochs").then(alt.value(1)).otherwise(alt.value(0.5))
    texts = {"noise": "σ", "epochs": "epochs", "epsilon": "ε"}
    hover = [alt.Tooltip(f"{name}:Q", title=text, format="~g") for name, text in texts.items()]

    curve = lines.mark_line(color=_BLUE, interpolate="monotone")
    yield curve.encode(detail="epochs:N", opacity=mine)
    last = lines.transform_filter("datum.noise > 4.9")
    last = last.transform_calculate(said="datum.epochs + (datum.epochs == 1 ? ' epoch' : '')")
    yield last.mark_text(align="left", dx=5).encode(text="said:N", opacity=mine)
    yield lines.mark_point(size=60, opacity=0).encode(tooltip=hover)
    ring = lines.transform_filter(_CHOSEN)
    yield ring.mark_point(color=_ORANGE, filled=True, size=130, opacity=1).encode(tooltip=hover)


def promise(setting: tuple[int, int, int, float]) -> tuple[float, ...]:
    """The setting, epsilon by PRV at ``default_delta``, mu of the Gaussian curve for attackers."""
    examples, batch, epochs, noise = setting
    steps = epochs * math.ceil(examples / batch)
    mechanism = noise, batch / examples, steps, default_delta(examples)
    return *setting, round(compute_epsilon(*mechanism), 3), round(what_it_means(*mechanism).mu, 4)


if __name__ == "__main__":
    with Pool() as pool:
        lines = pool.map(promise, product(EXAMPLES, BATCHES, EPOCHS, NOISES), chunksize=8)
    names = ["examples", "batch", "epochs", "noise", "epsilon", "mu"]
    pd.DataFrame(lines, columns=names).to_csv(TABLE, index=False)
