"""Eight ways to lose the promise, or the training, without an error: plain Opacus, one change each.

``train`` is DP-SGD as Opacus' manual has it, on a linear head. Each bug of ``ZOO`` is one change of
it; ``audit_bug`` attacks what comes out with gradient canaries, as lesson 08 explains.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from opacus import PrivacyEngine
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from lorakit.experiments.audit import canary_gradients
from lorakit.experiments.shadow import frozen_features
from lorakit.privacy.accountant import compute_epsilon
from lorakit.privacy.audit import Audit, attack
from lorakit.privacy.membership import gradient_scores

PICTURES, CANARIES, BATCH, EPOCHS, SIGMA = 1500, 1000, 250, 5, 1.15
CLAIM = {"noise_multiplier": SIGMA, "sample_rate": 0.1, "steps": 50, "delta": 1e-5}


@dataclass
class Trained:
    """What comes out: the weights at each moment (T + 1, K, D), and Opacus' own objects."""

    weights: Tensor
    engine: PrivacyEngine
    model: nn.Module
    optimizer: torch.optim.Optimizer


def train(
    x: Tensor,
    y: Tensor,
    model: nn.Module | None = None,
    *,
    sampler: WeightedRandomSampler | None = None,
    poisson: bool = True,
    prepare: Callable = lambda model: None,
    loss: Callable = lambda model, x, y: F.cross_entropy(model(x), y),
    workers: int = 1,
) -> Trained:
    """DP-SGD on features (N, D), all defaults right."""
    model = model or nn.Linear(x.shape[1], 10, bias=False)
    (head,) = model.parameters()
    nn.init.zeros_(head)
    loader = DataLoader(TensorDataset(x, y), BATCH, shuffle=sampler is None, sampler=sampler)
    with warnings.catch_warnings():  # that its random numbers are not for production
        warnings.simplefilter("ignore")
        engine = PrivacyEngine()
    model, optimizer, loader = engine.make_private(
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
        data_loader=loader,
        noise_multiplier=SIGMA,
        max_grad_norm=1.0,
        poisson_sampling=poisson,
    )
    prepare(model)
    weights = [next(model.parameters()).detach().clone()]
    for _ in range(EPOCHS):
        for batches in zip(*(loader for _ in range(workers))):
            for number, (images, labels) in enumerate(batches, 1):
                optimizer.zero_grad()
                with warnings.catch_warnings():  # that the input, data, needs no gradient
                    warnings.simplefilter("ignore")
                    loss(model, images, labels).backward()
                optimizer.signal_skip_step(number < workers)
                optimizer.step()
            weights.append(next(model.parameters()).detach().clone())
    return Trained(torch.stack(weights), engine, model, optimizer)


class Adapted(nn.Module):
    """A head, and an adapter beside it once there is one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head, self.adapter = nn.Linear(width, 10, bias=False), None

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x) if self.adapter is None else self.head(x) + self.adapter(x)


def late_adapter(x: Tensor, y: Tensor) -> Trained:
    """Wrapped first, changed later: engine and optimiser know nothing of the adapter."""

    def add(model: nn.Module) -> None:
        model._module.adapter = nn.Linear(x.shape[1], 10, bias=False)
        nn.init.zeros_(model._module.adapter.weight)

    return train(x, y, Adapted(x.shape[1]), prepare=add)


def weighted(x: Tensor, y: Tensor) -> Trained:
    """Rare examples, here the canaries, are drawn twenty times as often."""
    weights = torch.ones(len(x)).index_fill(0, torch.arange(PICTURES, len(x)), 20.0)
    return train(x, y, sampler=WeightedRandomSampler(weights, len(x)), poisson=False)


def floored(x: Tensor, y: Tensor) -> Trained:
    """A number of examples that the number of batches does not divide."""
    return train(F.pad(x, (0, 0, 0, 9)), F.pad(y, (0, 9)))


def several_passes(x: Tensor, y: Tensor) -> Trained:
    """A triplet in one loss: each example is the partner of two others, in further passes."""

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return sum(F.cross_entropy(model(x.roll(n, 0)), y.roll(n, 0)) for n in range(3))

    return train(x, y, loss=loss)


def multiplied(x: Tensor, y: Tensor) -> Trained:
    """Four processes, each with batches of the full size."""
    return train(x, y, poisson=False, workers=4)


def shuffled(x: Tensor, y: Tensor) -> Trained:
    """Shuffled batches, counted as Poisson samples."""
    return train(x, y, poisson=False)


def batch_norm(x: Tensor, y: Tensor) -> Trained:
    """A layer in which examples meet; it has no parameters, so Opacus lets it pass."""
    norm = nn.BatchNorm1d(x.shape[1], affine=False)
    return train(x, y, nn.Sequential(norm, nn.Linear(x.shape[1], 10, bias=False)))


def one_seed(x: Tensor, y: Tensor) -> Trained:
    """Every call starts with the seed of the manual."""
    torch.manual_seed(0)
    return train(x, y)


@dataclass(frozen=True)
class Bug:
    """A line of the table: what was changed, what one sees, what stops it, whether audits do."""

    train: Callable[[Tensor, Tensor], Trained]
    report: str
    symptom: str
    guard: str
    seen: bool


ZOO = {
    "changed after wrapping": Bug(
        late_adapter,
        "opacus 820, peft 3409",
        "ε is spent, and the adapter never moves",
        "each step compares the parameters",
        False,
    ),
    "weighted sampler": Bug(
        weighted,
        "opacus 813",
        "rare examples come more often than ε counts",
        "`fit` takes no sampler",
        True,
    ),
    "floored batch": Bug(
        floored,
        "opacus 819",
        "gradients are divided by too little",
        "divides by the batch that was asked for",
        False,
    ),
    "several passes in one loss": Bug(
        several_passes,
        "opacus 461",
        "one person moves a step by 3 C",
        "counts the passes of a step",
        True,
    ),
    "multiplied batch": Bug(
        multiplied,
        "opacus 444",
        "four processes: four times the examples in a step",
        "splits one sample among the processes",
        True,
    ),
    "shuffled as Poisson": Bug(
        shuffled,
        "opacus 128",
        "every batch has the same size",
        "`fit` draws its own Poisson samples",
        False,
    ),
    "batch norm": Bug(
        batch_norm,
        "opacus 472, a wish for it",
        "one person changes the gradients of all",
        "refuses the layer, frozen too",
        False,
    ),
    "one seed for two calls": Bug(
        one_seed,
        "fedbiomed 973, a question",
        "the noise of two models cancels",
        "the seed is secret unless you give one",
        True,
    ),
}


def audit_bug(bug: Bug, seed: int = 0) -> Audit:
    """Train with gradient canaries and attack every step; the claim is always the same."""
    rng = np.random.default_rng([*b"canaries", seed])
    (pictures, right), _ = frozen_features(PICTURES)
    loud, d = float(pictures.norm(dim=1).mean()), pictures.shape[1]
    x = torch.block_diag(pictures, loud * torch.eye(CANARIES))  # (N, d + M)
    labels = torch.from_numpy(rng.integers(0, 10, CANARIES))
    joined = torch.from_numpy(rng.random(CANARIES) < 0.5)
    there = torch.cat([torch.ones(PICTURES, dtype=torch.bool), joined])
    y = torch.cat([right, labels])
    torch.manual_seed(seed)
    weights = bug.train(x * there[:, None], y).weights[..., d:]  # (T + 1, K, M)
    sums = -BATCH * weights.diff(dim=0)
    if bug.train is one_seed:  # the same call a month later, without the canaries
        there[PICTURES:] = False
        sums = sums + BATCH * bug.train(x * there[:, None], y).weights[..., d:].diff(dim=0)
    gradients = canary_gradients(weights[:-1], labels, loud)
    scores = gradient_scores(sums.mT, gradients, SIGMA, CLAIM["sample_rate"])
    claim = {"claimed": compute_epsilon(**CLAIM), "delta": CLAIM["delta"]}
    dp_sgd = CLAIM["sample_rate"], CLAIM["steps"]
    return attack(scores, joined, **claim, guesses=CANARIES // 5, mechanism=dp_sgd)
