"""The rules of evidence, held by the committed tables of the claim: tuned here, reported there."""

from pathlib import Path

import pytest

from lorakit import read_table
from lorakit.experiments.claim import HEADLINE, HEADLINE_SEEDS, ROWS, SEEDS, TRIALS, cells, repeat
from lorakit.experiments.learning_rates import RATES
from lorakit.experiments.search_rates import (
    CELL,
    FIRST_TUNING_SEED,
    KNOBS,
    best_rates,
    write_rates,
)
from lorakit.figures.style import CIPHER_SHOWN
from lorakit.lora.vit import PARTS

ROOT = Path(__file__).resolve().parent.parent
LR = [f"lr_{part}" for part in PARTS]


@pytest.fixture(scope="module")
def trials():
    return read_table(ROOT / TRIALS)


@pytest.fixture(scope="module")
def reported():
    return read_table(ROOT / ROWS)


def test_tuning_saw_neither_a_reported_seed_nor_a_test_image(trials, reported):
    assert (trials["seed"] >= FIRST_TUNING_SEED).all() and (reported["seed"] < 100).all()
    assert (trials["eval_split"] == "val").all() and (trials["test"] == 1).all()
    assert (reported["eval_split"] == "test").all() and (reported["test"] == 5000).all()
    same = ["dataset", "train", "val", "epochs", "batch_size", "schedule", "weight_decay"]
    assert set(map(tuple, trials[same].values)) == set(map(tuple, reported[same].values))


def test_the_edge_of_what_was_tried_never_wins(trials):
    """The neighbours of each winner, twice and half of each rate, were tried and were no better."""
    tried = trials.set_index(CELL + LR)["accuracy"].groupby(level=list(range(len(CELL + LR))),
                                                            dropna=False).mean()  # fmt: skip
    tried = {tuple(map(str, key)): value for key, value in tried.items()}
    for _, best in best_rates(trials).iterrows():
        for knob in KNOBS[best["method"]]:
            for factor in (2.0, 0.5):
                moved = best.copy()
                for part in knob:
                    moved[f"lr_{part}"] *= factor
                assert tried[tuple(map(str, moved[CELL + LR]))] <= best["accuracy"]


def test_reported_runs_used_the_rates_that_won(trials, reported, tmp_path):
    write_rates([ROOT / TRIALS], tmp_path / "rates.csv")
    assert (tmp_path / "rates.csv").read_bytes() == Path(RATES).read_bytes()
    won = {tuple(map(str, line[CELL])): tuple(map(str, line[LR]))
           for _, line in best_rates(trials).iterrows()}  # fmt: skip
    for _, row in reported.iterrows():
        assert tuple(map(str, row[LR])) == won[tuple(map(str, row[CELL]))]


def test_the_headline_has_the_same_seeds_for_all_and_its_rows_are_todays_experiments(reported):
    micro = reported[reported["backbone"] == "vit_micro"]
    shown = micro[(micro["cipher"] == CIPHER_SHOWN) & micro["method"].isin(HEADLINE)]
    seeds = shown.groupby("method")["seed"].apply(set)
    assert set(seeds.index) == set(HEADLINE)
    assert set.intersection(*seeds) >= set(range(SEEDS))
    today = [e.id for c in cells("vit_micro", headline=True)
             for e in repeat(c, HEADLINE_SEEDS)]  # fmt: skip
    assert set(shown["id"]) <= set(today)
