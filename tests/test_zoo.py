"""The zoo of lesson 08: each bug is real in plain Opacus, a guard stops it, the audit says so."""

import inspect

import pytest
import torch
import torch.nn.functional as F
from exercises import zoo
from exercises.zoo import BATCH, CLAIM, SIGMA, ZOO, Bug, audit_bug
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import nn

from lorakit.privacy.accountant import Privacy, PrivacyError
from lorakit.training import distributed
from lorakit.training.criterion import Criterion
from lorakit.training.fit import fit
from lorakit.training.private_step import PrivateStep
from lorakit.training.recipe import Recipe

RECIPE = Recipe(
    epochs=5,
    batch_size=BATCH,
    lr=1.0,
    optimizer="sgd",
    privacy=Privacy(noise_multiplier=SIGMA, delta=CLAIM["delta"]),
)


@pytest.fixture(scope="module")
def task():
    """Features and labels like those of the audit, but few columns."""
    torch.manual_seed(0)
    return torch.randn(2500, 20), torch.arange(2500) % 10


def step_of(model, examples=2500, recipe=RECIPE, criterion=None):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    criterion = criterion or Criterion(lambda images: images)
    return PrivateStep(model.train(), optimizer, recipe, examples, criterion)


def head():
    return nn.Linear(20, 10, bias=False)


@pytest.mark.parametrize("name", ["nothing", *ZOO])
def test_the_audit_sees_what_the_table_says(name):
    bug = ZOO.get(name, Bug(zoo.train, "", "", "", False))
    for seed in (0, 1):
        assert audit_bug(bug, seed).refutes_claim == bug.seen


@pytest.mark.parametrize("name", ["nothing", *ZOO])
def test_opacus_spends_the_same_epsilon_whatever_is_broken(name, task):
    bug = ZOO.get(name, Bug(zoo.train, "", "", "", False))
    ((sigma, rate, steps),) = bug.train(*task).engine.accountant.history
    floored = name == "floored batch"
    assert (sigma, rate, steps) == (SIGMA, 1 / 11 if floored else 0.1, 55 if floored else 50)


def test_an_adapter_added_after_wrapping_never_moves_and_is_refused(task):
    done = zoo.late_adapter(*task)
    assert not done.model._module.adapter.weight.any() and done.weights[-1].any()
    assert done.engine.get_epsilon(1e-5) > 3
    step = step_of(zoo.Adapted(20))
    step.model.adapter = head()
    with pytest.raises(PrivacyError, match="not those it was wrapped with"):
        step.step((task[0][:5], task[1][:5]))


def test_a_weighted_sampler_is_dropped_or_leaks_and_cannot_be_given(task, monkeypatch):
    drawn = []
    plain = F.cross_entropy

    def counted(logits, labels):
        drawn.append(labels)
        return plain(logits, labels)

    monkeypatch.setattr(F, "cross_entropy", counted)
    x = task[0]
    zoo.weighted(x, torch.arange(2500).lt(zoo.PICTURES).long())  # 1: a picture, 0: rare
    rare = 1 - torch.cat(drawn).double().mean()
    assert rare > 0.9  # 1000 of 2500 examples
    assert not {"sampler", "loader", "data_loader"} & set(inspect.signature(fit).parameters)
    step, seen = step_of(head()), torch.zeros(2500)
    batches = [b for _ in range(40) for b in step.sample()]
    for batch in batches:
        assert batch.unique().numel() == batch.numel()
        seen[batch] += 1
    rates = seen / len(batches)
    assert abs(rates[: zoo.PICTURES].mean() - 0.1) < 0.005
    assert abs(rates[zoo.PICTURES :].mean() - 0.1) < 0.005


def test_the_expected_batch_is_floored_there_and_not_here(task):
    assert zoo.floored(*task).optimizer.expected_batch_size == 228 < 2509 / 11
    step = step_of(head(), 2509, RECIPE.replace(batch_size=250))
    assert step.optimizer.expected_batch_size == 250 == pytest.approx(step.sample_rate * 2509)


class Triplet(Criterion):
    """Three passes of the model."""

    def __call__(self, model, x, y):
        return sum(F.cross_entropy(model(x.roll(n, 0)), y.roll(n, 0)) for n in range(3))


def test_several_passes_let_one_person_move_the_sum_by_three_norms_and_are_refused():
    x, y = torch.zeros(5, 20), torch.zeros(5, dtype=torch.long)
    x[2] = 10.0  # the only one with a gradient
    model = GradSampleModule(head())
    settings = {"noise_multiplier": 0.0, "max_grad_norm": 1.0, "expected_batch_size": 5}
    optimizer = DPOptimizer(torch.optim.SGD(model.parameters(), lr=1.0), **settings)
    Triplet()(model, x, y).backward()
    optimizer.clip_and_accumulate()
    assert next(model.parameters()).summed_grad.norm() == pytest.approx(3, rel=1e-3)
    step = step_of(head(), criterion=Triplet())
    before = step.model.weight.clone()
    with pytest.raises(PrivacyError, match="ran the model 3 times"):
        step.step((x, y))
    assert torch.equal(step.model.weight, before)
    with pytest.raises(PrivacyError, match="half a sum"):
        step.step((x, y))


def test_processes_share_one_sample(task, monkeypatch):
    assert zoo.multiplied(*task).engine.accountant.history == [(SIGMA, 0.1, 50)]
    monkeypatch.setattr(distributed, "world_size", lambda: 4)
    shares = []
    for rank in range(4):
        monkeypatch.setattr(distributed.dist, "get_rank", lambda rank=rank: rank)
        shares.append(distributed.shard(torch.arange(101)))
    assert torch.equal(torch.cat(shares).sort().values, torch.arange(101))


def test_shuffled_batches_have_one_size_and_ours_have_not(task, monkeypatch):
    sizes = []
    plain = F.cross_entropy

    def counted(logits, labels):
        sizes.append(len(labels))
        return plain(logits, labels)

    monkeypatch.setattr(F, "cross_entropy", counted)
    zoo.shuffled(*task)
    assert set(sizes) == {BATCH} and len(sizes) == 50
    ours = {len(batch) for batch in step_of(head()).sample()}
    assert len(ours) > 3


def test_batch_norm_writes_members_into_its_buffers_and_is_refused(task):
    x, y = task
    joined = torch.rand(20) < 0.5
    x = x.abs() * joined  # a column for each, which only members fill
    norm = zoo.batch_norm(x, y).model._module[0]
    assert torch.equal(norm.running_mean > 0, joined)
    with pytest.raises(PrivacyError, match="layer '0'"):
        step_of(nn.Sequential(nn.BatchNorm1d(20, affine=False), head()))


def test_the_noise_of_two_calls_cancels_there_and_not_here(digits):
    x, y = torch.zeros(2500, 20), torch.zeros(2500, dtype=torch.long)
    first, second = (zoo.one_seed(x, y).weights for _ in range(2))
    assert first[-1].any() and torch.equal(first, second)
    weights = []
    for _ in range(2):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10, bias=False))
        nn.init.zeros_(model[1].weight)
        recipe = RECIPE.replace(epochs=1, batch_size=20, privacy=Privacy(noise_multiplier=5.0))
        fit(model, digits.train, recipe, progress=False, device="cpu")
        weights.append(model[1].weight.detach())
    correlation = torch.corrcoef(torch.stack([w.flatten() for w in weights]))[0, 1]
    assert abs(correlation) < 0.5
