"""Shadow models of LiRA (Carlini et al. 2022, arXiv 2112.03570): heads on frozen features, many at
once. What their confidences tell is in ``privacy.membership``.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from lorakit.data.load import load
from lorakit.experiments.probe import features
from lorakit.lora.vit import create_backbone


@lru_cache
def frozen_features(train: int) -> tuple[tuple[Tensor, Tensor], ...]:
    """What a head sees of clothes, to train on and 1,000 to test: features (N, d), labels (N,)."""
    data, model = load("fashion", train=train, val=0, test=1000), create_backbone("vit_micro")
    return tuple((features(model, s.images), s.labels) for s in (data.train, data.test))


def shadow_heads(
    x: Tensor,
    labels: Tensor,
    members: Tensor,
    *,
    steps: int = 60,
    lr: float = 0.1,
    max_grad_norm: float = math.inf,
    std: float = 0.0,
) -> Tensor:
    """Train many heads at once, each by ``steps`` steps over all of its members: (S, d, K).

    With noise it is DP-SGD at sample rate 1. The gradient of one example has the norm |p - y| |x|.

    Args:
        x, labels: features (N, d), classes (N,).
        members: bool (S, N), what each head is trained on: about half, by fair coins.
        lr: of the mean gradient, with momentum 0.9.
        max_grad_norm, std: C and sigma C.
    """
    truth, share = F.one_hot(labels).float(), 2 / len(x)
    weights = x.new_zeros(len(members), x.shape[1], truth.shape[1])
    velocity = torch.zeros_like(weights)
    for _ in range(steps):
        errors = (x @ weights).softmax(-1) - truth  # (S, N, K)
        kept = (max_grad_norm / (errors.norm(dim=-1) * x.norm(dim=1))).clamp(max=1) * members
        total = x.T @ (errors * kept[..., None]) + std * torch.randn_like(weights)
        velocity = 0.9 * velocity + share * total
        weights -= lr * velocity
    return weights


def confidences(weights: Tensor, x: Tensor, labels: Tensor) -> Tensor:
    """log(p / (1 - p)) of the labels under heads (S, d, K), features (N, d): (S, N)."""
    logits = x @ weights  # (S, N, K)
    own = F.one_hot(labels).bool().expand_as(logits)
    return logits[own].view(logits.shape[:2]) - logits.masked_fill(own, -math.inf).logsumexp(-1)


def accuracy(weights: Tensor, x: Tensor, labels: Tensor) -> float:
    """The share of features (N, d) that heads (..., d, K) get right, 0 to 1."""
    return ((x @ weights).argmax(-1) == labels).float().mean().item()
