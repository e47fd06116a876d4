"""Train a model with canaries in its data, and attack it: an audit of one training.

The statistics are in ``privacy.audit``.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from lorakit.data.dataset import Split
from lorakit.experiments.experiment import Experiment
from lorakit.experiments.run import load_data, train_model
from lorakit.privacy.accountant import check_delta, default_delta
from lorakit.privacy.audit import Audit, attack, insert_canaries
from lorakit.training.evaluate import example_losses


def membership_scores(
    model: nn.Module, canaries: Split, references: Sequence[nn.Module] = ()
) -> Tensor:
    """How sure the attacker is that each canary was trained on, (M,): higher is surer.

    The negative loss; with reference models, which never saw the canaries, the log-likelihood ratio
    against their mean, so that a canary that is easy for any model tells nothing.
    """
    score = -example_losses(model, canaries)
    for reference in references:
        score = score + example_losses(reference, canaries) / len(references)
    return score


def audit(
    experiment: Experiment,
    *,
    canaries: int = 200,
    references: int = 0,
    claimed: float | None = None,
    delta: float | None = None,
    progress: bool = False,
) -> Audit:
    """Train the experiment with canaries in its (plain) training set, and attack the model.

    N, and with it sample rate, noise and the epsilon under test, are those of the mixed set.

    Args:
        experiment: what to audit; ``canaries`` more images than ``train`` are drawn from its data.
        canaries: M, how many candidates; about half of them join.
        references: models trained without canaries, for the likelihood ratio.
        claimed: the epsilon to test; None means what training spent, infinity without noise.
        delta: of training and claim, below 1 / (train + canaries); None means the experiment's own
            if it is, otherwise ``default_delta(train + canaries)``.
        progress: show progress bars.
    """
    e, total = experiment, experiment.train + canaries
    if e.cipher != "none":
        raise ValueError(f"cipher={e.cipher!r}: allowed: 'none', the audit is of plain training")
    if delta is None:
        own = e.recipe.privacy.delta if e.private else 1.0
        delta = own if own < 1 / total else default_delta(total)
    check_delta(delta, total)
    e = e.replace(delta=delta) if e.private else e
    larger, sizes = load_data(e.replace(train=total)), [e.train, canaries]
    parts = larger.train.images.split(sizes), larger.train.labels.split(sizes)
    train, candidates = map(Split, *parts)
    mixed, secret, joined = insert_canaries(train, candidates, len(larger.classes), e.seed)
    options = {"dataset": replace(larger, train=mixed), "progress": progress}
    model, _, history = train_model(e, **options)
    options["dataset"] = replace(larger, train=train)
    apart = [e.replace(seed=e.seed + 1 + n) for n in range(references)]
    scores = membership_scores(model, secret, [train_model(e, **options)[0] for e in apart])
    spent = history[-1].get("epsilon", math.inf)
    return attack(scores, joined, claimed=spent if claimed is None else claimed, delta=delta)
