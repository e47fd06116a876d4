"""The numbers of differential privacy: epsilon, sigma, delta, mistakes, settings."""

import math
import resource
import sys
import time

import numpy as np
import pytest
from dp_accounting import dp_event, pld
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import norm

from lorakit import Experiment
from lorakit.privacy.accountant import (
    ACCOUNTANTS,
    Privacy,
    compute_epsilon,
    default_delta,
    find_noise_multiplier,
)
from lorakit.privacy.curves import mistake_delta_from_batches, mistake_shuffled_as_poisson
from lorakit.privacy.meaning import what_it_means

HEAVY = [  # examples, batch, epochs, delta, epsilon
    (562_341, 431, 68, 1.4e-3, 15.85),
    (1_000_000, 256, 65, 1e-7, 30.0),
    (10_000, 1, 10, 1e-5, 8.0),
]
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
    exact = pld_epsilon(sigma, rate, steps, delta)
    ours = compute_epsilon(sigma, rate, steps, delta)
    assert ours == pytest.approx(exact, rel=0.01)
    assert ours >= 0.999 * exact  # it errs upwards
    assert compute_epsilon(sigma, rate, steps, delta, accountant="rdp") > ours


def pld_epsilon(sigma, rate, steps, delta, interval=1e-4):
    """Google's accountant: it errs upwards too, the less the smaller its interval."""
    oracle = pld.PLDAccountant(value_discretization_interval=interval)
    gaussian = dp_event.GaussianDpEvent(sigma)
    event = gaussian if rate == 1 else dp_event.PoissonSampledDpEvent(rate, gaussian)
    return oracle.compose(event, steps).get_epsilon(delta)


def random_settings(count, seed):
    """Settings as in real trainings with an epsilon of 0.05 to 100."""
    generator = np.random.default_rng(seed)
    while count:
        sigma, rate = 10 ** generator.uniform(-0.4, 1), 10 ** generator.uniform(-3, 0)
        steps, delta = int(10 ** generator.uniform(0, 3.5)), 10 ** generator.uniform(-7, -3)
        if 0.05 < compute_epsilon(sigma, rate, steps, delta, accountant="rdp") < 100:
            exact = pld_epsilon(sigma, rate, steps, delta)
            if exact >= 0.05:
                count -= 1
                yield (sigma, rate, steps, delta), exact


def test_epsilon_on_random_settings_is_never_below_and_at_most_one_per_cent_above():
    """Ten settings; ``random_settings(200, seed=0)`` was run once, to the same result."""
    for setting, exact in random_settings(10, seed=0):
        ours = compute_epsilon(*setting)
        if ours < exact:
            exact = pld_epsilon(*setting, interval=1e-5)
        assert exact <= ours <= 1.01 * exact, setting


@settings(max_examples=12, deadline=None)
@given(st.floats(0.4, 30), st.integers(1, 60), st.sampled_from([1e-6, 1e-4]))
def test_what_it_means_for_the_plain_gaussian_mechanism_is_its_formula(sigma, steps, delta):
    """All of q = 1 is known: steps of N(0, sigma) against N(1, sigma) are one with mu."""
    mu = math.sqrt(steps) / sigma
    found = what_it_means(sigma, 1.0, steps, delta)
    for rate, ours in ((0.001, found.tpr_at_0_1), (0.01, found.tpr_at_1)):
        exact = norm.cdf(norm.ppf(rate) + mu)
        assert exact - 1e-9 <= ours <= 1.005 * exact
    assert mu - 1e-9 <= found.mu <= 1.01 * mu + 1e-3 or 1 - norm.cdf(norm.ppf(delta) + mu) < delta
    exact = expit(mu**2 / 2 + mu * norm.isf(delta))
    assert exact - 1e-9 <= found.posterior <= 1.005 * exact


@settings(max_examples=12, deadline=None)
@given(st.floats(0.4, 10), st.floats(0.01, 0.95))
def test_what_it_means_for_one_sampled_step_is_the_best_threshold(sigma, rate):
    """Members leave N(0, sigma) or, with chance q, N(1, sigma); non-members N(0, sigma)."""
    x = np.linspace(-12 * sigma, 1 + 12 * sigma, 200_001)
    out, in_ = norm.sf(x / sigma), (1 - rate) * norm.sf(x / sigma) + rate * norm.sf((x - 1) / sigma)
    found = what_it_means(sigma, rate, 1, 1e-5)
    for wrong, ours in ((0.001, found.tpr_at_0_1), (0.01, found.tpr_at_1)):
        accuse = in_[out <= wrong].max()  # above a threshold: "was in"
        acquit = (1 - out)[(1 - in_) <= wrong].max()  # below one: "was not"
        assert max(accuse, acquit) <= ours + 1e-9
        assert ours <= 1.01 * max(accuse, acquit)


def test_what_it_means_grows_with_the_privacy_spent_and_has_its_ends():
    less, more = what_it_means(1.0, 0.02, 100, 1e-5), what_it_means(1.0, 0.02, 400, 1e-5)
    assert all(a < b for a, b in zip(less, more))
    assert more.posterior > expit(compute_epsilon(1.0, 0.02, 400, 1e-5))
    assert what_it_means(1.0, 0.1, 0, 1e-5) == (0.001, 0.01, 0.0, 0.5)
    for sigma in (0.0, 1e-200):
        assert what_it_means(sigma, 0.5, 10, 1e-5) == (1.0, 1.0, math.inf, 1.0)
    found = what_it_means(0.001, 0.5, 5, 1e-5)  # only a member that is never drawn is safe
    assert 0.96878 < found.tpr_at_0_1 < 0.9698 and found.posterior == 1


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


def test_the_noise_found_never_spends_more_than_asked_even_if_the_accountant_jumps(monkeypatch):
    """As numerical ones do, where they change their grid."""
    module = sys.modules["lorakit.privacy.accountant"]
    exact = module.epsilon_spent

    def jumps(*mechanism):
        spent, used = exact(*mechanism)
        return spent * (1.0115 if spent > 1.98 else 1.0), used

    monkeypatch.setattr(module, "epsilon_spent", jumps)
    sigma = find_noise_multiplier(2.0, 0.123, 45, 1e-4, accountant="rdp")
    assert 1.96 < jumps(sigma, 0.123, 45, 1e-4, "rdp")[0] <= 2.0


def test_default_delta_is_below_one_over_n():
    for n in (2, 9, 10, 99, 100, 1097, 9999, 10_000, 50_000):
        assert 0.1 / n <= default_delta(n) < 1 / n


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
        (lambda: compute_epsilon(1.0, 0.1, 2.5, 1e-5, accountant="gdp"), "steps=2.5.*whole"),
        (lambda: compute_epsilon(1.0, 0.1, math.nan, 1e-5, accountant="gdp"), "steps=nan.*whole"),
        (lambda: compute_epsilon(1.0, 0.1, 10, 0), "delta=0: allowed.*above 0, below 1"),
        (lambda: compute_epsilon(1.0, 0.1, 10, 1), "delta=1: allowed.*above 0, below 1"),
        (lambda: find_noise_multiplier(math.inf, 0.1, 1, 1e-5), "epsilon=inf"),
        (lambda: find_noise_multiplier(1.0, 0.1, 0, 1e-5), "steps=0"),
    ],
)
def test_bad_numbers_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_settings_that_came_later_leave_ids_as_they_were():
    rates = {"lr_head": 0.002, "lr_lora": 0.002, "lr_patch_embed": 0.004}
    made = Experiment.from_settings(dataset="digits", **rates)
    assert made.id == "e8123a78ad15f43a" and made.replace(views=2).id != made.id
    rates = {"lr_head": 0.02, "lr_lora": 0.02, "lr_patch_embed": 0.01}
    private = Experiment.from_settings(dataset="digits", epsilon=2.0, **rates)
    assert private.id == "33aa9be7f86af8fa"


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


@pytest.mark.parametrize(
    ("sigma", "rate", "steps", "delta"),
    [
        (1e-3, 0.1, 10, 1e-5),  # a grid of 74 GiB
        (1.0, 1.0, 10**8, 1e-5),
        (1.0, 0.01, 1000, 1e-15),  # below what double precision tells from zero
        (1.0, 1e-4, 10**7, 1e-8),
    ],
)
def test_beyond_the_accountant_the_looser_one_answers_and_says_so(sigma, rate, steps, delta):
    with pytest.warns(UserWarning, match="are beyond PRV: .* looser bound of RDP"):
        spent = compute_epsilon(sigma, rate, steps, delta)
    assert spent == compute_epsilon(sigma, rate, steps, delta, accountant="rdp") < math.inf


@pytest.mark.parametrize("sigma", [1e-200, 1e-100, 0.001, 0.01])
@pytest.mark.parametrize("accountant", ACCOUNTANTS)
@pytest.mark.filterwarnings("ignore:.*beyond PRV", "ignore:overflow")
def test_almost_no_noise_costs_almost_everything(accountant, sigma):
    assert compute_epsilon(sigma, 0.1, 10, 1e-5, accountant=accountant) > 1e4


def test_a_search_through_heavy_settings_stays_in_memory_and_time():
    """What stopped the explorer's kernel; the fixed part of the memory is torch's."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    for examples, batch, epochs, delta, epsilon in HEAVY:
        steps = epochs * math.ceil(examples / batch)
        sigma = find_noise_multiplier(epsilon, batch / examples, steps, delta)
        assert 0.98 * epsilon < compute_epsilon(sigma, batch / examples, steps, delta) <= epsilon
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1.5 * 2**20
    assert time.process_time() - start < 40


@pytest.mark.parametrize("accountant", ACCOUNTANTS)
def test_with_a_huge_delta_nothing_is_spent_and_never_less(accountant):
    assert compute_epsilon(2.0, 0.2, 5, 0.5, accountant=accountant) == 0.0
