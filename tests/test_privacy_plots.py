"""Figures on privacy, from made-up tables in the form of real ones."""

import math

import numpy as np
import pandas as pd
import pytest

from lorakit.figures.accuracy import plot_accuracy
from lorakit.figures.privacy import plot_accountants, plot_audits, plot_signal_to_noise
from lorakit.figures.style import METHOD_NAMES
from lorakit.figures.tables import accuracy_table
from lorakit.privacy.accountant import compute_epsilon

EPSILONS = [0.5, 8.0, math.inf]


@pytest.fixture
def rows(made_up):
    settings = [("probe", None, 1290), ("lora+patch", 4, 38_282), ("lora+patch", 16, 60_000),
                ("full", None, 1_218_186)]  # fmt: skip
    level = {"probe": 0.5, "lora+patch": 0.4, "full": 0.2}
    return made_up(
        settings, lambda m, r, e, s: level[m] + 0.1 * EPSILONS.index(e) + 0.01 * s, EPSILONS
    )


def test_epsilon_figure_has_a_panel_a_line_and_infinity(rows):
    figure = plot_accuracy(rows, "epsilon")
    assert [ax.get_title("left").split(",")[0][:6] for ax in figure.axes] == [
        "street", "street", "handwr", "handwr",
    ]  # fmt: skip
    ax = figure.axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.5", "8", "∞\n(no noise)"]
    means = [k.get_ydata() for k in ax.lines if k.get_markersize() == 8]
    assert np.allclose(means[1], [0.41, 0.51, 0.61])  # lora+patch at rank 4 alone
    names = [t.get_text() for t in figure.legends[0].get_texts()]
    assert names == [METHOD_NAMES[m] for m in ("probe", "lora+patch", "full")]
    assert figure.get_suptitle() == "What does a promise cost in accuracy?"
    dots = [k for k in ax.lines if k.get_markersize() == 4]
    assert sum(len(k.get_xdata()) for k in dots) == 3 * 3 * 3


def test_privacy_table_has_a_column_for_each_epsilon(rows):
    table = accuracy_table(rows, "epsilon")
    assert list(table.columns[-3:]) == ["ε = 0.5", "ε = 8", "no noise"]
    assert len(table) == 2 * 2 * 4
    line = table[(table["dataset"] == "street") & (table["method"] == "full")].iloc[0]
    assert line["ε = 0.5"] == "21.0 ± 2.5" and line["no noise"] == "41.0 ± 2.5"


def test_parameter_figure_colours_by_epsilon(rows):
    one = rows[(rows["dataset"] == "digits") & (rows["cipher"] == "none")]
    figure = plot_accuracy(one, "trainable", hue="epsilon")
    lines = {k.get_label(): k for k in figure.axes[0].lines if not k.get_label().startswith("_")}
    assert {"ε = 0.5", "ε = 8", "no noise"} < set(lines)
    joined = [k.get_xdata() for k in figure.axes[0].lines if k.get_linestyle() != "None"]
    assert {38_282, 60_000} in map(set, joined)  # ranks of one method, and never two methods
    assert not any({1290, 1_218_186} & {*x} for x in joined if len({*x}) > 1)
    assert len({str(lines[n].get_color()) for n in ("ε = 0.5", "ε = 8", "no noise")}) == 3
    assert len(plot_accuracy(rows, "trainable", hue="epsilon").axes) == 4


def test_signal_to_noise_figure(rows):
    ratios = pd.DataFrame(
        [("probe", 1290, "head", 5.0), ("probe", 1290, "all", 5.0), ("full", 129_000, "head", 1.0),
         ("full", 129_000, "backbone", 0.2), ("full", 129_000, "all", 0.5)],
        columns=["method", "trainable", "part", "ratio"],
    )  # fmt: skip
    figure = plot_signal_to_noise(ratios, 2.0)
    drawn = {k.get_label(): k.get_xydata().tolist() for k in figure.axes[0].lines}
    assert drawn["probe"] == [[1290, 5.0]] and drawn["full"] == [[129_000, 0.5]]
    assert drawn["1 / √d"] == [[1290, 5.0], [129_000, pytest.approx(0.5)]]
    with pytest.raises(ValueError, match="none of the part 'all'"):
        plot_signal_to_noise(ratios[:1], 2.0)


def test_audit_figure_has_a_dot_for_each_audit():
    rows = pd.DataFrame({"variant": ["right", "wrong"] * 3, "claimed": 4.0,
                         "losses": 0.5, "curve": [1.0, 9.0] * 3})  # fmt: skip
    figure = plot_audits(rows, {"losses": "losses", "curve": "the whole curve"})
    left, right = (ax.collections[0].get_offsets() for ax in figure.axes)
    assert left[:, 0].tolist() == [0.5] * 6 and right[:, 0].tolist() == [1.0, 9.0] * 3
    assert right[:, 1].round().tolist() == [0, 1] * 3
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["right", "wrong"]
    assert "refute ε = 4" in figure.get_suptitle()
    told = [[t.get_text() for t in ax.texts if " of " in t.get_text()] for ax in figure.axes]
    assert told == [["0 of 3", "0 of 3"], ["0 of 3", "3 of 3"]]
    assert max(ax.get_xlim()[1] for ax in figure.axes) > 9


def test_accountant_figure():
    training = {"noise_multiplier": 1.0, "sample_rate": 0.05, "delta": 1e-4}
    figure = plot_accountants([10, 100], [1.0, 8.0], **training, planned=100)
    spent, noise = ([line.get_ydata() for line in ax.lines] for ax in figure.axes)
    names = [line.get_label().split()[0] for line in figure.axes[0].lines]
    assert names == ["PRV", "RDP", "GDP"]
    prv, rdp, gdp = (last for _, last in spent)
    assert gdp < prv < rdp  # GDP promises too much
    assert noise[1][0] > noise[0][0] > noise[0][1]
    assert compute_epsilon(noise[0][0], 0.05, 100, 1e-4) == pytest.approx(1.0, rel=0.02)


def test_a_table_without_privacy_is_refused(rows):
    with pytest.raises(ValueError, match="finite epsilon"):
        plot_accuracy(rows[np.isinf(rows["epsilon"])], "epsilon")
