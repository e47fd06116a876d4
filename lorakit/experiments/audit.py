"""Audits of DP-SGD and of broken variants, which train a head on frozen features.

The statistics are in ``privacy.audit``.
"""

from itertools import product

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.stats import binomtest
from torch import Tensor, nn

from lorakit.experiments.shadow import accuracy, frozen_features
from lorakit.privacy.accountant import Privacy
from lorakit.privacy.audit import Audit, attack
from lorakit.privacy.membership import gradient_scores
from lorakit.runtime import seed_everything
from lorakit.training.criterion import Criterion
from lorakit.training.private_step import PrivateStep
from lorakit.training.recipe import Recipe
from lorakit.training.step import PlainStep

PRIVACY = Privacy(epsilon=4.0, delta=1e-5)
RECIPE = Recipe(epochs=5, batch_size=250, lr=1.0, optimizer="sgd", privacy=PRIVACY)
VARIANTS = "correct,no noise,no clipping,noise / 40,shared noise,fixed order,shuffled".split(",")
ATTACKS = {  # in words for a figure
    "losses": "losses",
    "gradients": "gradients, one pair",
    "curve": "gradients, whole curve",
}


def audit_head(
    variant: str, seed: int, recipe: Recipe = RECIPE, pictures: int = 1000, canaries: int = 1000
) -> dict[str, Audit | float]:
    """Audit DP-SGD, or another of ``VARIANTS``, on a linear head over frozen features.

    Canaries of two kinds are in the same training. A gradient canary has one feature, which nobody
    else has, so that its gradient has columns of its own. Half as many are pictures with a wrong
    label. Those that do not join are blank: N is always the same.

    Returns:
        An ``Audit`` for each of ``ATTACKS``; ``accuracy``, 0 to 1; ``steps``.
    """
    rng, wrong = np.random.default_rng([*b"canaries", seed]), canaries // 2
    (x, right), test = frozen_features(pictures + wrong)
    loud, d = float(x.norm(dim=1).mean()), x.shape[1]
    x = torch.block_diag(x, loud * torch.eye(canaries))  # (N, d + M)
    labels = torch.cat([right, torch.from_numpy(rng.integers(0, 10, canaries))])
    labels[pictures:-canaries] += torch.from_numpy(rng.integers(1, 10, wrong))
    labels %= 10
    joined = torch.from_numpy(rng.random(wrong + canaries) < 0.5)
    there = torch.cat([torch.ones(pictures, dtype=torch.bool), joined])
    step, weights, sums = watch(x * there[:, None], labels, recipe, variant, seed)
    if variant == "shared noise":  # with a second call that has no canaries
        there[pictures:] = False
        sums = sums - watch(x * there[:, None], labels, recipe, variant, seed)[2]
    q = step.sample_rate
    if variant == "fixed order":  # which the attacker knows
        batch = torch.arange(len(x))[-canaries:] // recipe.batch_size  # (M,)
        q = (batch == torch.arange(step.taken)[:, None] % -(-len(x) // recipe.batch_size)).float()
    gradients = canary_gradients(weights[:-1, :, d:], labels[-canaries:], loud)
    scores = gradient_scores(sums[:, :, d:].mT, gradients, step.sigma, q)
    losses = F.cross_entropy(x @ weights[-1].T, labels, reduction="none")[pictures:-canaries]
    claim = {"claimed": step.spent()["epsilon"], "delta": step.privacy.delta}
    claim["guesses"] = canaries // 5
    dp_sgd = {"mechanism": (step.sample_rate, step.taken)}
    return {
        "losses": attack(-losses, joined[:wrong], **claim),
        "gradients": attack(scores, joined[wrong:], **claim),
        "curve": attack(scores, joined[wrong:], **claim, **dp_sgd),
        "accuracy": accuracy(weights[-1, :, :d].T, *test),
        "steps": step.taken,
    }


def watch(
    x: Tensor, labels: Tensor, recipe: Recipe, variant: str, seed: int
) -> tuple[PrivateStep, Tensor, Tensor]:
    """Train a head on features (N, D), by one of ``VARIANTS``, and look on.

    Returns:
        The step, the weights before each step and at the end (T + 1, K, D), and what each step
        released: noisy sums of clipped gradients (T, K, D), in units of C.
    """
    seed_everything(seed)
    head = nn.Linear(x.shape[1], 10, bias=False).train()
    nn.init.zeros_(head.weight)
    optimizer = torch.optim.SGD(head.parameters(), lr=recipe.lr)
    step = PrivateStep(head, optimizer, recipe, len(x), Criterion(lambda images: images))
    noisy, weights = step.optimizer, [head.weight.detach().clone()]
    noisy.noise_multiplier *= {"no noise": 0, "noise / 40": 1 / 40}.get(variant, 1)
    if variant == "no clipping":
        noisy.max_grad_norm, noisy.noise_multiplier = 1e6, step.sigma / 1e6
    for _ in range(recipe.epochs):
        batches = step.sample()
        if variant == "shuffled":
            batches = PlainStep.sample(step)
        elif variant == "fixed order":
            batches = torch.arange(len(x)).split(recipe.batch_size)
        for indices in batches:
            step.step((x[indices], labels[indices]))
            weights.append(head.weight.detach().clone())
    step.close()
    path = torch.stack(weights)
    return step, path, -path.diff(dim=0) * recipe.batch_size / recipe.lr


def canary_gradients(weights: Tensor, labels: Tensor, loud: float) -> Tensor:
    """Clipped to C = 1, of canaries with one loud feature each: weights (T, K, M) to (T, M, K)."""
    errors = (loud * weights.mT).softmax(-1) - F.one_hot(labels, weights.shape[1])
    return errors * (1 / errors.norm(dim=-1, keepdim=True)).clamp(max=loud)


def detections(rows: pd.DataFrame) -> pd.DataFrame:
    """How many audits refute the claim, with 95 % intervals (Clopper and Pearson 1934)."""
    lines = []
    for (variant, mine), name in product(rows.groupby("variant", sort=False), ATTACKS):
        refuted = int((mine[name] > mine["claimed"]).sum())
        low, high = binomtest(refuted, len(mine)).proportion_ci()
        line = {"variant": variant, "attack": name, "refuted": refuted, "audits": len(mine)}
        means = {"bound": mine[name].mean(), "accuracy": mine["accuracy"].mean()}
        lines.append(line | {"low": low, "high": high} | means)
    return pd.DataFrame(lines)
