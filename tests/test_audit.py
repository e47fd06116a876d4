"""The audit: its arithmetic, its verdict on honest and broken trainings, the table of audits."""

import importlib
import math

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom, norm

from figures.studies import audits
from lorakit.data import Split
from lorakit.experiments.audit import (
    ATTACKS,
    RECIPE,
    VARIANTS,
    audit_head,
    canary_gradients,
    detections,
)
from lorakit.experiments.shadow import accuracy, confidences, shadow_heads
from lorakit.lora.vit import create_backbone
from lorakit.privacy.accountant import find_noise_multiplier
from lorakit.privacy.audit import (
    attack,
    epsilon_lower_bound,
    insert_canaries,
    is_surprise,
    privacy_curve,
)
from lorakit.privacy.membership import gradient_scores, likelihood_ratios
from lorakit.training.evaluate import evaluate, example_losses


def test_without_delta_the_bound_is_that_of_clopper_and_pearson():
    for correct, guesses in ((90, 100), (100, 100), (60, 100), (8, 10)):
        low = beta.ppf(0.05, correct, guesses - correct + 1)
        exact = max(0.0, math.log(low / (1 - low)))
        assert epsilon_lower_bound(correct, guesses, 200) == pytest.approx(exact, abs=1e-6)
    assert epsilon_lower_bound(50, 100, 200) == 0


@pytest.mark.parametrize(
    ("numbers", "published"),
    [((75, 100, 1000, 1e-4), 0.673), ((1439, 1510, 100_000, 1e-5), 2.675)],
)
def test_the_bound_is_the_one_printed_in_the_paper(numbers, published):
    """Steinke et al. 2023, arXiv 2305.08846: appendix D and section 7."""
    assert epsilon_lower_bound(*numbers) == pytest.approx(published, abs=1e-3)


def test_delta_and_confidence_only_lower_the_bound():
    plain = epsilon_lower_bound(95, 100, 200)
    assert epsilon_lower_bound(95, 100, 200, delta=1e-4) < plain
    assert epsilon_lower_bound(95, 100, 200, confidence=0.99) < plain


def test_a_mechanism_of_known_epsilon_is_wronged_no_more_often_than_promised():
    """Randomised response with epsilon 1: the bound may exceed 1 in 5 % of audits."""
    q = 1 / (1 + math.exp(-1.0))
    outcomes = range(101)
    chance = sum(binom.pmf(c, 100, q) for c in outcomes if epsilon_lower_bound(c, 100, 100) > 1.0)
    assert 0.01 < chance <= 0.05


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 40), st.integers(1, 40))
def test_more_correct_guesses_never_lower_the_bound(correct, guesses):
    if correct < guesses:
        low = epsilon_lower_bound(correct, guesses, 40, delta=1e-3)
        assert low <= epsilon_lower_bound(correct + 1, guesses, 40, delta=1e-3) + 1e-9


def test_a_perfect_and_a_blind_attack():
    joined = torch.arange(100) % 2 == 0
    perfect = attack(joined.float(), joined, claimed=2.0)
    assert perfect.advantage == 1 and perfect.correct == perfect.guesses == 50
    assert perfect.epsilon_lower > 2 and perfect.refutes_claim
    assert (perfect.fpr[0], perfect.tpr[0], perfect.fpr[-1], perfect.tpr[-1]) == (0, 0, 1, 1)
    torch.manual_seed(0)
    blind = attack(torch.rand(100), joined, claimed=2.0)
    assert blind.advantage < 0.3 and blind.epsilon_lower < 0.7 and not blind.refutes_claim


def test_an_attack_without_knowledge_raises_an_alarm_no_more_often_than_promised():
    """Its guesses are fixed before the truth is looked at, how many they are included."""
    generator = torch.Generator().manual_seed(0)
    alarms = 0
    for _ in range(300):
        joined = torch.rand(100, generator=generator) < 0.5
        alarms += attack(torch.rand(100, generator=generator), joined).epsilon_lower > 0
    assert 0 < alarms < 0.08 * 300


def test_delta_is_that_of_the_bound_and_kept():
    joined = torch.arange(100) % 2 == 0
    for delta in (0.0, 1e-3):
        found = attack(joined.float(), joined, delta=delta)
        assert found.delta == delta
        assert found.epsilon_lower == epsilon_lower_bound(50, 50, 100, delta)


def test_canaries_are_mislabelled_join_by_a_coin_and_leave_the_rest_alone(digits):
    mixed, canaries, joined = insert_canaries(digits.train, digits.test, 10, seed=3)
    assert (canaries.labels != digits.test.labels).all() and canaries.labels.unique().numel() == 10
    assert 30 < joined.sum() < 70
    assert len(mixed) == 200 + joined.sum()
    assert torch.equal(mixed.images[:200], digits.train.images)
    assert torch.equal(mixed.labels[200:], canaries.labels[joined])
    again = insert_canaries(digits.train, digits.test, 10, seed=3)
    assert torch.equal(again[2], joined) and torch.equal(again[1].labels, canaries.labels)
    other = insert_canaries(digits.train, digits.test, 10, seed=4)
    assert not torch.equal(other[2], joined) and not torch.equal(other[1].labels, canaries.labels)


def test_the_coins_are_not_those_that_training_throws(digits):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    joined = insert_canaries(digits.train, digits.test, 10, seed=3)[2]
    assert torch.equal(torch.get_rng_state(), before)
    thrown = torch.rand(1100) < 0.5  # training with seed 3
    agreement = (thrown.unfold(0, 100, 1) == joined).float().mean(dim=1)  # at each offset
    assert agreement.max() < 0.75


def test_the_losses_of_examples_are_those_of_evaluate(digits):
    model = create_backbone(classes=10)
    losses = example_losses(model, digits.val)
    assert losses.mean().item() == pytest.approx(evaluate(model, digits.val)["loss"], rel=1e-5)
    one = Split(digits.val.images[:1], digits.val.labels[:1])
    assert example_losses(model, one)[0].item() == pytest.approx(losses[0].item(), rel=1e-4)


def test_losses_and_evaluate_share_one_forward_pass_and_its_precision(digits, monkeypatch):
    def rounded(model, images, *_):
        return model.head.bias.new_tensor([0.123, 1.0]).bfloat16().expand(len(images), 2)

    module = importlib.import_module("lorakit.training.evaluate")
    monkeypatch.setattr(module, "logits_of", rounded)
    model, split = create_backbone(classes=10), Split(digits.val.images, digits.val.labels % 2)
    losses = example_losses(model, split)
    assert losses.dtype == torch.float32 and losses.unique().numel() == 2
    assert losses.mean().item() == pytest.approx(evaluate(model, split)["loss"], rel=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: epsilon_lower_bound(11, 10, 20), "correct=11.*at most 10"),
        (lambda: epsilon_lower_bound(5, 30, 20), "guesses=30.*at most 20"),
        (lambda: epsilon_lower_bound(0, 0, 20), "guesses=0"),
        (lambda: epsilon_lower_bound(5, 10, 20, delta=1.0), r"delta=1\.0"),
        (lambda: epsilon_lower_bound(5, 10, 20, confidence=1.0), r"confidence=1\.0"),
        (lambda: attack(torch.zeros(5), torch.ones(5, dtype=torch.bool)), "both kinds"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


RESPONSES = [(0.5, 100), (1.0, 200), (2.0, 60)]


@pytest.mark.parametrize(("epsilon", "guesses"), RESPONSES)
def test_the_curve_wrongs_randomised_response_no_more_often_than_promised(epsilon, guesses):
    """The exact chance: its number of right answers is binomial."""
    q, pair = 1 / (1 + math.exp(-epsilon)), (np.array([epsilon]), np.array([0.0]))
    refuted = [c for c in range(guesses + 1) if is_surprise(c, guesses, guesses, *pair)]
    assert refuted == list(range(refuted[0], guesses + 1))
    assert 1e-4 < binom.sf(refuted[0] - 1, guesses, q) <= 0.05


def gaussian(sigma, canaries, seed):
    """The Gaussian mechanism for each canary: scores, coins."""
    rng = np.random.default_rng(seed)
    joined = rng.random(canaries) < 0.5
    return torch.tensor(joined + sigma * rng.standard_normal(canaries)), torch.tensor(joined)


def test_the_curve_wrongs_the_gaussian_mechanism_no_more_often_and_shows_more_than_a_pair():
    sigma, delta = 0.7, 1e-5
    epsilons, deltas = privacy_curve(sigma, 1.0, 1)
    mu, e = 1 / sigma, epsilons
    exact = norm.cdf(mu / 2 - e / mu) - np.exp(e + norm.logcdf(-mu / 2 - e / mu))
    assert (deltas >= exact - 1e-9).all() and (deltas - exact).max() < 1e-3
    true = e[deltas <= delta][0]
    claim = {"claimed": true, "delta": delta, "guesses": 100}
    found = [attack(*gaussian(sigma, 500, s), **claim, mechanism=(1.0, 1)) for s in range(100)]
    assert sum(a.refutes_claim for a in found) <= 5
    pairs = [attack(*gaussian(sigma, 500, s), **claim) for s in range(100)]
    means = [np.mean([a.epsilon_lower for a in group]) for group in (pairs, found)]
    assert 1.5 * means[0] < means[1] < true
    assert found[0].correct == pairs[0].correct


def test_with_less_noise_than_claimed_the_curve_refutes():
    epsilons, deltas = privacy_curve(1.2, 0.1, 50)
    claim = {"claimed": epsilons[deltas <= 1e-5][0], "delta": 1e-5, "guesses": 100}
    found = attack(*gaussian(0.1, 500, 0), **claim, mechanism=(0.1, 50))
    assert found.correct == 100 and found.refutes_claim
    blind = attack(*gaussian(1e6, 500, 0), **claim, mechanism=(0.1, 50))
    assert blind.epsilon_lower < 0.3


def test_gradient_scores_are_the_likelihood_ratio_of_two_densities():
    torch.manual_seed(0)
    releases, gradients = torch.randn(2, 4, 3, 5)  # T = 4, M = 3, P = 5
    sigma, q = 0.8, 0.3
    expected = torch.zeros(3)
    for release, v in zip(releases, gradients):
        alone = torch.distributions.Normal(0, sigma).log_prob(release).sum(-1)
        there = torch.distributions.Normal(v, sigma).log_prob(release).sum(-1)
        expected += ((1 - q) * alone.exp() + q * there.exp()).log() - alone
    torch.testing.assert_close(gradient_scores(releases, gradients, sigma, q), expected)
    known = torch.tensor([[1.0, 0, 0]]).expand(4, 3)
    scores = gradient_scores(releases, gradients, sigma, known)
    assert scores[0] != 0 and not scores[1:].any()


def test_likelihood_ratios_leave_the_attacked_model_out():
    rng = np.random.default_rng(0)
    values, members = rng.normal(size=(12, 5)), rng.random((12, 5)) < 0.5
    found = likelihood_ratios(torch.tensor(values), torch.tensor(members))
    for s, n in np.ndindex(12, 5):
        others = np.arange(12) != s
        groups = (values[others & (members[:, n] == kind), n] for kind in (True, False))
        inside, outside = (norm.logpdf(values[s, n], g.mean(), g.std()) for g in groups)
        assert found[s, n].item() == pytest.approx(inside - outside, rel=1e-4, abs=1e-4)


def test_canaries_that_are_alone_cannot_show_that_batches_were_shuffled():
    """In the audits' own training: each epoch, one of ten batches holds the canary."""
    generator, sigma = np.random.default_rng(0), find_noise_multiplier(4.0, 0.1, 50, 1e-5)
    loss = np.zeros(500_000)
    for _ in range(5):
        seen = sigma * generator.standard_normal((len(loss), 10))
        seen[:, 0] += 1
        loss += np.log(np.exp((seen - 0.5) / sigma**2).mean(1))
    assert np.maximum(0, -np.expm1(4.0 - loss)).mean() < 1e-5


def test_what_the_recap_of_lesson_08_says_of_twenty_guesses():
    assert epsilon_lower_bound(20, 20, 20) == pytest.approx(1.8, abs=0.05)
    for canaries, shown in ((20, 6.3), (100, 3.8)):
        found = epsilon_lower_bound(20, 20, canaries, 1e-5, mechanism=(0.1, 50))
        assert found == pytest.approx(shown, abs=0.05)


@pytest.fixture
def little():
    """Features (N, d), labels, members of three heads."""
    torch.manual_seed(0)
    return torch.randn(20, 4), torch.arange(20) % 3, torch.rand(3, 20) < 0.6


@pytest.mark.parametrize("bound", [math.inf, 0.7])
def test_shadow_heads_are_heads_trained_one_by_one(little, bound):
    x, labels, members = little
    found = shadow_heads(x, labels, members, steps=3, lr=0.5, max_grad_norm=bound)
    for mine, weights in zip(members, found):
        head = torch.zeros(4, 3, requires_grad=True)
        optimizer = torch.optim.SGD([head], lr=0.5, momentum=0.9)
        for _ in range(3):
            total = torch.zeros(4, 3)
            for image, label in zip(x[mine], labels[mine]):
                (g,) = torch.autograd.grad(F.cross_entropy(image @ head, label), head)
                total += g * min(1.0, bound / g.norm().item())
            head.grad = total / 10  # half of all
            optimizer.step()
        torch.testing.assert_close(weights, head.detach())
    share = accuracy(found[0], x, labels)
    assert share == ((x @ found[0]).argmax(1) == labels).float().mean() > 0.3


def test_the_noise_of_shadow_heads_has_the_asked_deviation_and_is_not_shared(little):
    x, labels, _ = little
    members = torch.zeros(400, 20, dtype=torch.bool)
    members[:, 0] = True  # one member, whose gradient is the same for all
    noise = shadow_heads(0 * x, labels, members, steps=1, lr=1.0, max_grad_norm=1.0, std=2.5)
    noise = 10 * noise  # it divides by half of the examples
    assert noise.std().item() == pytest.approx(2.5, rel=0.05)
    assert noise.mean(0).abs().max() < 0.6


def test_confidences_are_logits_of_the_probability(little):
    x, labels, members = little
    weights = shadow_heads(x, labels, members)
    p = (x @ weights).softmax(-1)[:, torch.arange(20), labels]
    torch.testing.assert_close(
        confidences(weights, x, labels), (p / (1 - p)).log(), rtol=1e-3, atol=1e-4
    )


def test_the_gradient_of_a_canary_is_the_clipped_one_of_its_loss():
    torch.manual_seed(0)
    weights, labels = torch.randn(2, 3, 4), torch.tensor([0, 2, 1, 1])  # T = 2, K = 3, M = 4
    for loud in (0.5, 20.0):
        found = canary_gradients(weights, labels, loud)
        for t, i in np.ndindex(2, 4):
            head = weights[t].clone().requires_grad_()
            loss = F.cross_entropy(head @ (loud * torch.eye(4)[i]), labels[i])
            (g,) = torch.autograd.grad(loss, head)
            g = g * min(1.0, 1 / g.norm().item())
            torch.testing.assert_close(found[t, i], g[:, i], rtol=1e-4, atol=1e-5)
            assert not g[:, torch.arange(4) != i].any()


@pytest.mark.parametrize("variant", ["correct", "no noise", "no clipping", "fixed order"])
def test_an_audit_of_a_head_refutes_what_is_broken_and_nothing_else(variant):
    recipe = RECIPE.replace(batch_size=100)
    found = audit_head(variant, 5, recipe, pictures=250, canaries=500)
    assert found["steps"] == 50 and 0.4 < found["accuracy"] < 0.9
    assert found["curve"].epsilon_claimed == pytest.approx(4, rel=0.01)
    assert found["curve"].refutes_claim == (variant != "correct")
    assert found["curve"].epsilon_lower > found["gradients"].epsilon_lower
    assert not found["losses"].refutes_claim


def test_a_stopped_study_goes_on(tmp_path, monkeypatch):
    ran = []

    def pretended(variant, seed):
        ran.append((variant, seed))
        if len(ran) == 5:
            raise KeyboardInterrupt
        joined = torch.arange(100) % 2 == 0
        found = attack(joined.float(), joined, claimed=1.0)
        return dict.fromkeys(ATTACKS, found) | {"accuracy": 0.5, "steps": 10}

    monkeypatch.setattr(audits, "audit_head", pretended)
    monkeypatch.setattr(audits, "TABLE", tmp_path / "audits.csv")
    with pytest.raises(KeyboardInterrupt):
        audits.run_audits(audits=2)
    rows = audits.run_audits(audits=2)
    assert len(rows) == 2 * len(VARIANTS) == len(ran) - 1
    assert not rows.duplicated(["variant", "seed"]).any()
    pd.testing.assert_frame_equal(rows.round(4), pd.read_csv(tmp_path / "audits.csv"))


def test_what_lesson_08_says_of_the_audits_is_in_the_table():
    rows = pd.read_csv("figures/results/audits.csv")
    assert set(zip(rows["variant"], rows["seed"])) == {(v, s) for v in VARIANTS for s in range(20)}
    assert rows["steps"].eq(50).all() and len(rows) == 140
    table = detections(rows).set_index(["variant", "attack"])
    refuted = table["refuted"].unstack().loc[list(VARIANTS), list(ATTACKS)]
    assert (refuted["losses"] == 0).all()
    blind = ["correct", "shuffled"]
    assert (refuted.loc[blind] == 0).all(axis=None)
    assert (refuted["curve"].drop(blind) == 20).all()
    assert refuted["gradients"].drop(blind).between(2, 16).all()
    one = table.loc[("correct", "curve")]
    assert (one["low"], round(one["high"], 3)) == (0, round(1 - 0.025 ** (1 / 20), 3))
    assert one["bound"] > 1.5 * table.loc[("correct", "gradients"), "bound"] > 1
