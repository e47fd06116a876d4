"""DP-SGD from scratch, to be read: no Opacus, three steps, one line each in the formula.

    g_i = gradient of example i's loss
    clip: g_i <- g_i min(1, C / |g_i|)
    noise: g = (sum_i g_i + sigma C N(0, I)) / expected batch size

(Abadi et al. 2016, arXiv 1607.00133, algorithm 1.) ``PrivateStep`` does it through Opacus; a test
holds the two equal.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parameters_to_vector

from lorakit.data.dataset import Split, normalise
from lorakit.lora.vit import part_of

Gradients = dict[str, Tensor]


def per_example_gradients(model: nn.Module, images: Tensor, labels: Tensor) -> Gradients:
    """The gradient of each example's own loss: (N, *its shape) for every trainable parameter.

    ``images`` are normalised, (N, 3, H, W), and the model is in a mode without randomness.
    """
    trainable = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
    fixed = {n: p.detach() for n, p in model.named_parameters() if not p.requires_grad}
    fixed |= dict(model.named_buffers())

    def loss(parameters: Gradients, image: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, (parameters, fixed), image[None])  # (1, classes)
        return F.cross_entropy(logits, label[None])

    with sdpa_kernel(SDPBackend.MATH):  # the attention that vmap knows
        return vmap(grad(loss), in_dims=(None, 0, 0))(trainable, images, labels)


def clip(gradients: Gradients, max_grad_norm: float) -> Gradients:
    """Scale each example's gradient, over all parameters together, to norm at most C."""
    squares = [g.flatten(1).square().sum(dim=1) for g in gradients.values()]  # (N,) each
    norms = torch.stack(squares).sum(dim=0).sqrt()  # (N,)
    factors = (max_grad_norm / (norms + 1e-6)).clamp(max=1)
    return {n: torch.einsum("i,i...->i...", factors, g) for n, g in gradients.items()}


def clip_groupwise(gradients: Gradients, max_grad_norm: float) -> Gradients:
    """Clip each of k parts by itself, to C / sqrt(k): all together keep to norm C.

    (He et al. 2022, arXiv 2212.01539; their groups are layers, these are ``lora.vit.PARTS``.)
    """
    groups: dict[str, Gradients] = {}
    for name, gradient in gradients.items():
        groups.setdefault(part_of(name), {})[name] = gradient
    limit = max_grad_norm / len(groups) ** 0.5
    return {n: g for group in groups.values() for n, g in clip(group, limit).items()}


def noisy_sum(
    gradients: Gradients, noise_multiplier: float, max_grad_norm: float, batch_size: int
) -> Gradients:
    """Sum over examples, add noise of standard deviation sigma C, divide by the batch size."""
    std = noise_multiplier * max_grad_norm
    sums = {name: g.sum(dim=0) for name, g in gradients.items()}
    return {n: (g + std * torch.randn_like(g)) / batch_size for n, g in sums.items()}


def dp_sgd_step(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    lr: float,
    noise_multiplier: float,
    max_grad_norm: float,
    batch_size: int,
) -> None:
    """One step of plain gradient descent with clipped and noised gradients, in place.

    ``batch_size`` is the expected size of a Poisson batch; ``images`` is the one that was drawn.
    """
    clipped = clip(per_example_gradients(model, images, labels), max_grad_norm)
    update = noisy_sum(clipped, noise_multiplier, max_grad_norm, batch_size)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter -= lr * update[name]


def signal_to_noise(
    model: nn.Module,
    split: Split,
    *,
    noise_multiplier: float,
    max_grad_norm: float = 1.0,
    chunk: int = 20,
) -> dict[str, float]:
    """How loud each part's gradient is against the noise DP-SGD adds to it.

    The ratio |sum of clipped gradients| / (sigma C sqrt(d)) for the d parameters of a part, with
    all examples of ``split`` as one batch. Noise grows with sqrt(d), and the clipped norm is shared
    by all parts: that is why fewer parameters help. A ratio for each part that trains, and for
    ``all`` of them together.
    """
    on = next(model.eval().parameters()).device
    sums: Gradients = {}
    for images, labels in zip(split.images.to(on).split(chunk), split.labels.to(on).split(chunk)):
        gradients = per_example_gradients(model, normalise(images), labels)
        clipped = clip(gradients, max_grad_norm)
        for name, gradient in clipped.items():
            sums[name] = sums.get(name, 0) + gradient.sum(dim=0)
    groups = {"all": list(sums.values())}
    for name, total in sums.items():
        groups.setdefault(part_of(name), []).append(total)
    std = noise_multiplier * max_grad_norm
    flat = {part: parameters_to_vector(tensors) for part, tensors in groups.items()}
    return {part: (v.norm() / (std * len(v) ** 0.5)).item() for part, v in flat.items()}
