import pytest
import torch

from lorakit.lora.lora import lora_layers
from lorakit.lora.vit import METHODS, apply_method, count_parameters, create_backbone, part_of

ALL = ("q", "k", "v", "proj", "fc1", "fc2")
EXACT = [  # ViT-B/16 with 10 classes: method, targets, rank, trainable parameters
    ("full", ("q", "v"), 4, 85_806_346),
    ("lora", ("q", "v"), 4, 155_146),
    ("lora+patch", ("q", "v"), 2, 672_010),
    ("lora+patch", ("q", "v"), 4, 745_738),
    ("lora+patch", ("q", "v"), 8, 893_194),
    ("lora+patch", ALL, 4, 1_261_834),
]


@pytest.mark.parametrize(("method", "targets", "rank", "expected"), EXACT)
def test_exact_counts_for_vit_b_16(method, targets, rank, expected):
    with torch.device("meta"):
        model = create_backbone("vit_base_patch16_224", 10, pretrained=False)
        counts = count_parameters(apply_method(model, method, targets=targets, rank=rank))
    assert counts["trainable"] == expected
    assert counts["patch_embed"] in (0, 590_592)
    assert sum(counts[part] for part in ("head", "lora", "patch_embed", "backbone")) == expected


@pytest.mark.parametrize("method", METHODS)
def test_each_method_trains_its_parts_and_nothing_else(make_vit, method):
    model = apply_method(make_vit(), method, rank=2)
    trains = {n for n, p in model.named_parameters() if p.requires_grad}
    everything = {n for n, _ in model.named_parameters()}
    expected = {
        "probe": {n for n in everything if part_of(n) == "head"},
        "patch": {n for n in everything if part_of(n) in ("head", "patch_embed")},
        "bitfit": {n for n in everything if part_of(n) == "head" or n.endswith(".bias")},
        "lora": {n for n in everything if part_of(n) in ("head", "lora")},
        "lora+patch": {n for n in everything if part_of(n) in ("head", "lora", "patch_embed")},
        "lora+patch+pos": {
            n for n in everything if part_of(n) in ("head", "lora", "patch_embed", "position")
        },
        "full": everything,
    }[method]
    assert trains == expected
    assert bool(list(lora_layers(model))) == method.startswith("lora")


def test_a_frozen_a_leaves_b_alone_to_train(make_vit):
    model = apply_method(make_vit(), "lora+patch", targets=["q", "fc2"], rank=2, freeze_a=True)
    parts = {n: p.requires_grad for n, p in model.named_parameters() if ".updates." in n}
    assert parts and all(trains == (".B." in name) for name, trains in parts.items())
    assert model.blocks[0].attn.qkv.updates["q"].A.weight.any()
    width, hidden = 32, model.blocks[0].mlp.fc2.base.in_features
    whole = apply_method(make_vit(), "lora+patch", targets=["q", "fc2"], rank=2)
    saved = count_parameters(whole)["lora"] - count_parameters(model)["lora"]
    assert saved == len(model.blocks) * 2 * (width + hidden)


def test_the_position_update_starts_at_nothing_and_counts_all_tokens(make_vit):
    model, x = make_vit(), torch.randn(2, 3, 16, 16)
    before = model(x)
    apply_method(model, "lora+patch+pos", rank=2)
    assert torch.equal(model(x), before)
    assert count_parameters(model)["position"] == (1 + 4) * 32
    with torch.no_grad():
        model.pos_drop[0].weight[3] = 1.0
        shifted = model(x)
        model.pos_drop[0].weight.zero_()
        model.pos_embed[0, 3] += 1.0
    torch.testing.assert_close(shifted, model(x))  # the same as changing the embedding itself


def test_private_full_trains_the_same_function_through_a_position_update(make_vit):
    model = apply_method(make_vit(), "full", private=True)
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"cls_token", "pos_embed"}
    assert count_parameters(model)["position"] == 5 * 32


def test_a_position_update_is_refused_where_there_is_none_or_one_already(make_vit):
    with pytest.raises(ValueError, match="no absolute position embedding"):
        apply_method(model := make_vit(pos_embed="none"), "lora+patch+pos")
    assert not list(lora_layers(model))  # and the model is left as it was
    with pytest.raises(ValueError, match="already"):
        apply_method(apply_method(make_vit(), "full", private=True), "full", private=True)


def test_a_backbone_has_its_own_head_on_the_weights_that_ship():
    shipped, other = create_backbone("vit_micro", 128), create_backbone("vit_micro", 7)
    assert other.head.weight.shape == (7, 128)
    assert torch.equal(other.patch_embed.proj.weight, shipped.patch_embed.proj.weight)


def test_registered_with_timm_by_its_own_name():
    import timm

    assert timm.is_model("vit_micro")
    model = timm.create_model("vit_micro", num_classes=3)
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


def test_without_a_network_the_error_says_what_to_do_instead(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(RuntimeError) as error:
        create_backbone("vit_tiny_patch16_224", 10)
    assert all(w in str(error.value) for w in ("vit_tiny", "vit_micro", "pretrained=False"))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: create_backbone("vit_nano"), ValueError, ["vit_nano", "vit_micro"]),
        (lambda: create_backbone(classes=1), ValueError, ["classes=1", "2 or more"]),
        (lambda: create_backbone("resnet18", pretrained=False), TypeError, ["ResNet", "Vision"]),
        (lambda: create_backbone("deit_tiny_distilled_patch16_224"), TypeError, ["one head"]),
        (lambda: create_backbone("vit_base_r50_s16_224"), TypeError, ["linear patch embedding"]),
        (lambda: create_backbone("vit_micro", colour=1), TypeError, ["colour"]),
        (
            lambda: apply_method(apply_method(create_backbone(), "lora"), "full"),
            ValueError,
            ["remove_lora"],
        ),
        (lambda: apply_method(create_backbone(), "adapter"), ValueError, ["adapter", "probe"]),
        (lambda: apply_method(create_backbone(), "lora", rank=129), ValueError, ["129", "128"]),
        (lambda: apply_method(torch.nn.Linear(2, 2), "probe"), TypeError, ["Linear"]),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert all(word in str(caught.value) for word in words)
