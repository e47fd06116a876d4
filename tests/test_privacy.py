"""The numbers of differential privacy: epsilon, sigma, delta, mistakes, settings."""

import math

import pytest
from dp_accounting import dp_event, pld
from hypothesis import given, settings
from hypothesis import strategies as st

from lorakit import Experiment
from lorakit.privacy.accountant import (
    ACCOUNTANTS,
    Privacy,
    compute_epsilon,
    default_delta,
    find_noise_multiplier,
)
from lorakit.privacy.curves import (
    epsilon_by_steps,
    mistake_delta_from_batches,
    mistake_shuffled_as_poisson,
    noise_by_epsilon,
)

GRID = [
    (0.7, 0.05, 100, 1e-4),
    (1.0, 0.02, 200, 1e-5),
    (2.0, 0.1, 80, 1e-4),
    (5.0, 0.1, 80, 1e-4),
    (10.0, 0.5, 40, 1e-4),
    (1.2, 1.0, 10, 1e-4),
    (0.5, 0.01, 1000, 1e-5),
]


@pytest.mark.parametrize(("sigma", "rate", "steps", "delta"), GRID)
def test_epsilon_agrees_with_an_independent_accountant(sigma, rate, steps, delta):
    oracle = pld.PLDAccountant()
    gaussian = dp_event.GaussianDpEvent(sigma)
    oracle.compose(dp_event.PoissonSampledDpEvent(rate, gaussian), steps)
    exact = oracle.get_epsilon(delta)
    ours = compute_epsilon(sigma, rate, steps, delta)
    assert ours == pytest.approx(exact, rel=0.01)
    assert ours >= 0.999 * exact  # it errs upwards
    assert compute_epsilon(sigma, rate, steps, delta, accountant="rdp") > ours


@pytest.mark.parametrize("accountant", ["prv", "rdp", "gdp"])
@pytest.mark.parametrize("epsilon", [0.5, 2.0, 8.0])
def test_noise_keeps_the_target_and_wastes_little_of_it(accountant, epsilon):
    sigma = find_noise_multiplier(epsilon, 0.1, 60, 1e-4, accountant=accountant)
    spent = compute_epsilon(sigma, 0.1, 60, 1e-4, accountant=accountant)
    assert 0.99 * epsilon < spent <= epsilon


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0.6, 20), st.floats(0.001, 0.9), st.integers(1, 500), st.sampled_from([1e-6, 1e-4])
)
def test_more_noise_or_fewer_steps_never_cost_more(sigma, rate, steps, delta):
    spent = compute_epsilon(sigma, rate, steps, delta, accountant="rdp")
    assert compute_epsilon(1.5 * sigma, rate, steps, delta, accountant="rdp") <= spent
    assert compute_epsilon(sigma, rate, 2 * steps, delta, accountant="rdp") >= spent


def test_the_ends_of_epsilon():
    assert compute_epsilon(1.0, 0.1, 0, 1e-5) == 0
    assert compute_epsilon(0.0, 0.1, 1, 1e-5) == math.inf
    for accountant in ("prv", "rdp", "gdp"):
        assert compute_epsilon(1000.0, 0.01, 1, 1e-4, accountant=accountant) < 0.1
    assert compute_epsilon(0.05, 0.5, 1000, 1e-4, accountant="gdp") == math.inf
    assert find_noise_multiplier(100.0, 0.1, 100, 1e-4, accountant="rdp") < 0.5
    for epsilon in (0.01, 0.1, 3.0, 300.0):
        sigma = find_noise_multiplier(epsilon, 0.02, 3, 1e-4, accountant="gdp")
        assert compute_epsilon(sigma, 0.02, 3, 1e-4, accountant="gdp") <= epsilon
    with pytest.raises(ValueError, match="no noise up to"):
        find_noise_multiplier(1e-9, 0.1, 100, 1e-12, accountant="rdp")


def test_default_delta_is_below_one_over_n():
    for n in (2, 9, 10, 99, 100, 1097, 9999, 10_000, 50_000):
        assert 0.1 / n <= default_delta(n) < 1 / n


def test_curves_have_a_line_for_each_accountant_and_the_right_order():
    curve = epsilon_by_steps(1.0, 0.05, [10, 100], 1e-4)
    at_100 = curve[curve["steps"] == 100].set_index("accountant")["epsilon"]
    assert at_100["gdp"] < at_100["prv"] < at_100["rdp"]  # GDP promises too much
    noise = noise_by_epsilon([1.0, 4.0], 0.05, 100, 1e-4, ["prv", "rdp"])
    sigma = noise.set_index(["accountant", "epsilon"])["noise_multiplier"]
    assert sigma["rdp", 1.0] > sigma["prv", 1.0] > sigma["prv", 4.0]


def test_mistakes_claim_less_than_holds():
    wrong = mistake_delta_from_batches(1.0, examples=10_000, batch_size=250, steps=80)
    assert wrong["claimed_delta"] == 1 / 40 and wrong["delta"] == 1e-5
    assert wrong["claimed_epsilon"] < 0.6 * wrong["epsilon"]
    wrong = mistake_shuffled_as_poisson(1.0, 10_000, 250, epochs=2, delta=1e-5)
    assert wrong["claimed_epsilon"] < 0.5 * wrong["epsilon"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"epsilon": 0.0}, "epsilon=0.0: allowed"),
        ({"epsilon": -1.0}, "epsilon=-1.0: allowed"),
        ({"epsilon": math.nan}, "epsilon=nan"),
        ({}, "only one"),
        ({"epsilon": 1.0, "noise_multiplier": 1.0}, "only one"),
        ({"noise_multiplier": -1.0}, "noise_multiplier=-1.0"),
        ({"epsilon": 1.0, "delta": 0.0}, "delta=0.0"),
        ({"epsilon": 1.0, "delta": 1.0}, "delta=1.0"),
        ({"epsilon": 1.0, "max_grad_norm": 0.0}, "max_grad_norm=0.0"),
        ({"epsilon": 1.0, "accountant": "moments"}, "'moments'.*'prv'"),
    ],
)
def test_bad_privacy_settings_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        Privacy(**arguments)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: compute_epsilon(1.0, 0.0, 1, 1e-5), "sample_rate=0.0"),
        (lambda: compute_epsilon(1.0, 1.1, 1, 1e-5), "sample_rate=1.1"),
        (lambda: compute_epsilon(1.0, 0.1, -1, 1e-5), "steps=-1"),
        (lambda: compute_epsilon(-1.0, 0.1, 1, 1e-5), "noise_multiplier=-1.0"),
        (lambda: find_noise_multiplier(math.inf, 0.1, 1, 1e-5), "epsilon=inf"),
        (lambda: find_noise_multiplier(1.0, 0.1, 0, 1e-5), "steps=0"),
    ],
)
def test_bad_numbers_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_an_experiment_fills_in_its_privacy_and_only_if_it_is_private():
    plain = Experiment(dataset="digits", train=1097, val=200, test=500)
    assert not plain.private and plain.recipe.privacy is None
    names = ("delta", "max_grad_norm", "accountant", "noise_multiplier")
    assert {plain.settings()[name] for name in names} == {None}
    assert plain.replace(delta=1e-3).id == plain.id  # it does nothing, so it is the same experiment
    private = plain.replace(epsilon=2)
    assert private.recipe.privacy == Privacy(2.0, 1e-4, None, 1.0, "prv")
    assert private.recipe.lr != plain.recipe.lr
    assert len({plain.id, private.id, private.replace(delta=1e-5).id}) == 3
    assert plain.replace(noise_multiplier=1.0).private


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epsilon": 0}, "epsilon=0"),
        ({"epsilon": -2.0}, "epsilon=-2"),
        ({"epsilon": 1.0, "delta": 1e-3}, "below 1/N.*N = 1097 examples"),
        ({"epsilon": 1.0, "batch_size": 1098}, "batch_size=1098.*1097"),
        ({"epsilon": 1.0, "noise_multiplier": 1.0}, "only one"),
    ],
)
def test_bad_private_experiments_are_named(settings, words):
    with pytest.raises(ValueError, match=words):
        Experiment.from_settings(dataset="digits", train=1097, **settings)


@pytest.mark.parametrize("accountant", ACCOUNTANTS)
def test_with_a_huge_delta_nothing_is_spent_and_never_less(accountant):
    assert compute_epsilon(2.0, 0.2, 5, 0.5, accountant=accountant) == 0.0
