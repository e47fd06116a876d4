"""Adapting to a key on public pictures: it works, costs no epsilon, and tells of the key."""

import sys

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from lorakit import Experiment, apply_method, create_backbone, encrypt, load, make_key, run
from lorakit.encryption.attacks.known_plaintext import recover_key
from lorakit.encryption.equivariance import adapt_patch_embedding
from lorakit.experiments.pretrain_synthetic import draw_mix
from lorakit.experiments.probe import linear_probe
from lorakit.experiments.public import pretrain_on_public
from lorakit.experiments.run import encrypt_split

KEY = make_key(32, 8, ["shuffle", "negative"], seed=3)
SHORT = {"train": 64, "val": 1, "test": 50, "epochs": 1, "batch_size": 16}


@pytest.fixture(scope="module")
def adapted():
    torch.manual_seed(0)
    model = apply_method(create_backbone("vit_micro"), "lora+patch", private=True)
    head = model.head.weight.clone()
    error = pretrain_on_public(model, KEY, 4096, device="cpu")
    assert torch.equal(model.head.weight, head) and model.head.weight.requires_grad
    return model, error


def test_encrypted_pictures_are_seen_nearly_as_plain_ones_were(adapted):
    model, error = adapted
    assert error < 0.7
    data = load("fashion", train=2000, val=1, test=2000)
    hidden = [encrypt_split(split, KEY) for split in (data.train, data.test)]
    before = linear_probe(create_backbone("vit_micro"), *hidden)
    assert linear_probe(model, *hidden) > before + 0.01


def test_the_adapted_embedding_confirms_a_key_and_known_public_pictures_give_it_away(adapted):
    """It is nearer to the exact embedding of the right key than to that of any wrong one."""
    public = create_backbone("vit_micro").patch_embed.proj.weight.detach()
    learned = adapted[0].patch_embed.proj.weight.detach() - public

    def likeness(key):
        exact = adapt_patch_embedding(public, key) - public
        return torch.cosine_similarity(learned.flatten(), exact.flatten(), dim=0).item()

    wrong = [likeness(make_key(32, 8, ["shuffle", "negative"], seed=s)) for s in range(100, 110)]
    assert likeness(KEY) > 1.1 * max(wrong)
    pictures = draw_mix(8, ["textures"], seed=0).images
    recovered = recover_key(pictures, encrypt(pictures, KEY), 8)
    assert torch.equal(recovered.key.pixels, KEY.pixels)


def test_a_private_run_starts_from_it_and_spends_no_more(monkeypatch):
    base = Experiment.from_settings(
        **SHORT, cipher="shuffle+negative", method="lora+patch", noise_multiplier=1.0
    )
    public = base.replace(public=128)
    assert base.id != public.id and public.replace(public=None) == base
    calls = []
    monkeypatch.setattr(
        sys.modules[run.__module__],
        "pretrain_on_public",
        lambda *given, **more: calls.append(given),
    )
    rows = [run(e, device="cpu") for e in (base, public)]
    assert len(calls) == 1 and calls[0][2] == 128
    assert rows[0]["epsilon_spent"] == rows[1]["epsilon_spent"]


def test_a_backbone_for_larger_pictures_sees_them_enlarged():
    model = VisionTransformer(64, 8, embed_dim=16, depth=1, num_heads=2, num_classes=10)
    key = make_key(64, 8, ["shuffle"], seed=0)
    assert pretrain_on_public(model, key, 128, device="cpu") > 0


@pytest.mark.parametrize(
    "wrong", [{"cipher": "none"}, {"method": "probe"}, {"public": 0}, {"public": 127}]
)
def test_without_a_key_to_adapt_to_it_is_refused(wrong):
    settings = {"cipher": "shuffle", "method": "patch", "public": 256}
    with pytest.raises(ValueError, match="public="):
        Experiment.from_settings(**settings | wrong)
