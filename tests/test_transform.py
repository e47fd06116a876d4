"""From stored pictures to what the model sees, on the way to the model."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lorakit import Split, adapt_to_key, encrypt, evaluate, fit, make_key, normalise
from lorakit.encryption.cipher import STEPS, decrypt
from lorakit.encryption.transform import Transform
from lorakit.training.recipe import Recipe


@settings(deadline=None, max_examples=20)
@given(st.sets(st.sampled_from(STEPS), min_size=1), st.integers(0, 99))
def test_encryption_comes_last_and_can_be_undone(steps, seed):
    images = torch.randint(256, (3, 3, 20, 20), dtype=torch.uint8)
    key = make_key(32, 8, steps, seed=seed)
    plain, secret = Transform(32)(images), Transform(32, key)(images)
    assert plain.shape == (3, 3, 32, 32) and plain.abs().max() <= 1
    assert torch.equal(decrypt(secret, key), plain)


def test_the_right_size_is_only_normalised():
    images = torch.randint(256, (3, 3, 16, 16), dtype=torch.uint8)
    assert torch.equal(Transform(16)(images), normalise(images))
    key = make_key(16, 8, seed=1)
    early = normalise(encrypt(images, key))  # stored encrypted, as another owner would send it
    assert torch.allclose(Transform(16, key)(images), early, atol=1e-6)


def test_enlarging_keeps_the_picture():
    smooth = torch.linspace(0, 255, 8).round().expand(1, 3, 8, 8).to(torch.uint8)
    large = Transform(32)(smooth)
    back = F.avg_pool2d(large, 4)
    assert (back - normalise(smooth)).abs().max() < 0.03


def test_a_model_adapted_to_the_key_sees_encrypted_pictures_as_well_as_plain_ones(make_vit):
    model, key = make_vit(), make_key(16, 8, seed=3)
    split = Split(torch.randint(256, (20, 3, 10, 10), dtype=torch.uint8), torch.arange(20) % 10)
    plain = evaluate(model, split, transform=Transform(16), device="cpu")
    adapted = adapt_to_key(model, key)
    secret = evaluate(adapted, split, transform=Transform(16, key), device="cpu")
    assert secret["loss"] == pytest.approx(plain["loss"], rel=1e-5)


def test_training_sees_what_the_transform_gives(make_vit, tmp_path):
    split = Split(torch.randint(256, (20, 3, 10, 10), dtype=torch.uint8), torch.arange(20) % 10)
    key, other = make_key(16, 8, seed=3), make_key(16, 8, seed=4)
    state = tmp_path / "state"
    recipe, options = Recipe(epochs=2, batch_size=10), {"device": "cpu", "progress": False}
    torch.manual_seed(0)
    first = make_vit()
    torch.manual_seed(0)
    again = make_vit()
    fit(first, split, recipe, transform=Transform(16, key), checkpoint=state, **options)
    stored = Split(
        ((encrypt(Transform(16)(split.images), key) / 2 + 0.5) * 255).round().byte(), split.labels
    )
    fit(again, stored, recipe, **options)
    assert all(
        torch.allclose(a, b, atol=0.02) for a, b in zip(first.parameters(), again.parameters())
    )
    with pytest.raises(ValueError, match="other data"):  # a state of pictures under another key
        options |= {"transform": Transform(16, other), "checkpoint": state}
        fit(make_vit(), split, recipe, **options)
