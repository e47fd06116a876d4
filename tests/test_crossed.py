"""Key and seed crossed: the usual run among them; a spread that was put in is found again."""

import numpy as np
import pandas as pd
import pytest

from lorakit import Experiment, Recipe
from lorakit.experiments.crossed import run_crossed, spread
from lorakit.experiments.run import run


def test_with_the_key_of_its_own_seed_it_is_the_usual_run():
    usual = Experiment(train=64, val=8, test=100, cipher="shuffle", recipe=Recipe(epochs=1), seed=3)
    assert run_crossed(usual, 3)["accuracy"] == run(usual)["accuracy"]
    assert run_crossed(usual, 4)["accuracy"] != run(usual)["accuracy"]


def made_up(keys, seeds, of_key, of_seed, rest):
    random = np.random.default_rng(0)
    key, seed = random.normal(0, of_key, keys), random.normal(0, of_seed, seeds)
    accuracy = 0.8 + key[:, None] + seed + random.normal(0, rest, (keys, seeds))
    rows = pd.DataFrame(accuracy).stack().rename("accuracy").rename_axis(["key", "seed"])
    return rows.reset_index()


def test_it_finds_what_was_put_in():
    found = spread(made_up(400, 300, 0.02, 0.005, 0.01))
    assert found["key"] == pytest.approx(0.02, rel=0.1)
    assert found["seed"] == pytest.approx(0.005, rel=0.15)
    assert found["rest"] == pytest.approx(0.01, rel=0.02)
    assert spread(made_up(5, 3, 0.0, 0.0, 0.01))["key"] < 0.01  # and never below zero
