import pytest
import torch
from torch import nn

from lorakit.lora.lora import (
    TARGETS,
    LoRA,
    add_lora,
    lora_layers,
    merge_lora,
    remove_lora,
    unmerge_lora,
)

VARIANTS = {
    "class token": {},
    "average pooling": {"global_pool": "avg", "class_token": False},
    "qk_norm": {"qk_norm": True},
    "registers": {"reg_tokens": 3},
    "patch 4": {"patch_size": 4},
    "no qkv bias": {"qkv_bias": False},
}


def images(n=3):
    return torch.rand(n, 3, 16, 16) * 2 - 1


def train_a_little(model, steps=3):
    parameters = [p for n, p in model.named_parameters() if ".updates." in n]
    optimizer = torch.optim.SGD(parameters, lr=0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images(8)), torch.arange(8)).backward()
        optimizer.step()


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_vit_starts_as_the_identity_bitwise_and_then_learns(make_vit, variant):
    model, x = make_vit(**VARIANTS[variant]), images()
    before = model(x)
    add_lora(model, TARGETS, rank=2)
    assert torch.equal(model(x), before)
    assert len(list(lora_layers(model))) == 2 * 4  # qkv, proj, fc1, fc2 in two blocks
    train_a_little(model)
    assert not torch.allclose(model(x), before, atol=1e-4)


def test_the_update_is_the_formula(make_vit):
    update = LoRA(8, 6, rank=4, alpha=3)
    nn.init.normal_(update.B.weight)
    x = torch.randn(5, 8)
    expected = 3 / 4 * (update.B.weight @ update.A.weight @ x.T).T
    assert torch.allclose(update(x), expected, atol=1e-6)
    assert torch.allclose(update.delta_weight() @ x[0], expected[0], atol=1e-6)
    assert torch.linalg.matrix_rank(LoRA(8, 6, 2, 1).delta_weight()) == 0  # B = 0 at the start


def test_alpha_below_rank_still_trains(make_vit):
    model = add_lora(make_vit(), ["q", "v"], rank=8, alpha=1)
    assert all(u.scale == 0.125 for _, layer in lora_layers(model) for u in layer.updates.values())
    before = model(x := images())
    train_a_little(model)
    assert not torch.equal(model(x), before)


def test_a_and_b_both_move_after_three_steps_but_a_not_on_the_first(make_vit):
    model = add_lora(make_vit(), TARGETS, rank=2)
    start = {n: p.clone() for n, p in model.named_parameters() if ".updates." in n}
    train_a_little(model, steps=1)
    still = {n for n, p in model.named_parameters() if n in start and torch.equal(p, start[n])}
    assert still == {n for n in start if ".A." in n}
    train_a_little(model, steps=2)
    assert all(not torch.equal(p, start[n]) for n, p in model.named_parameters() if n in start)


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_touches_only_its_own_slice(make_vit, target):
    model = add_lora(make_vit(), target, rank=2)
    train_a_little(model)
    _, layer = next(lora_layers(model))
    moved = layer.delta_weight().abs().sum(dim=1) > 0
    width = 32
    rows = {"q": (0, width), "k": (width, 2 * width), "v": (2 * width, 3 * width)}
    low, high = rows.get(target, (0, len(moved)))
    assert moved[low:high].any()
    assert not moved[:low].any() and not moved[high:].any()
    assert list(layer.updates) == [target]


def test_k_is_the_middle_slice_of_timms_attention(make_vit):
    """A constant added to every key leaves the softmax, and so the output, as it is."""
    model = make_vit()
    before = model(x := images())
    attention = model.blocks[0].attn
    attention.qkv.bias.data[32:64] += 0.7
    assert torch.allclose(model(x), before, atol=1e-5)


def test_merge_unmerge_remove_agree(make_vit):
    model = add_lora(make_vit(), TARGETS, rank=4)
    train_a_little(model)
    x = images()
    separate = model(x)
    weights = {n: layer.base.weight.clone() for n, layer in lora_layers(model)}
    merged = merge_lora(model)(x)
    assert ((merged - separate).norm() / separate.norm()) < 1e-5
    assert torch.equal(merge_lora(model)(x), merged)  # merging twice is merging once
    unmerge_lora(model)
    assert ((model(x) - separate).norm() / separate.norm()) < 1e-5
    for name, layer in lora_layers(model):
        assert (layer.base.weight - weights[name]).norm() / weights[name].norm() < 1e-5
    plain = remove_lora(merge_lora(model))
    assert not list(lora_layers(plain)) and type(plain.blocks[0].attn.qkv) is nn.Linear
    assert torch.allclose(plain(x), merged, atol=1e-6)


def test_remove_without_merging_gives_the_first_model_back_bitwise(make_vit):
    model = make_vit()
    before = model(x := images())
    add_lora(model, TARGETS, rank=2)
    train_a_little(model)
    assert torch.equal(remove_lora(model)(x), before)


def test_chosen_blocks_and_the_rank_of_the_update(make_vit):
    model = add_lora(make_vit(depth=3), ["fc1"], rank=3, blocks=[2])
    train_a_little(model)
    (name, layer), *others = lora_layers(model)
    assert name == "blocks.2.mlp.fc1" and not others
    assert torch.linalg.matrix_rank(layer.delta_weight(), rtol=1e-4) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rank": 0}, ["rank=0", "1 or more"]),
        ({"rank": 1.5}, ["rank=1.5"]),
        ({"rank": True}, ["rank=True", "whole number"]),
        ({"alpha": "8"}, ["alpha='8'", "float | None"]),
        ({"targets": [["q"]]}, ["targets=[['q']]", "Iterable[str]"]),
        ({"rank": 33}, ["rank=33", "at most 32"]),
        ({"alpha": 0}, ["alpha=0", "above 0"]),
        ({"alpha": float("nan")}, ["alpha=nan"]),
        ({"targets": ["q", "query"]}, ["query", "fc1"]),
        ({"targets": []}, ["targets=()"]),
        ({"blocks": [2]}, ["blocks=[2]", "0 to 1"]),
        ({"blocks": []}, ["blocks=[]"]),
    ],
)
def test_bad_arguments_are_named_and_change_nothing(make_vit, arguments, words):
    model = make_vit()
    with pytest.raises(ValueError) as error:
        add_lora(model, **arguments)
    assert all(word in str(error.value) for word in words)
    assert not list(lora_layers(model))


def test_what_cannot_be_adapted_is_refused(make_vit):
    with pytest.raises(TypeError, match=r"Linear.*VisionTransformer"):
        add_lora(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="already"):
        add_lora(add_lora(make_vit()))
    with pytest.raises(ValueError, match="no LoRA"):
        merge_lora(make_vit())
    from timm.layers import SwiGLU

    model = make_vit(mlp_layer=SwiGLU)
    with pytest.raises(ValueError, match=r"fc1.*no linear map"):
        add_lora(model, ["q", "fc1"])
    assert not list(lora_layers(model))
