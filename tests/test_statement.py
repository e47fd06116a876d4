"""A privacy statement says what the mechanism is, what it costs with its tuning, what it leaves."""

import math
from dataclasses import asdict, replace

import pytest

from lorakit import Experiment, Privacy, Recipe, apply_method, create_backbone, fit, load
from lorakit.experiments.statement import privacy_statement
from lorakit.privacy.accountant import compute_epsilon
from lorakit.privacy.meaning import what_it_means
from lorakit.privacy.tuning import tuned_epsilon

RUN = Experiment.from_settings(train=2000, method="probe", epochs=2, batch_size=100, epsilon=3.0)


def test_of_an_experiment_it_says_what_the_accountant_says():
    said = privacy_statement(RUN)
    assert (said.examples, said.batch_size, said.steps) == (2000, 100, 40)
    assert said.sample_rate == 0.05 and said.delta == 1e-4 and said.seed_known
    mechanism = said.noise_multiplier, 0.05, 40, 1e-4
    assert said.epsilon == said.epsilon_tuned == compute_epsilon(*mechanism) <= 3.0
    meaning = what_it_means(*mechanism)
    assert (said.tpr_at_1, said.posterior) == (meaning.tpr_at_1, meaning.posterior)
    text = str(said)
    for words in ("q = 100 / 2,000 = 0.05", "40 steps", "clipped to C = 1", "PRV", "NO promise",
                  f"({said.epsilon:.3g}, 0.0001)-DP", "none was tried besides"):  # fmt: skip
        assert words in text


def test_it_says_that_parts_are_clipped_apart_and_the_promise_is_the_same():
    apart = Experiment.from_settings(**RUN.settings() | {"groupwise_clipping": True})
    assert apart.recipe.privacy.groupwise_clipping and apart.id != RUN.id
    off = Privacy(epsilon=3.0, groupwise_clipping=False)
    assert off == Privacy(epsilon=3.0)  # one form, one id
    said, usual = privacy_statement(apart), privacy_statement(RUN)
    assert "clipped, part by part, to C = 1" in str(said) and "part by part" not in str(usual)
    assert said.groupwise_clipping and replace(said, groupwise_clipping=None) == usual


def test_of_a_checkpoint_it_counts_the_steps_that_were_taken_and_tells_a_secret_seed(tmp_path):
    data = load("fashion", train=200, val=1, test=1)
    for seed in (None, 7):
        path = tmp_path / f"{seed}.checkpoint"
        model = apply_method(create_backbone("vit_micro"), "probe", private=True)
        recipe = Recipe(epochs=3, batch_size=50, privacy=Privacy(2.0, 1e-3), lr=0.01)
        fit(model, data.train, recipe, seed=seed, checkpoint=path, progress=False,
            callback=lambda moment: moment.step == 10)  # fmt: skip
        said = privacy_statement(path)
        assert said.steps == 8 and said.examples == 200  # two epochs, the third was broken off
        assert said.epsilon < 2.0 and said.seed_known == (seed is not None)
    assert "secret seed" in str(replace(said, seed_known=False))


def test_a_fixed_number_of_trainings_composes_and_a_drawn_one_costs_less():
    mechanism = 1.3, 0.05, 80, 1e-5
    one, ten = tuned_epsilon(*mechanism), tuned_epsilon(*mechanism, tried=10)
    assert ten == compute_epsilon(1.3, 0.05, 800, 1e-5) > 2 * one
    drawn = tuned_epsilon(*mechanism, tried=10, drawn=True)
    assert one < drawn < ten


def test_the_cost_of_a_drawn_number_is_theorem_2_of_papernot_and_steinke():
    """With eta = 1: eps(a) + 2 (1 - 1/b) eps(b) + 2 log(k) / b + log(k) / (a - 1), best a and b."""
    from opacus.accountants.analysis import rdp

    sigma, rate, steps, delta, tried = 1.3, 0.05, 80, 1e-5, 10
    orders = [1 + n / 20 for n in range(1, 400)] + list(range(21, 256))
    spent = dict(zip(orders, rdp.compute_rdp(q=rate, noise_multiplier=sigma, steps=steps,
                                             orders=orders)))  # fmt: skip
    other = min(2 * (1 - 1 / b) * e + 2 * math.log(tried) / b for b, e in spent.items())
    total = [e + other + math.log(tried) / (a - 1) for a, e in spent.items()]
    by_hand, _ = rdp.get_privacy_spent(orders=orders, rdp=total, delta=delta)
    found = tuned_epsilon(sigma, rate, steps, delta, tried=tried, drawn=True)
    assert found == pytest.approx(by_hand, rel=0.02)


def test_the_numbers_are_for_a_program_and_no_promise_is_told_as_none():
    said = asdict(privacy_statement(RUN, tried=5, drawn=True))
    text = str(privacy_statement(RUN, tried=5, drawn=True))
    assert f"promise  ({said['epsilon_tuned']:.3g}, 0.0001)-DP of the published weights" in text
    assert (
        f"({said['epsilon']:.3g}, 0.0001)-DP for one" in text and "means  of one training" in text
    )
    assert "RDP for the tuning" in text
    assert said["tried"] == 5 and said["drawn"] and said["epsilon_tuned"] > said["epsilon"]
    control = RUN.replace(epsilon=None, noise_multiplier=0.0)
    assert privacy_statement(control, tried=2).epsilon == math.inf
    with pytest.raises(ValueError, match="promises nothing"):
        privacy_statement(RUN.replace(epsilon=None))
    with pytest.raises(ValueError, match="tried=0"):
        privacy_statement(RUN, tried=0)
