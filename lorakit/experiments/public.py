"""Adapt a model to the key on public pictures first: free of epsilon, and not free of risk.

Under privacy the noise drowns what has to be learned anew behind a cipher. But how a key arranges
pixels is no secret of any private picture: its owner can teach it on synthetic ones. That opens
attacks. Public pictures that are published in both forms are known plaintext, and one gives the key
away (``attacks.known_plaintext``). And the adapted embedding confirms a guessed key; it does not
spell the key out, as that of ``adapt_to_key`` does (``attacks.embedding``).
"""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from lorakit.checks import check_number, checked
from lorakit.data.dataset import generator_for
from lorakit.data.synthetic import SOURCES
from lorakit.encryption.cipher import Key
from lorakit.encryption.transform import Transform
from lorakit.experiments.pretrain_synthetic import draw_mix
from lorakit.runtime import pick_device
from lorakit.training.optimizer import make_optimizer, make_scheduler
from lorakit.training.recipe import Recipe

RECIPE = Recipe(epochs=2, batch_size=128, lr=5e-3)


@checked
def pretrain_on_public(
    model: nn.Module,
    key: Key,
    images: int = 10_000,
    *,
    recipe: Recipe = RECIPE,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> float:
    """Teach a model to see encrypted pictures as its pre-trained self sees plain ones.

    What trains in it, but the head, learns from ``images`` synthetic pictures: a step lowers the
    squared distance between the tokens behind the last block, (n, 1 + N, d), of an encrypted
    picture and those of the plain one in a frozen copy. The model stays on the device.

    Returns:
        The last epoch's mean of that distance over the tokens' variance; 1 is blind.
    """
    check_number("images", images, least=recipe.batch_size, whole=True)
    device = pick_device(device)
    pictures = draw_mix(images, SOURCES, seed).images
    teacher = copy.deepcopy(model).to(device).requires_grad_(False).eval()
    optimizer = make_optimizer(model.to(device).train(), recipe)
    scheduler = make_scheduler(optimizer, recipe, recipe.steps(images))
    generator = generator_for("public", seed)
    bar = tqdm(total=recipe.steps(images), unit="step", leave=False, disable=not progress)
    for _ in range(recipe.epochs):
        missed = varied = 0.0
        for chosen in torch.randperm(images, generator=generator).split(recipe.batch_size):
            plain = pictures[chosen].to(device)
            wanted = teacher.forward_features(Transform(key.image_size)(plain))
            seen = model.forward_features(Transform(key.image_size, key)(plain))
            loss = F.mse_loss(seen, wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            bar.update()
            missed += loss.item() * len(chosen)
            varied += wanted.var(dim=(0, 1)).mean().item() * len(chosen)
    bar.close()
    return missed / varied
