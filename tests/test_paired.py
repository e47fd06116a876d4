"""Paired comparisons, against numbers worked out by hand and by SciPy; and what they claim."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from lorakit import read_table
from lorakit.figures.paired import (
    claim_sentences,
    claim_title,
    paired_differences,
    plot_paired,
    verdict,
)
from lorakit.figures.style import CIPHER_SHOWN
from lorakit.figures.tables import with_usual_lora

from .pages import LESSON_04, TABLES


def table(accuracies, cipher="shuffle+negative", rank=4.0):
    """Rows of these methods' accuracies, one for each seed."""
    lines = []
    for method, values in accuracies.items():
        lora = method.startswith("lora")
        for seed, accuracy in enumerate(values):
            lines.append({"dataset": "fashion", "backbone": "vit_micro", "cipher": cipher,
                          "method": method, "targets": "q+v" if lora else None,
                          "rank": rank if lora else np.nan, "seed": seed, "accuracy": accuracy,
                          "trainable": 50 if lora else 1000, "total": 1000})  # fmt: skip
    return pd.DataFrame(lines)


FULL, PATCHED = [0.80, 0.82, 0.81, 0.85], [0.797, 0.818, 0.808, 0.846]


def test_the_interval_is_that_of_a_paired_t_test():
    rows = table({"full": FULL, "lora+patch": PATCHED, "lora": [0.7, 0.71, 0.69]})
    found = paired_differences(rows).set_index("method")
    reference = ttest_rel(PATCHED, FULL).confidence_interval(0.95)
    line = found.loc["lora+patch"]
    assert line[["low", "high"]].to_numpy() == pytest.approx([reference.low, reference.high])
    assert line["difference"] == pytest.approx(np.mean(PATCHED) - np.mean(FULL))
    assert line["share"] == 0.05 and line["pairs"] == 4
    assert found.loc["lora", "pairs"] == 3  # only seeds that both have
    assert "full" not in found.index


def test_pairs_need_the_same_seed_whatever_the_order_of_rows():
    rows = table({"full": FULL, "lora+patch": PATCHED})
    shuffled = rows.sample(frac=1, random_state=0)
    a, b = paired_differences(rows), paired_differences(shuffled)
    assert a["low"].item() == pytest.approx(b["low"].item())
    with pytest.raises(ValueError, match="reference='bitfit'"):
        paired_differences(rows, "bitfit")
    with pytest.raises(ValueError, match="reference='full'"):
        paired_differences(pd.concat([rows, rows[rows["method"] == "full"]]))


@pytest.mark.parametrize(
    ("low", "high", "margin", "says"),
    [(-0.9, 0.9, 1, "within"), (-1.1, 0.9, 1, "undecided"), (-3, -1.1, 1, "beyond"),
     (0.1, 2, 0, "beyond"), (-0.1, 2, 0, "undecided"), (1.2, 2, 1, "beyond")],
)  # fmt: skip
def test_the_verdict_follows_from_the_interval(low, high, margin, says):
    assert verdict(pd.Series({"low": low, "high": high}), margin) == says


def test_sentences_say_what_the_numbers_say():
    rows = table({"full": FULL, "lora+patch": PATCHED, "lora": [0.7, 0.71, 0.69, 0.72]})
    full, lora = claim_sentences(rows, "shuffle+negative", ["full", "lora"])
    assert "lora+patch (r = 4 on q+v, 5.0% trains) against full: -0.3 points" in full
    assert full.endswith("4 pairs), at most one point behind.") and lora.endswith(", ahead.")
    far = table({"full": FULL, "lora+patch": [v - 0.05 + 0.001 * s for s, v in enumerate(FULL)]})
    assert claim_sentences(far, "shuffle+negative", ["full"])[0].endswith(
        ", more than one point behind."
    )
    behind = table({"lora": FULL, "lora+patch": [v - 0.05 for v in FULL]})
    assert claim_sentences(behind, "shuffle+negative", ["lora"])[0].endswith(", behind.")
    once = table({"full": FULL[:1], "lora+patch": PATCHED[:1]})
    (says,) = claim_sentences(once, "shuffle+negative", ["full"])
    assert says.endswith("-0.3 points (one pair), not decided whether at most one point behind.")


def test_the_usual_lora_is_one_setting_of_it():
    rows = table({"full": FULL, "lora": FULL})
    more = [rows, table({"lora": FULL}, rank=16.0), table({"lora": FULL}).assign(targets="fc1")]
    pd.testing.assert_frame_equal(with_usual_lora(pd.concat(more)), rows)
    better = table({"lora": [v + 0.1 for v in FULL]}).assign(targets="fc1")  # is no reference
    found = paired_differences(pd.concat([rows, better]), "lora")
    assert found["method"].to_list() == ["full"] and found["difference"].to_list() == [0]


def test_the_figure_has_a_bar_for_each_method_at_its_difference():
    rows = table({"full": FULL, "lora+patch": PATCHED, "lora": [0.7, 0.71, 0.69, 0.72]})
    more = pd.concat([rows, table({"lora+patch": [v - 0.01 for v in PATCHED]}, rank=1.0)])
    for shown, names in ((rows, {"lora", "lora+patch"}), (more, {"lora", "lora+patch"})):
        (ax,) = plot_paired(shown).axes
        labels = [label.get_text() for label in ax.get_yticklabels()]
        assert {re.split(r"\n| \(", label)[0] for label in labels} == names
        found = paired_differences(shown)
        bars = sorted(line.get_xdata()[0] for c in ax.containers for line in c.lines[:1])
        assert bars == pytest.approx(sorted(100 * found["difference"]))
    assert len(labels) == 3 and any("r = 1" in label for label in labels)
    (ax,) = plot_paired(pd.concat([rows, table({"lora": FULL}).assign(targets="fc1")])).axes
    labels = {label.get_text() for label in ax.get_yticklabels()}
    assert {
        "lora\non q+v (5.0% train)",
        "lora\non fc1 (5.0% train)",
        "lora+patch (5.0% train)",
    } == labels


def test_a_panel_says_how_many_where_others_have_more():
    small = table({"full": FULL, "lora": PATCHED}).assign(train=4000)
    large = table({"full": FULL[:3], "lora": PATCHED[:3]}, cipher="none")
    large = large.assign(train=10_000, dataset="painted")
    titles = [ax.get_title(loc="left") for ax in plot_paired(pd.concat([small, large])).axes]
    told = " ".join(" ".join(titles).split())
    for words in ("4,000 pictures", "10,000 pictures", "4 keys", "3 keys"):
        assert words in told


def far_and_near():
    """Grey clothes on which all stay near, painted ones on which LoRA does not."""
    grey = table({"full": FULL, "lora": [v - 0.018 for v in FULL], "patch": PATCHED})
    far = {"full": FULL, "lora": [v - 0.1 for v in PATCHED], "lora+patch": PATCHED}
    return grey, table(far).assign(dataset="painted")


def test_the_title_of_the_claim_names_who_falls_far():
    grey, painted = far_and_near()
    title = claim_title(pd.concat([painted, grey]))
    assert title.splitlines() == [
        "Grey clothes: all within about 2 points of full",
        "Random colours: LoRA alone falls 10 behind",
    ]
    assert claim_title(grey[grey["method"] != "lora"]).endswith("within about 1 point of full")
    assert claim_title(painted.assign(targets="fc1")).endswith("colours: lora falls 10 behind")
    figures = plot_paired(grey), plot_paired(grey, title=claim_title(grey))
    asked, told = (figure.get_suptitle() for figure in figures)
    assert asked.startswith("How far from full?") and told == claim_title(grey)


@pytest.mark.parametrize("ciphers", [1, 2])
def test_rows_share_an_axis_unless_narrow_panels_would_lose_the_small_differences(ciphers):
    both = pd.concat(far_and_near())
    names = ("shuffle", "none")[:ciphers]
    figure = plot_paired(pd.concat([both.assign(cipher=name) for name in names]))
    limits = {ax.get_xlim() for ax in figure.axes}
    assert len(figure.axes) == 2 * ciphers and len(limits) == ciphers


def test_two_runs_of_one_method_and_seed_are_no_pair():
    """As those of two sizes of the training set would be."""
    rows = table({"full": FULL, "lora+patch": PATCHED})
    smaller = rows[rows["method"] == "lora+patch"].assign(accuracy=0.5)
    with pytest.raises(ValueError, match="rows: allowed: of each method"):
        paired_differences(pd.concat([rows, smaller]))


def test_what_lesson_04_says_of_the_larger_vit():
    """What LoRA adds to the patch embedding there, and that one key makes the verdicts."""
    rows = read_table(TABLES / "claim.csv").query("backbone == 'vit_mini'")
    assert "proj+fc1+fc2" not in set(rows["targets"])
    for rank in (4, 1):
        told = f"rank {rank}"
        for other in ("lora", "patch"):
            line = of_rank(paired_differences(rows, other), rank)
            told += " | {:+.2f} ({:.2f} to {:.2f})".format(*line[:3])
        assert f"| {told} |" in LESSON_04
    for rank, seed, words in (
        (1, 8, "of seed 8, and rank 1 is more than a point behind, too"),
        (4, 0, "of seed 0, and rank 4 is open"),
    ):
        found = paired_differences(rows[rows["seed"] != seed])
        low, high, says = of_rank(found, rank)[1:]
        assert says == ("undecided" if "open" in words else "beyond")
        shown = f"{-high:.2f}" if -high < 1 else f"{-high:.1f}"
        assert f"{words} ({shown} to {-low:.1f})" in LESSON_04


def of_rank(found, rank):
    """Of ``lora+patch``: difference, low and high in points, and what they say of one point."""
    line = found.set_index(["method", "rank"]).loc[("lora+patch", float(rank))]
    return *(100 * line[["difference", "low", "high"]]), verdict(line, 0.01)


def test_what_lesson_04_says_of_the_ciphers():
    """Who keeps up on plain pictures and who falls on encrypted ones; what a larger run gives."""
    ciphers = with_usual_lora(read_table(TABLES / "results.csv"))
    ciphers = pd.concat([ciphers, read_table(TABLES / "larger.csv")])
    found = paired_differences(ciphers)
    plain, secret = found[found["cipher"] == "none"], found[found["cipher"] != "none"]
    far = [verdict(line, 0.01) != "within" for _, line in plain.iterrows()]
    assert set(plain.loc[far, "method"]) == {"probe", "patch"}
    assert "all but the head and `patch` are within a point of `full`" in LESSON_04
    head = -100 * secret.loc[secret["method"] == "probe", "difference"]
    assert (round(head.min()), round(head.max())) == (3, 5) and "three to five points" in LESSON_04
    lora = secret[secret["method"] == "lora"].set_index(["backbone", "cipher"])["difference"]
    assert all("scramble" in last for _, last in lora.groupby("backbone").idxmin())
    small = ciphers[ciphers["cipher"] == CIPHER_SHOWN]
    large = with_usual_lora(read_table(TABLES / "claim.csv"))
    where = ["backbone", "method"]
    means = [rows.groupby(where)["accuracy"].mean() for rows in (large, small)]
    gain = (100 * (means[0] - means[1])).unstack()
    assert gain[["full", "lora"]].stack().between(2.3, 2.7).all() and (gain["lora+patch"] < 2).all()
    assert (
        "gave `full` and `lora` about two and a half points more, and `lora+patch` less"
        in LESSON_04
    )
