"""DP-SGD from scratch against Opacus, and the signal-to-noise ratio."""

import copy

import pytest
import torch
import torch.nn.functional as F
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer

from lorakit.data import normalise
from lorakit.lora.vit import apply_method, create_backbone, parts
from lorakit.privacy.accountant import Privacy
from lorakit.privacy.dpsgd import clip, dp_sgd_step, per_example_gradients, signal_to_noise
from lorakit.training.criterion import Criterion
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


@pytest.mark.parametrize("physical_batch", [9, 4])
def test_a_private_step_is_bit_for_bit_that_of_opacus(make_vit, physical_batch):
    """Clip, sum, noise and update in lines of our own; Opacus does them all in one call."""
    ours, theirs = (apply_method(make_vit(), "lora+patch", rank=2).train() for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    images, labels = torch.randn(9, 3, 16, 16), torch.randint(0, 10, (9,))
    plain = [
        torch.optim.AdamW([p for p in m.parameters() if p.requires_grad]) for m in (ours, theirs)
    ]
    privacy = Privacy(noise_multiplier=1.5, delta=1e-3, max_grad_norm=0.7)
    recipe = Recipe(batch_size=10, privacy=privacy, physical_batch=physical_batch)
    step = PrivateStep(ours, plain[0], recipe, 30, Criterion(lambda images: images))
    module = GradSampleModule(theirs)
    settings = {"noise_multiplier": 1.5, "max_grad_norm": 0.7, "expected_batch_size": 10}
    optimizer = DPOptimizer(plain[1], **settings)
    for seed in range(3):
        torch.manual_seed(seed)
        step.step((images, labels))
        torch.manual_seed(seed)
        for start in range(0, 9, physical_batch):
            part = slice(start, start + physical_batch)
            F.cross_entropy(module(images[part]), labels[part]).backward()
            optimizer.signal_skip_step(do_skip=part.stop < 9)
            optimizer.step()
            optimizer.zero_grad()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters()))


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
