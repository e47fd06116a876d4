"""DP-SGD from scratch against Opacus, and the signal-to-noise ratio."""

import copy

import pytest
import torch

from lorakit.data import normalise
from lorakit.lora.vit import apply_method, create_backbone, parts
from lorakit.privacy.accountant import Privacy
from lorakit.privacy.dpsgd import clip, dp_sgd_step, per_example_gradients, signal_to_noise
from lorakit.training.evaluate import Criterion
from lorakit.training.private_step import PrivateStep
from lorakit.training.recipe import Recipe


@pytest.mark.parametrize("method", ["probe", "lora+patch"])
def test_a_step_from_scratch_equals_opacus_with_the_same_noise(make_vit, method):
    model = apply_method(make_vit(), method, rank=2).train()
    other = copy.deepcopy(model)
    images, labels = torch.randn(9, 3, 16, 16), torch.randint(0, 10, (9,))
    optimizer = torch.optim.SGD([p for p in other.parameters() if p.requires_grad], lr=0.5)
    privacy = Privacy(noise_multiplier=1.5, delta=1e-3, max_grad_norm=0.7)
    recipe = Recipe(batch_size=10, privacy=privacy)
    step = PrivateStep(other, optimizer, recipe, 30, Criterion(lambda images: images))
    for seed in range(2):
        torch.manual_seed(seed)
        dp_sgd_step(model, images, labels, lr=0.5, noise_multiplier=1.5, max_grad_norm=0.7,
                    batch_size=10)  # fmt: skip
        torch.manual_seed(seed)
        step.step((images, labels))
    for (name, ours), (_, theirs) in zip(model.named_parameters(), other.named_parameters()):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5, msg=name)


def test_clip_bounds_every_example_and_leaves_the_small_alone():
    gradients = {"a": torch.tensor([[3.0, 0.0], [0.1, 0.0]]), "b": torch.tensor([[4.0], [0.0]])}
    clipped = clip(gradients, 1.0)
    torch.testing.assert_close(clipped["a"], torch.tensor([[0.6, 0.0], [0.1, 0.0]]))
    torch.testing.assert_close(clipped["b"], torch.tensor([[0.8], [0.0]]))


def test_signal_to_noise_is_the_ratio_it_says_and_falls_with_parameters(digits):
    ratios = {}
    for method in ("probe", "lora+patch", "full"):
        torch.manual_seed(0)
        model = apply_method(create_backbone(classes=10), method, private=True)
        ratios[method] = signal_to_noise(model, digits.val, noise_multiplier=2.0)
        assert set(ratios[method]) == {"all", *parts(model)}
    assert ratios["probe"]["all"] > ratios["lora+patch"]["all"] > ratios["full"]["all"]
    model = apply_method(create_backbone(classes=10), "probe").eval()
    gradients = per_example_gradients(model, normalise(digits.val.images), digits.val.labels)
    clipped = clip(gradients, 1.0)
    total = torch.cat([g.sum(0).flatten() for g in clipped.values()])
    found = signal_to_noise(model, digits.val, noise_multiplier=2.0, chunk=17)["head"]
    assert found == pytest.approx(total.norm().item() / (2.0 * len(total) ** 0.5), rel=1e-4)
