"""Key and seed crossed: each has its own effect; a spread that was put in is found again."""

import numpy as np
import pandas as pd
import pytest
import torch

from figures.studies.crossed import spread
from lorakit import Experiment, Recipe, train_model


def test_the_key_has_a_seed_of_its_own_if_one_is_given():
    usual = Experiment(train=64, val=8, test=100, cipher="shuffle", recipe=Recipe(epochs=1), seed=3)
    assert usual.replace(key_seed=3) == usual and usual.replace(key_seed=4).id != usual.id
    assert usual.replace(cipher="none", key_seed=4) == usual.replace(cipher="none")
    (model, key, _), (other, other_key, _) = (
        train_model(e, device="cpu") for e in (usual.replace(key_seed=4), usual.replace(seed=4))
    )
    assert torch.equal(key.pixels, other_key.pixels)  # one key, another start
    assert not torch.equal(model.head.weight, other.head.weight)
    with pytest.raises(ValueError, match="key_seed=-1"):
        usual.replace(key_seed=-1)


def made_up(keys, seeds, of_key, of_seed, rest):
    random = np.random.default_rng(0)
    key, seed = random.normal(0, of_key, keys), random.normal(0, of_seed, seeds)
    accuracy = 0.8 + key[:, None] + seed + random.normal(0, rest, (keys, seeds))
    rows = pd.DataFrame(accuracy).stack().rename("accuracy").rename_axis(["key_seed", "seed"])
    return rows.reset_index()


def test_it_finds_what_was_put_in():
    found = spread(made_up(400, 300, 0.02, 0.005, 0.01))
    assert found["key"] == pytest.approx(0.02, rel=0.1)
    assert found["seed"] == pytest.approx(0.005, rel=0.15)
    assert found["rest"] == pytest.approx(0.01, rel=0.02)
    assert spread(made_up(5, 3, 0.0, 0.0, 0.01))["key"] < 0.01  # and never below zero
