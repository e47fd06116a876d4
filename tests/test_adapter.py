"""An adapter file gives back what was trained, and nothing broken is ever loaded."""

import json

import pytest
import torch
from safetensors.torch import load_file

from lorakit.lora.adapter_file import load_adapter, read_adapter, save_adapter
from lorakit.lora.lora import merge_lora, remove_lora
from lorakit.lora.tensors import UNSEALED, write_tensors
from lorakit.lora.vit import METHODS, apply_method, create_backbone

from .adapters import refused_untouched, shaken


def trained(method="lora+patch", private=False, **kwargs):
    """A backbone with a method whose trainable parameters have moved."""
    model = create_backbone("vit_micro", 10)
    return shaken(apply_method(model, method, private=private, **kwargs))


@pytest.fixture(scope="module")
def images():
    return torch.randn(3, 3, 32, 32)


@pytest.fixture
def saved(tmp_path):
    return save_adapter(trained(), tmp_path / "a.safetensors", classes=list("0123456789"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("private", [False, True])
def test_what_was_trained_comes_back(method, private, images, tmp_path):
    model = trained(method, private, rank=3, alpha=5, targets=["q", "fc2"], blocks=[0, 4])
    path = save_adapter(model, tmp_path / "a.safetensors")
    again = load_adapter(path).eval()
    assert torch.equal(again(images), model(images))
    trains = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trains == {n for n, p in again.named_parameters() if p.requires_grad}
    assert trains == set(load_file(path))
    assert save_adapter(again, tmp_path / "b.safetensors").read_bytes() == path.read_bytes()


def test_a_frozen_a_is_kept_in_the_file_and_stays_frozen(images, tmp_path):
    model = trained("lora+patch", freeze_a=True)
    path = save_adapter(model, tmp_path / "a.safetensors")
    again = load_adapter(path).eval()
    assert torch.equal(again(images), model(images)) and read_adapter(path)[0]["freeze_a"]
    assert not again.blocks[0].attn.qkv.updates["q"].A.weight.requires_grad


def test_the_header_says_what_it_is(saved):
    header, tensors = read_adapter(saved)
    assert header["backbone"] == "vit_micro.synthetic" and header["method"] == "lora+patch"
    assert header["rank"] == 4 and header["alpha"] == 8 and header["targets"] == ["q", "v"]
    assert header["classes"] == list("0123456789") and "torch" in header["versions"]
    assert tensors["head.bias"].shape == (10,)
    assert saved.stat().st_size < 5 * sum(t.numel() for t in tensors.values())


def test_the_backbone_is_made_again_with_the_weights_it_had(images, tmp_path):
    model = shaken(apply_method(create_backbone("vit_micro", 10), "lora+patch"))
    path = save_adapter(model, tmp_path / "a.safetensors")
    assert torch.equal(load_adapter(path).eval()(images), model(images))
    other = create_backbone("vit_micro", 10, pretrained=False)
    refused_untouched(other, lambda m: load_adapter(path, m), "frozen")


def edit(path, change):
    """Rewrite a file, with a digest, after changing its header and tensors in place."""
    header, tensors = read_adapter(path)
    change(header, tensors)
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}  # not the file itself
    write_tensors(tensors, {"lorakit": json.dumps({"digest": UNSEALED, **header})}, path)


@pytest.mark.parametrize(
    "change, match",
    [
        (lambda h, t: t.pop("head.bias"), "missing.*head.bias"),
        (lambda h, t: t.update(extra=torch.ones(2)), "not expected.*extra"),
        (lambda h, t: t.update({"head.bias": torch.ones(9)}), "another shape.*head.bias"),
        (lambda h, t: t.update({"head.bias": torch.ones(10).long()}), "finite"),
        (lambda h, t: t.update({"head.bias": torch.full((10,), torch.nan)}), "finite"),
        (lambda h, t: h.update(backbone="vit_tiny_patch16_224"), "made for backbone"),
        (lambda h, t: h.update(classes=["a", "b"]), "2 classes"),
        (lambda h, t: h.update(base="0" * 64), "frozen weights"),
        (lambda h, t: h.update(base=""), "frozen weights"),
        (lambda h, t: h.update(rank=10**9), "settings do not fit.*rank"),
        (lambda h, t: h.update(rank=True), "settings do not fit.*rank"),
        (lambda h, t: h.update(targets=[["q"]]), "settings do not fit"),
        (lambda h, t: h.update(method="magic"), "settings do not fit.*method"),
        (lambda h, t: h.update(blocks=[7]), "settings do not fit.*blocks"),
        (lambda h, t: h.update(rank="4"), "settings do not fit.*rank='4'"),
        (lambda h, t: h.update(private="no"), "settings do not fit.*private"),
        (lambda h, t: h.update(classes="0123456789"), "'classes'"),
        (lambda h, t: h.pop("alpha"), "'alpha'"),
        (lambda h, t: h.update(format=3), "format"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_model_untouched(saved, change, match):
    edit(saved, change)
    model = create_backbone("vit_micro", 10)
    refused_untouched(model, lambda m: load_adapter(saved, m), match)


def test_other_weights_or_shapes_of_a_backbone_are_refused(saved, make_vit):
    other = create_backbone("vit_micro", 10)
    with torch.no_grad():
        other.blocks[3].mlp.fc1.weight[0, 0] += 1
    refused_untouched(other, lambda m: load_adapter(saved, m), "frozen weights")
    load_adapter(saved, other, check_base=False)
    refused_untouched(make_vit(), lambda m: load_adapter(saved, m), "made for backbone 'vit_micro")
    refused_untouched(create_backbone("vit_micro", 7), lambda m: load_adapter(saved, m), "has 7")
    with pytest.raises(ValueError, match="LoRA already"):
        load_adapter(saved, trained())


def test_saving_refuses_what_could_not_be_loaded(tmp_path):
    path = tmp_path / "a.safetensors"
    for model, match in (
        (create_backbone("vit_micro", 10), "apply_method"),
        (remove_lora(trained()), "apply_method"),
        (merge_lora(trained()), "unmerge"),
    ):
        with pytest.raises(ValueError, match=match):
            save_adapter(model, path)
    with pytest.raises(ValueError, match="10 names"):
        save_adapter(trained(), path, classes=["a"])
    broken = trained()
    broken.head.bias.data[0] = float("inf")
    with pytest.raises(ValueError, match=r"head\.bias"):
        save_adapter(broken, path)
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        load_adapter(path)
