"""The rules of evidence, held by the committed tables of the claim: tuned here, reported there."""

from pathlib import Path

import pandas as pd
import pytest

from figures.studies import claim
from figures.studies.claim import (
    BACKBONES,
    FOLDER,
    HEADLINE,
    ONE_RATE,
    SEEDS,
    TABLES,
    TUNED_ON,
    cells,
    drop_old_rates,
)
from lorakit import read_table
from lorakit.experiments.learning_rates import RATES
from lorakit.experiments.search_rates import (
    CELL,
    FIRST_TUNING_SEED,
    best_rates,
    knobs_of,
    write_rates,
)
from lorakit.experiments.table_file import read_rows, write_rows
from lorakit.lora.vit import PARTS

ROOT = Path(__file__).resolve().parent.parent
LR = [f"lr_{part}" for part in PARTS]


# a study whose search was stopped has trials, and no rows yet
REPORTED = sorted(n for n in {*TABLES.values()} if (ROOT / FOLDER / f"{n}.csv").exists())


def runs_of(study):
    """What a study reports, for each backbone that its table has."""
    there = set(read_table(ROOT / FOLDER / f"{TABLES[study]}.csv")["backbone"])
    some = (c for name in BACKBONES if name in there for c in cells(study, name))
    return {e.id: e for c in some for e in claim.reported(study, c)}


@pytest.fixture(scope="module", params=REPORTED)
def table(request):
    return ROOT / FOLDER / request.param


@pytest.fixture(scope="module")
def trials(table):
    return read_table(f"{table}_trials.csv")


@pytest.fixture(scope="module")
def reported(table):
    return read_table(f"{table}.csv")


def test_tuning_saw_neither_a_reported_seed_nor_a_test_image(table, trials, reported):
    assert (trials["seed"] >= FIRST_TUNING_SEED).all() and (reported["seed"] < 100).all()
    assert (trials["eval_split"] == "val").all() and (trials["test"] == 1).all()
    assert (reported["eval_split"] == "test").all()
    same = ["dataset", "epochs", "batch_size", "schedule", "weight_decay"]
    if table.name == "mark":  # of all 60,000, some are held back to tune, and none later
        assert (trials[[*TUNED_ON]] == list(TUNED_ON.values())).all(axis=None)
        assert (reported[["train", "test"]] == [60_000, 10_000]).all(axis=None)
    else:
        assert (reported["test"] == 5000).all()
        same += ["train", "val"]
    assert set(map(tuple, trials[same].values)) == set(map(tuple, reported[same].values))


def test_the_edge_of_what_was_tried_never_wins(table, trials):
    """The neighbours of each winner, twice and half of each rate, were tried and were no better."""
    levels = {"level": list(range(len(CELL + LR))), "dropna": False}
    tried = trials.set_index(CELL + LR)["accuracy"].groupby(**levels).mean()
    tried = {tuple(map(str, key)): value for key, value in tried.items()}
    apart = table.name not in {TABLES[study] for study in ONE_RATE}

    def inside(winner):
        for knob in knobs_of(winner["method"], apart):
            for factor in (2.0, 0.5):
                moved = winner.copy()
                for part in knob:
                    moved[f"lr_{part}"] *= factor
                if not tried.get(tuple(map(str, moved[CELL + LR])), 1.0) <= winner["accuracy"]:
                    return False
        return True

    assert all(inside(winner) for _, winner in best_rates(trials).iterrows())


def test_reported_runs_used_the_rates_that_won(table, trials, reported):
    shared = ["epsilon", "noise_multiplier", "rank"]  # one recipe for a curve
    shared += ["train"] * (table.name == "mark")
    if set(trials["backbone"]) > {"vit_micro"}:  # where rank 1 has rates of its own
        shared.remove("rank")
    same = [name for name in CELL if name not in shared]
    won = {tuple(map(str, line[same])): tuple(map(str, line[LR]))
           for _, line in best_rates(trials).iterrows()}  # fmt: skip
    for _, row in reported.iterrows():
        assert tuple(map(str, row[LR])) == won[tuple(map(str, row[same]))]


def test_the_rates_in_use_are_made_of_the_committed_trials(tmp_path):
    trials = [ROOT / FOLDER / f"{name}_trials.csv" for name in REPORTED]
    write_rates(trials, tmp_path / "rates.csv")
    assert (tmp_path / "rates.csv").read_bytes() == Path(RATES).read_bytes()


def test_every_row_is_an_experiment_of_a_study_and_has_the_seeds_of_its_like():
    """With the same number of seeds for all that a figure compares."""
    for study, table in TABLES.items():
        if table not in REPORTED:
            continue
        rows, today = read_table(ROOT / FOLDER / f"{table}.csv").set_index("id"), runs_of(study)
        there = rows.loc[[i for i in today if i in rows.index]]
        apart = ["backbone", "cipher", "method", "rank", "targets", "epsilon", "noise_multiplier"]
        apart += ["public", "bands", "groupwise_clipping"]
        seeds = there.groupby(apart, dropna=False)["seed"].apply(set)
        if study == "headline":
            for _, mine in seeds.groupby("backbone"):
                assert set(mine.index.get_level_values("method")) == set(HEADLINE)
                assert all(found == mine.iloc[0] for found in mine)
            assert set(range(SEEDS[study])) == seeds.loc["vit_micro"].iloc[0]
        assert all(len(found) >= min(SEEDS[study], 5) for found in seeds)


def test_rows_at_rates_that_were_replaced_are_taken_out(tmp_path):
    rows = read_rows(ROOT / FOLDER / "painted.csv")
    write_rows([rows[0] | {"id": "f" * 16, "lr_head": "0.5"}, *rows], tmp_path / "painted.csv")
    drop_old_rates(tmp_path / "painted.csv")
    assert read_rows(tmp_path / "painted.csv") == rows


def test_scattering_features_were_tuned_like_ours():
    rows = pd.read_csv(ROOT / FOLDER / "scattering.csv")
    trials, reported = (rows[rows["eval_split"] == part] for part in ("val", "test"))
    best = trials["lr"][trials["accuracy"].idxmax()]
    assert set(reported["lr"]) == {best} and {best / 2, 2 * best} <= set(trials["lr"])
    assert sorted(reported["seed"]) == [*range(SEEDS["mark"])]
    assert trials["seed"].min() >= FIRST_TUNING_SEED and set(trials["train"]) == {50_000}
    assert set(reported["train"]) == {60_000} and set(reported["test"]) == {10_000}
    assert (rows["epsilon_spent"] <= 3).all() and set(rows["delta"]) == {1e-5}


def test_every_row_is_of_some_study():
    for table in REPORTED:
        studies = [study for study, name in TABLES.items() if name == table]
        today = set().union(*(runs_of(study) for study in studies))
        assert set(read_table(ROOT / FOLDER / f"{table}.csv")["id"]) <= today
