"""The audit: its arithmetic, its verdict on a leaky and on a private model."""

import importlib
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom

import lorakit.experiments.audit
from lorakit import Experiment
from lorakit.data import Split
from lorakit.experiments.audit import audit, example_losses, membership_scores
from lorakit.lora.vit import create_backbone
from lorakit.privacy.accountant import compute_epsilon, default_delta
from lorakit.privacy.audit import attack, epsilon_lower_bound, insert_canaries
from lorakit.training.fit import evaluate

TINY = Experiment.from_settings(
    dataset="digits", train=100, val=50, test=100, method="probe", epochs=1
)


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


def test_scores_are_minus_the_loss_and_references_cancel_what_is_easy_for_all(digits):
    model = create_backbone(classes=10)
    losses = example_losses(model, digits.val)
    assert losses.mean().item() == pytest.approx(evaluate(model, digits.val)["loss"], rel=1e-5)
    one = Split(digits.val.images[:1], digits.val.labels[:1])
    assert example_losses(model, one)[0].item() == pytest.approx(losses[0].item(), rel=1e-4)
    assert torch.equal(membership_scores(model, digits.val), -losses)
    assert membership_scores(model, digits.val, [model, model]).abs().max() < 1e-6


def test_losses_and_evaluate_share_one_forward_pass_and_its_precision(digits, monkeypatch):
    def rounded(model, images, *_):
        return model.head.bias.new_tensor([0.123, 1.0]).bfloat16().expand(len(images), 2)

    module = importlib.import_module("lorakit.training.evaluate")
    monkeypatch.setattr(module, "logits_of", rounded)
    model, split = create_backbone(classes=10), Split(digits.val.images, digits.val.labels % 2)
    losses = example_losses(model, split)
    assert losses.dtype == torch.float32 and losses.unique().numel() == 2
    assert losses.mean().item() == pytest.approx(evaluate(model, split)["loss"], rel=1e-6)


LONG = TINY.replace(train=150, method="full", epochs=20, batch_size=32)
LONG = LONG.replace(backbone="vit_micro.letters")  # which learns by heart sooner


def test_it_flags_a_model_that_remembers():
    leaky = audit(LONG, canaries=150, claimed=2.0)
    assert leaky.refutes_claim and leaky.advantage > 0.7 and leaky.epsilon_lower > 2.0


def test_it_passes_a_private_model():
    private = audit(LONG.replace(method="lora+patch", epsilon=2.0, epochs=3), canaries=150)
    assert 1.98 < private.epsilon_claimed <= 2.0 and not private.refutes_claim
    assert private.epsilon_lower < 2.0


def test_reference_models_are_trained_without_canaries():
    found = audit(TINY, canaries=40, references=1)
    assert found.guesses == 20 and 0 <= found.advantage <= 1
    assert found.epsilon_claimed == math.inf


@pytest.fixture
def trained(monkeypatch):
    """What the audit trained: (experiment, number of examples, history) of each run."""
    runs = []

    def watched(experiment, *, dataset, progress):
        model, key, history = train_model(experiment, dataset=dataset, progress=progress)
        runs.append((experiment, len(dataset.train), history))
        return model, key, history

    train_model = lorakit.experiments.audit.train_model
    monkeypatch.setattr(lorakit.experiments.audit, "train_model", watched)
    return runs


def test_without_privacy_delta_is_that_of_the_larger_training_set_or_the_one_given():
    found = audit(TINY.replace(train=90), canaries=20)
    assert found.delta == default_delta(110) == 1e-3 < default_delta(90)
    assert audit(TINY, canaries=40, delta=1e-6).delta == 1e-6


@pytest.mark.parametrize(
    ("asked", "used"), [(0.005, 0.005), (0.0099, default_delta(140)), (None, default_delta(140))]
)
def test_a_private_run_is_trained_for_a_delta_that_is_valid_with_its_canaries(asked, used, trained):
    """0.0099 is below 1 / 100 examples, and not below 1 / 140."""
    found = audit(TINY.replace(epsilon=2.0, delta=asked), canaries=40)
    assert found.delta == used == trained[0][0].recipe.privacy.delta


@pytest.mark.parametrize("privacy", [{"epsilon": 2.0}, {"noise_multiplier": 1.5}])
def test_the_claim_is_what_training_says_it_spent(privacy, trained):
    found = audit(TINY.replace(**privacy), canaries=40)
    e, n, history = trained[0]
    assert found.epsilon_claimed == history[-1]["epsilon"] < 10
    if "noise_multiplier" in privacy:  # N counts the canaries that joined
        assert 100 < n < 140
        rate, steps = e.recipe.batch_size / n, math.ceil(n / e.recipe.batch_size)
        assert found.epsilon_claimed == compute_epsilon(1.5, rate, steps, found.delta)


def test_clipping_without_noise_claims_nothing_unless_it_is_said():
    e = TINY.replace(noise_multiplier=0.0)
    assert audit(e, canaries=40).epsilon_claimed == math.inf
    assert audit(e, canaries=40, claimed=2.0).epsilon_claimed == 2.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: epsilon_lower_bound(11, 10, 20), "correct=11, guesses=10"),
        (lambda: epsilon_lower_bound(0, 0, 20), "guesses=0"),
        (lambda: epsilon_lower_bound(5, 10, 20, delta=1.0), r"delta=1\.0"),
        (lambda: epsilon_lower_bound(5, 10, 20, confidence=1.0), r"confidence=1\.0"),
        (lambda: attack(torch.zeros(5), torch.ones(5, dtype=torch.bool)), "both kinds"),
        (lambda: audit(Experiment(cipher="shuffle")), "'shuffle'"),
        (lambda: audit(TINY, canaries=40, delta=0.0072), r"delta=0\.0072.*N = 140"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
