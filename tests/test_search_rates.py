"""Rates are searched on validation images and seeds of their own, and the edge never wins."""

from itertools import product

import pandas as pd
import pytest

from lorakit import Experiment
from lorakit.experiments import learning_rates, search_rates
from lorakit.experiments.search_rates import KNOBS, best_rates, knobs_of, write_rates
from lorakit.lora.vit import METHODS

CELL = {"dataset": "fashion", "backbone": "vit_micro", "cipher": "shuffle"}


@pytest.fixture
def hill(monkeypatch):
    """Runs that are not run: accuracy falls with the distance from a peak. What was asked for."""
    asked = []

    def score(e):
        asked.append(e)
        lr = e.recipe.lr
        far = abs(lr["head"] / 0.016 - 1) + abs(lr.get("patch_embed", 0.001) / 0.001 - 1)
        return {"id": e.id, **e.settings(), "accuracy": 0.9 - 0.01 * far,
                "trainable": 1, "total": 2}  # fmt: skip

    def run_all(experiments, table, n_jobs=None):
        rows = pd.DataFrame([score(e) for e in {e.id: e for e in experiments}.values()])
        old = [pd.read_csv(table)] if table.exists() else []
        pd.concat([*old, rows]).drop_duplicates("id").to_csv(table, index=False)
        return rows

    monkeypatch.setattr(search_rates, "sweep", run_all)
    monkeypatch.setattr(search_rates, "read_table", pd.read_csv)
    return asked


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("method", ["probe", "lora+patch"])
def test_the_search_climbs_to_the_peak_and_looks_at_all_its_neighbours(
    hill, tmp_path, method, apart
):
    start = Experiment.from_settings(**CELL, method=method, lr_head=0.001, lr_patch_embed=0.004)
    start = start.replace(lr_lora=0.001) if method != "probe" else start
    nearer = start.replace(cipher="none", lr_head=0.008)  # another cell, there sooner
    cells = [start, nearer]
    table = tmp_path / "trials.csv"
    found, other = search_rates.search_rates(cells, table, head_apart=apart)
    assert found.recipe.lr["head"] == other.recipe.lr["head"] == 0.016
    assert (found.cipher, other.cipher) == ("shuffle", "none") and found.seed == start.seed == 0
    assert {e.seed for e in hill} == {100}
    assert {(e.eval_split, e.test) for e in hill} == {("val", 1)}
    tried = {(e.cipher, *e.recipe.lr.items()) for e in hill}
    for e, knob, factor in product((found, other), knobs_of(method, apart), (0.5, 2)):
        moved = {p: r * factor if p in knob else r for p, r in e.recipe.lr.items()}
        assert (e.cipher, *moved.items()) in tried
    rates = write_rates([table], tmp_path / "rates.csv")
    assert len(rates) == 2 and (rates["lr_head"] == 0.016).all()


def test_two_cells_that_are_one_are_searched_together(hill, tmp_path):
    """Trials have seeds of their own, so cells that differ in the seed alone have the same."""
    start = Experiment.from_settings(**CELL, method="probe", lr_head=0.008)
    found = search_rates.search_rates([start, start.replace(seed=1)], tmp_path / "trials.csv")
    assert [e.recipe.lr["head"] for e in found] == [0.016] * 2 and [e.seed for e in found] == [0, 1]


def test_an_experiment_takes_the_rates_of_its_own_cell_or_the_nearest(tmp_path, monkeypatch):
    cells = [("shuffle", 4, None, 0.5), ("none", 4, None, 0.25), ("none", 1, None, 0.125)]
    cells.append(("none", 4, 2.0, 0.0625))
    rows = []
    for cipher, rank, epsilon, rate in cells:
        settings = CELL | {"cipher": cipher, "rank": rank, "method": "lora", "lr_head": rate}
        settings |= {} if epsilon is None else {"epsilon": epsilon}
        e = Experiment.from_settings(**settings, lr_lora=rate)
        rows.append({**e.settings(), "accuracy": 0.5})
    best_rates(pd.DataFrame(rows)).to_csv(tmp_path / "rates.csv", index=False)
    monkeypatch.setattr(learning_rates, "RATES", tmp_path / "rates.csv")
    learning_rates.searched_rates.cache_clear()

    def head(**settings):
        chosen = CELL | {"method": "lora", "cipher": "none"} | settings
        return Experiment.from_settings(**chosen).recipe.lr["head"]

    assert head() == 0.25 and head(cipher="shuffle") == 0.5 and head(rank=1) == 0.125
    assert head(cipher="scramble") == 0.25  # no such cell: the one with most in common
    assert head(epsilon=2.0) == head(epsilon=8.0) == 0.0625
    assert head(noise_multiplier=0.0) == 0.0625  # the control has the recipe of private runs
    assert head(dataset="street") == 0.25 == head(backbone="vit_mini")  # the nearest that there is
    assert head(method="probe") == 1e-2 and head(backbone="vit_tiny_patch16_224") == 1e-3  # usual
    assert head(method="full", epsilon=2.0) == 1e-2  # set by hand
    learning_rates.searched_rates.cache_clear()


def test_every_method_has_knobs_for_all_that_it_trains():
    assert set(KNOBS) == set(METHODS)
    for method in METHODS:
        for settings in ({}, {"epsilon": 2.0}):
            trains = set(Experiment.from_settings(method=method, **settings).recipe.lr)
            assert trains <= {part for knob in KNOBS[method] for part in knob}
