import numpy as np
import pandas as pd
import pytest
import torch

from lorakit import data, make_key
from lorakit.encryption.equivariance import adapt_patch_embedding
from lorakit.figures.accuracy import plot_accuracy
from lorakit.figures.diagrams import (
    plot_encryption,
    plot_methods,
    plot_patch_embeddings,
    read_back,
    smoothness,
)
from lorakit.figures.style import METHOD_COLOURS, METHOD_NAMES, save_figure
from lorakit.figures.tables import accuracy_table, save_table, summarise


@pytest.fixture
def rows(made_up):
    settings = [
        ("probe", None, 1290), ("lora", 1, 4362), ("lora", 4, 13_578), ("full", None, 1_218_186),
        ("lora+patch", 1, 29_066), ("lora+patch", 4, 38_282),
    ]  # fmt: skip
    levels = {"probe": 0.2, "lora": 0.4, "lora+patch": 0.8, "full": 0.9}
    return made_up(settings, lambda m, r, e, s: levels[m] + 0.01 * s + 0.001 * (r or 0))


@pytest.fixture
def encrypted(rows):
    return rows[rows["cipher"] == "shuffle+negative"]


def points(ax, method):
    """The big markers of one method: their y values."""
    from matplotlib.colors import to_hex

    lines = [k for k in ax.lines if k.get_markersize() == 8]
    mine = [k for k in lines if to_hex(k.get_color()).upper() == METHOD_COLOURS[method].upper()]
    return sorted(float(y) for k in mine for y in k.get_ydata())


def intervals(ax):
    """How many error bars there are."""
    return sum(len(bars.lines[2][0].get_segments()) for bars in ax.containers)


def test_summary_is_mean_t_interval_and_share(rows):
    line = summarise(rows).set_index(["dataset", "cipher", "method", "targets", "rank"])
    lora = line.loc[("street", "none", "lora", "q+v", 4.0)]
    assert lora["mean"] == pytest.approx(0.414) and lora["seeds"] == 3
    assert lora["interval"] == pytest.approx(4.303 * 0.01 / np.sqrt(3), rel=1e-3)
    assert lora["share"] == pytest.approx(13_578 / 1_218_186)
    assert np.isnan(summarise(rows[rows["seed"] == 0])["interval"]).all()


def test_accuracy_figure_shows_every_mean_seed_and_interval(rows):
    figure = plot_accuracy(rows)
    street, digits = figure.axes
    assert "street" in street.get_title("left") and "hand" in digits.get_title("left")
    assert points(street, "lora+patch") == pytest.approx([0.814, 0.814])
    assert intervals(street) == 8  # an interval for 4 methods under 2 ciphers
    seeds = [k for k in street.lines if k.get_markersize() == 4]
    assert sum(len(k.get_xdata()) for k in seeds) == 24
    assert [t.get_text() for t in street.get_xticklabels()] == ["plain", "shuffle\n+ negative"]
    assert figure.get_suptitle() == "Which methods can read encrypted pictures?"
    names = [t.get_text() for t in figure.legends[0].get_texts()]
    assert names == [METHOD_NAMES[m] for m in ("probe", "lora", "lora+patch", "full")]


def test_rank_figure_has_a_log_axis_and_level_lines(encrypted):
    ax = plot_accuracy(encrypted, "rank").axes[0]
    assert ax.get_xscale() == "log"
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "4"]
    assert points(ax, "lora") == pytest.approx([0.411, 0.414])
    levels = [k.get_ydata()[0] for k in ax.lines if list(k.get_xdata()) == [0, 1]]
    assert any(y == pytest.approx(0.91) for y in levels)  # full, which has no rank


def test_parameter_figure_places_methods_by_count(encrypted):
    ax = plot_accuracy(encrypted, "trainable").axes[0]
    assert ax.get_xscale() == "log"
    big = {int(x) for k in ax.lines if k.get_markersize() == 8 for x in k.get_xdata()}
    assert big == {1290, 4362, 13_578, 29_066, 38_282, 1_218_186}


@pytest.mark.parametrize("x", ["cipher", "rank", "trainable"])
def test_one_seed_one_dataset_draws_too_and_an_empty_table_does_not(rows, x, tmp_path):
    small = rows[(rows["seed"] == 0) & (rows["dataset"] == "digits")]
    paths = save_figure(plot_accuracy(small, x), tmp_path / "figure")
    assert [p.suffix for p in paths] == [".png", ".pdf"]
    assert paths[0].read_bytes()[:4] == b"\x89PNG" and paths[1].read_bytes()[:4] == b"%PDF"
    with pytest.raises(ValueError, match="rows"):
        plot_accuracy(rows[:0], x)


def test_colours_can_tell_epsilons_apart(rows):
    both = pd.concat([rows, rows.assign(epsilon=8.0)])
    ax = plot_accuracy(both, "rank", hue="epsilon").axes[0]
    names = ax.get_legend_handles_labels()[1]
    assert names[:2] == ["ε = 8", "no noise"] and METHOD_NAMES["lora"] in names
    assert ax.get_title("left").startswith("street")
    big = [k for k in ax.lines if k.get_markersize() == 8]
    assert len({k.get_color() for k in big}) == 2  # two epsilons
    assert len({k.get_marker() for k in big}) == 2  # lora, lora+patch


@pytest.mark.parametrize(
    ("x", "hue"), [("loss", "method"), ("rank", "seed"), ("epsilon", "epsilon")]
)
def test_an_axis_that_is_none_is_named(rows, x, hue):
    with pytest.raises(ValueError, match=f"x='{x}', hue='{hue}'"):
        plot_accuracy(rows, x, hue=hue)


def test_other_targets_are_a_series_of_their_own(encrypted):
    lora = encrypted[(encrypted["method"] == "lora") & (encrypted["rank"] == 4)]
    figure = plot_accuracy(pd.concat([encrypted, lora.assign(targets="fc1")]), "rank")
    names = [t.get_text() for t in figure.legends[0].get_texts()]
    assert "lora" in names and "lora on fc1" in names
    big = [k for k in figure.axes[0].lines if k.get_markersize() == 8]
    assert sum(k.get_markerfacecolor() == "white" for k in big) == 1


def test_rows_that_are_no_repetitions_are_not_averaged(rows):
    with pytest.raises(ValueError, match="agree"):
        summarise(pd.concat([rows, rows[:1].assign(accuracy=0.0)]))


def test_a_cipher_without_a_name_is_shown_all_the_same(rows):
    other = rows[rows["cipher"] == "none"].assign(cipher="negative")
    assert "negative" in accuracy_table(pd.concat([rows, other]))
    figure = plot_accuracy(pd.concat([rows, other]))
    assert "negative" in [t.get_text() for t in figure.axes[0].get_xticklabels()]


def test_accuracy_table_in_three_formats(rows, tmp_path):
    table = accuracy_table(rows)
    assert len(table) == 2 * 6 and list(table.columns[-2:]) == ["plain", "shuffle + negative"]
    line = table[(table["dataset"] == "street") & (table["method"] == "full")].iloc[0]
    assert line["plain"] == "91.0 ± 2.5" and line["share"] == "100.00%"
    paths = save_table(table, tmp_path / "table")
    csv, markdown, latex = (p.read_text() for p in paths)
    assert pd.read_csv(paths[0], keep_default_na=False).astype(str).equals(table.astype(str))
    assert markdown.count("\n") == 14 and "| 91.0 ± 2.5 |" in markdown
    assert r"91.0 $\pm$ 2.5" in latex and r"100.00\%" in latex and "toprule" in latex
    assert csv


def test_method_figure_counts_on_the_model():
    figure = plot_methods(backbone="vit_micro", rank=2)
    texts = [t.get_text() for ax in figure.axes for t in ax.texts]
    assert any("32,138" in t for t in texts)  # 1,290 + 24,704 + 6 blocks x 2 maps x 2 x 256
    assert sum(t == "LoRA" for t in texts) == 6  # three blocks drawn in two of the methods


def test_encryption_figure_shows_plain_secret_and_back():
    images = data.load("street", train=2, val=1, test=1).train.images
    figure = plot_encryption(images)
    titles = [ax.get_title("center") for ax in figure.axes[:8]]
    assert titles == ["plain", "scramble", "shuffle", "… + negative", "all three", "right key",
                      "wrong key", "after one leak"]  # fmt: skip
    shown = [ax.images[0].get_array() for ax in figure.axes[8:]]  # not the one that leaked
    assert np.array_equal(shown[0], images[1].permute(1, 2, 0).numpy())
    assert np.array_equal(shown[5], shown[0]) and np.array_equal(shown[7], shown[0])
    assert figure.get_suptitle().endswith("picture opens the others")
    flat = images.clone()
    flat[0] = 7  # a picture of one value tells nothing
    assert plot_encryption(flat).get_suptitle().endswith("does not quite open the others")
    assert all((shown[i] != shown[0]).mean() > 0.4 for i in (1, 2, 3, 4, 6))


def test_embedding_figure_knows_the_right_key():
    steps = torch.randn(16, 3, 8, 8).cumsum(2).cumsum(3)  # smooth filters
    before, key = steps / steps.std(), make_key(32, 8, seed=0)
    assert torch.equal(read_back(adapt_patch_embedding(before, key), key), before)
    assert smoothness(before) > 0.5 > 0.1 > abs(smoothness(adapt_patch_embedding(before, key)))
    change = adapt_patch_embedding(before.flip(0), key) + 0.1 * torch.randn(16, 3, 8, 8)
    figure = plot_patch_embeddings(before, before + 0.01 * change, key, filters=4)
    pictures = [ax for sub in figure.subfigs for ax in sub.axes if ax.images]
    assert len(pictures) == 4 * 4
    bars = figure.subfigs[1].axes[0]
    assert max(bar.get_x() for bar in bars.patches) < 0.3 < bars.lines[0].get_xdata()[0]
    assert "right key stands out" in bars.get_title("left")
    # the last row has the changes as the key reads them, of the filters that changed most
    most = change.flatten(1).norm(dim=1).argmax()
    shown, wanted = pictures[12].images[0].get_array(), read_back(change, key)[most]
    wanted = 0.5 + 0.5 * wanted / wanted.abs().max()
    assert np.allclose(shown, wanted.permute(1, 2, 0), atol=1e-4)
    untrained = plot_patch_embeddings(before, torch.randn(16, 3, 8, 8), key, filters=4)
    assert "No key" in untrained.subfigs[1].axes[0].get_title("left")
