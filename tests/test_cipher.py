import itertools
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorakit.encryption.cipher import STEPS, decrypt, encrypt, from_blocks, make_key, to_blocks
from lorakit.encryption.equivariance import adapt_patch_embedding, adapt_to_key
from lorakit.lora.vit import apply_method

COMBINATIONS = [c for r in range(4) for c in itertools.combinations(STEPS, r)]
DTYPES = [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64]


def brute_force(image, key):
    """The cipher as one would say it, one value at a time: (3, H, W) to (3, H, W)."""
    p, n = key.block_size, key.image_size // key.block_size
    out = torch.empty_like(image)
    for i in range(n * n):
        for j in range(3 * p * p):
            source, value = int(key.blocks[i]), int(key.pixels[j])
            c, y, x = value // p**2, value // p % p, value % p
            v = image[c, source // n * p + y, source % n * p + x]
            if key.flips[j]:
                v = 255 - v if image.dtype == torch.uint8 else -v
            c, y, x = j // p**2, j // p % p, j % p
            out[c, i // n * p + y, i % n * p + x] = v
    return out


def picture(size, dtype, seed=0, n=2):
    x = torch.randint(0, 256, (n, 3, size, size), generator=torch.Generator().manual_seed(seed))
    return x.to(dtype) if dtype == torch.uint8 else (x / 127.5 - 1).to(dtype)


@given(
    steps=st.sampled_from(COMBINATIONS),
    block=st.sampled_from([1, 2, 3, 4]),
    blocks=st.integers(1, 3),
    dtype=st.sampled_from(DTYPES),
    seed=st.one_of(st.none(), st.integers(0, 2**40)),
)
@settings(max_examples=60, deadline=None)
def test_decryption_is_exact_and_encryption_matches_brute_force(steps, block, blocks, dtype, seed):
    size = block * blocks
    x, key = picture(size, dtype), make_key(size, block, steps, seed=seed)
    secret = encrypt(x, key)
    assert secret.dtype == x.dtype and secret.shape == x.shape
    assert torch.equal(decrypt(secret, key), x)
    assert torch.equal(encrypt(decrypt(x, key), key), x)
    assert torch.equal(secret[0], brute_force(x[0], key))


def test_blocks_are_in_reading_order_and_come_back():
    x = torch.arange(3 * 4 * 4).view(1, 3, 4, 4)
    blocks = to_blocks(x, 2)
    assert blocks.shape == (1, 4, 12)
    assert blocks[0, 1, :4].tolist() == [2, 3, 6, 7]  # top right, first channel
    assert torch.equal(from_blocks(blocks, 2, 4), x)


def test_a_wrong_key_does_not_decrypt_and_the_input_is_left_alone():
    x = picture(32, torch.uint8)
    copy = x.clone()
    secret = encrypt(x, make_key(32, 8, seed=1))
    assert (decrypt(secret, make_key(32, 8, seed=2)) != x).float().mean() > 0.9
    assert torch.equal(x, copy)


def test_uint8_and_normalised_floats_encrypt_alike():
    x, key = picture(16, torch.uint8), make_key(16, 8, seed=0)
    after = encrypt(x, key).double() / 127.5 - 1
    assert torch.allclose(after, encrypt(x.double() / 127.5 - 1, key), atol=1e-12)


def test_keys_repeat_with_a_seed_differ_without_and_never_show():
    same = [make_key(32, 8, seed=5) for _ in range(2)]
    assert torch.equal(same[0].pixels, same[1].pixels)
    assert torch.equal(same[0].flips, same[1].flips)
    assert not torch.equal(make_key(32, 8).pixels, make_key(32, 8).pixels)
    shuffle = make_key(32, 8, "shuffle", seed=5)  # a step's secret does not hang on the others
    assert torch.equal(shuffle.pixels, same[0].pixels)
    assert shuffle.blocks.tolist() == list(range(16)) and not shuffle.flips.any()
    text = repr(same[0]) + str(same[0])
    assert "tensor" not in text and "secret hidden" in text


def test_unseeded_keys_come_from_the_systems_generator(monkeypatch):
    import secrets

    called = []
    real = secrets.SystemRandom
    monkeypatch.setattr(secrets, "SystemRandom", lambda: called.append(1) or real())
    make_key(8, 4, seed=0)
    assert not called
    make_key(8, 4)
    assert called


@given(fixed=st.integers(0, 16).filter(lambda n: n != 15), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_restricted_permutation_keeps_exactly_the_chosen_number(fixed, seed):
    key = make_key(32, 8, seed=seed, fixed_blocks=fixed, fixed_pixels=100)
    assert (key.blocks == torch.arange(16)).sum() == fixed
    assert (key.pixels == torch.arange(192)).sum() == 100
    assert sorted(key.blocks.tolist()) == list(range(16))


@pytest.mark.parametrize("steps", COMBINATIONS, ids="+".join)
@pytest.mark.parametrize(
    "kind",
    [{}, {"qk_norm": True, "reg_tokens": 2}, {"class_token": False, "global_pool": "avg"},
     {"no_embed_class": True, "reg_tokens": 1}],
    ids=["plain", "registers", "average", "no_embed_class"],
)  # fmt: skip
def test_adapted_model_gives_the_plain_logits(make_vit, steps, kind):
    model = make_vit(**kind)
    torch.nn.init.normal_(model.head.weight)
    key = make_key(16, 8, steps, seed=1)
    x = picture(16, torch.float32, n=4)
    plain, secret = model(x), encrypt(x, key)
    assert (adapt_to_key(model, key)(secret) - plain).abs().max() < 1e-4
    if steps:
        assert (model(secret) - plain).abs().max() > 1e-3  # unadapted, it does not
    assert torch.equal(model(x), plain)  # the model itself is left alone


@pytest.mark.parametrize("kind", [{}, {"no_embed_class": True, "reg_tokens": 1}])
def test_a_trained_position_update_is_adapted_too(make_vit, kind):
    model = apply_method(make_vit(**kind), "lora+patch+pos", rank=2, private=True).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    key = make_key(16, 8, seed=1)
    x = picture(16, torch.float32, n=4)
    assert (adapt_to_key(model, key)(encrypt(x, key)) - model(x)).abs().max() < 1e-4


def test_a_normalisation_that_differs_across_channels_is_warned_of(make_vit):
    model = make_vit()
    model.pretrained_cfg = {"mean": (0.485, 0.456, 0.406), "std": (0.5, 0.5, 0.5)}
    with pytest.warns(UserWarning, match="mean=.*encrypt after normalising"):
        adapt_to_key(model, make_key(16, 8))
    model.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapt_to_key(model, make_key(16, 8))


def test_normalisation_trap_per_channel_statistics_break_the_equality(make_vit):
    """The cipher mixes channels: encrypting before a per-channel normalisation is another map."""
    model = make_vit()
    torch.nn.init.normal_(model.head.weight)
    key = make_key(16, 8, seed=1)
    adapted = adapt_to_key(model, key)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    x = picture(16, torch.uint8, n=4)
    plain = model((x / 255 - mean) / std)
    assert (adapted(encrypt((x / 255 - mean) / std, key)) - plain).abs().max() < 1e-4
    assert (adapted((encrypt(x, key) / 255 - mean) / std) - plain).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make_key(32, 5), ["block_size=5", "image_size=32"]),
        (lambda: make_key(32, 0), ["block_size=0"]),
        (lambda: make_key(32, True), ["block_size=True"]),
        (lambda: make_key("32", 8), ["image_size='32'"]),
        (lambda: make_key(32, 8, seed=-1), ["seed=-1"]),
        (lambda: make_key(32, 8, seed=False), ["seed=False", "whole number"]),
        (lambda: make_key(32, 8, seed=1.5), ["seed=1.5", "whole number"]),
        (lambda: make_key(32, 8, fixed_blocks=True), ["fixed_blocks=True"]),
        (lambda: make_key(32, 8, ["shuffle"], fixed_blocks=3), ["fixed_blocks=3", "scramble"]),
        (lambda: make_key(32, 8, ["rotate"]), ["rotate", "scramble"]),
        (lambda: make_key(32, 8, fixed_blocks=15), ["fixed_blocks=15", "not 15"]),
        (lambda: make_key(32, 8, fixed_pixels=193), ["fixed_pixels=193", "192"]),
        (lambda: encrypt(torch.zeros(1, 4, 32, 32), make_key(32, 8)), ["(1, 4, 32, 32)"]),
        (lambda: encrypt(torch.zeros(1, 3, 16, 16), make_key(32, 8)), ["16", "(3, 32, 32)"]),
        (lambda: adapt_patch_embedding(torch.zeros(8, 3, 4, 4), make_key(32, 8)), ["(8, 3, 4, 4)"]),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError) as error:
        call()
    assert all(word in str(error.value) for word in words)


def test_integers_other_than_uint8_and_foreign_keys_are_refused(make_vit):
    with pytest.raises(TypeError, match="int64"):
        encrypt(torch.zeros(1, 3, 32, 32, dtype=torch.int64), make_key(32, 8))
    with pytest.raises(TypeError, match="images=None: allowed: Tensor"):
        encrypt(None, make_key(32, 8))
    with pytest.raises(ValueError, match="block_size=8, image_size=16"):
        adapt_to_key(make_vit(), make_key(16, 4))
