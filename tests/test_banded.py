"""Correlated noise: what is added, who is drawn when, what it promises, and how it goes on."""

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from dp_accounting.dp_event import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.pld import PLDAccountant
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lorakit import privacy_statement
from lorakit.data import Split
from lorakit.experiments.experiment import Experiment
from lorakit.privacy.accountant import Privacy
from lorakit.privacy.banded import band_weights, running_noise
from lorakit.training import distributed
from lorakit.training.correlated import CorrelatedDPOptimizer
from lorakit.training.criterion import Criterion
from lorakit.training.fit import fit
from lorakit.training.private_step import PrivateStep
from lorakit.training.recipe import Recipe
from tests.checkpoints import rewrite


def matrix(bands, steps):
    """C, written out."""
    weights = band_weights(bands)
    C = np.zeros((steps, steps))
    for t in range(steps):
        for j in range(min(bands, t + 1)):
            C[t, t - j] = weights[j]
    return C


def step_of(bands, *, examples=60, batch_size=10, epochs=2, sigma=1.0):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 10))
    privacy = Privacy(noise_multiplier=sigma, delta=1e-3, bands=bands)
    recipe = Recipe(epochs=epochs, batch_size=batch_size, privacy=privacy)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    return PrivateStep(model, sgd, recipe, examples, Criterion(lambda images: images))


@pytest.mark.parametrize("bands", [1, 2, 5])
def test_the_noise_of_all_steps_is_that_of_the_inverse_matrix(bands):
    """sigma = 3, C = 0.5; 40,000 numbers are 40,000 samples of what happens to one."""
    torch.manual_seed(0)
    p = nn.Parameter(torch.zeros(40_000))
    sgd, settings = torch.optim.SGD([p], lr=1.0), {"max_grad_norm": 0.5, "expected_batch_size": 1}
    optimizer = CorrelatedDPOptimizer(sgd, noise_multiplier=3.0, bands=bands, **settings)
    added = []
    for _ in range(7):
        p.summed_grad = torch.full_like(p, 100.0)
        optimizer.add_noise()
        added.append(p.grad - 100)
        optimizer.zero_grad()
    found = torch.cov(torch.stack(added)).numpy() / (3.0 * 0.5) ** 2
    undone = np.linalg.inv(matrix(bands, 7))
    assert np.abs(found - undone @ undone.T).max() < 0.05
    running = torch.stack(added).cumsum(0).std(1) / (3.0 * 0.5)
    np.testing.assert_allclose(running, running_noise(bands, 7), rtol=0.02)


@given(bands=st.integers(1, 12), steps=st.integers(1, 40))
@settings(deadline=None)
def test_no_column_of_the_matrix_is_longer_than_one(bands, steps):
    """The sensitivity to one example is at most C, and at steps b apart columns do not meet."""
    C = matrix(bands, steps)
    assert np.linalg.norm(C, axis=0).max() <= 1 + 1e-12
    apart = (C.T @ C)[np.abs(np.subtract.outer(range(steps), range(steps))) >= bands]
    assert not apart.any()
    undone = np.cumsum(np.linalg.inv(C), axis=0)
    np.testing.assert_allclose(running_noise(bands, steps), np.linalg.norm(undone, axis=1))


def test_more_bands_leave_less_noise_in_the_weights_at_the_same_sigma():
    last = [running_noise(b, 80)[-1] for b in (1, 2, 4, 8, 16)]
    assert last == sorted(last, reverse=True) and last[0] == pytest.approx(math.sqrt(80))


def test_an_example_is_drawn_from_its_own_part_only_and_as_often_as_without_bands():
    counts, step = torch.zeros(60), step_of(4)
    sizes = []
    for _ in range(300):
        for batch in step.sample():
            assert (batch % 4 == step.taken % 4).all() and len(batch.unique()) == len(batch)
            counts[batch] += 1
            sizes.append(len(batch))
            step.taken += 1
    assert np.mean(sizes) == pytest.approx(10, abs=0.3)
    assert counts.min() / counts.mean() > 0.8 and counts.max() / counts.mean() < 1.2
    assert np.var(sizes) == pytest.approx(15 * (2 / 3) * (1 / 3), rel=0.15)  # Poisson, in 15


@pytest.mark.parametrize(("bands", "steps", "q", "sigma"), [(2, 6, 0.2, 1.0), (3, 7, 0.1, 0.8)])
def test_epsilon_is_that_of_the_mechanism_itself(bands, steps, q, sigma):
    """The trade-off between its outputs with and without one example, by simulation."""
    generator, C = np.random.default_rng(0), matrix(bands, steps)
    runs = 400_000
    mine = np.arange(steps) % bands == 0  # the steps whose part the example is in
    taken = (generator.random((runs, steps)) < bands * q) & mine
    seen = taken @ C.T + sigma * generator.standard_normal((runs, steps))  # C g + z, with it
    loss = np.zeros(runs)
    for t in np.flatnonzero(mine):  # each window of b rows sees one coin
        column = C[:, t]
        ratio = (seen @ column - column @ column / 2) / sigma**2
        loss += np.log1p(bands * q * np.expm1(ratio))
    rounds = PoissonSampledDpEvent(bands * q, GaussianDpEvent(sigma))
    opinion = PLDAccountant().compose(rounds, -(-steps // bands))
    step = step_of(bands, examples=60, batch_size=round(60 * q), sigma=sigma)
    step.taken = steps
    assert step.spent()["epsilon"] == pytest.approx(opinion.get_epsilon(1e-3), rel=0.01)
    for delta in (1e-1, 3e-2, 1e-2):
        epsilon = opinion.get_epsilon(delta)
        measured = np.maximum(0, -np.expm1(epsilon - loss)).mean()
        assert 0.7 * delta < measured < 1.05 * delta


def test_a_target_epsilon_is_reached_with_the_noise_of_the_rounds():
    for bands in (None, 4):
        step = step_of(bands)
        step.privacy = Privacy(epsilon=4.0, delta=1e-3, bands=bands)
        step.sigma = step.privacy.sigma(step.sample_rate, step.planned)
        step.taken = step.planned
        assert 3.9 < step.spent()["epsilon"] <= 4


def run(path=None, stop=None, bands=3):
    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 10))
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (60, 3, 2, 2), dtype=torch.uint8, generator=generator)
    split = Split(images, torch.randint(0, 10, (60,), generator=generator))
    privacy = Privacy(noise_multiplier=1.0, delta=1e-3, bands=bands)
    recipe = Recipe(epochs=4, batch_size=15, lr=0.05, optimizer="sgd", privacy=privacy)
    callback = stop and (lambda moment: moment.step == stop)
    fit(model, split, recipe, seed=0, checkpoint=path, callback=callback, progress=False,
        device="cpu")  # fmt: skip
    return model[1].weight.detach()


def test_a_run_goes_on_after_a_stop_with_the_noise_it_still_owes(tmp_path):
    whole, path = run(), tmp_path / "run.pt"
    run(path, stop=9)  # in the third epoch of four
    assert torch.equal(run(path), whole)
    run(tmp_path / "other.pt", stop=9)

    def lose(state):
        state["spent"]["noise"] = state["spent"]["noise"][:1]

    rewrite(tmp_path / "other.pt", lose)
    with pytest.raises(ValueError, match="noise is not that of the last 2 steps"):
        run(tmp_path / "other.pt")
    with pytest.raises(ValueError, match="made with other privacy"):
        run(path, bands=None)


def test_bands_that_do_not_fit_are_refused(monkeypatch):
    for bands in (0, 1, 2.5):
        with pytest.raises(ValueError, match="bands"):
            Privacy(epsilon=1.0, bands=bands)
    with pytest.raises(ValueError, match="bands=7"):
        step_of(7)  # 60 examples are six batches of ten
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    with pytest.raises(ValueError, match=r"bands=2.*several processes"):
        step_of(2)


def test_the_statement_and_the_table_say_it():
    plain = Experiment.from_settings(dataset="digits", epsilon=2.0, method="probe")
    banded = Experiment.from_settings(**{**plain.settings(), "bands": 4.0})  # as tables hold it
    assert banded.recipe.privacy.bands == 4 and banded.id != plain.id
    said = privacy_statement(banded)
    assert "one of 4 parts in turn" in str(said) and "correlated over 4 steps" in str(said)
    assert asdict(said)["bands"] == 4
    assert said.epsilon == pytest.approx(2, rel=0.011) and said.epsilon <= 2
    assert said.noise_multiplier > privacy_statement(plain).noise_multiplier
