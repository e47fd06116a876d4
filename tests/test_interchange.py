"""Adapters go to PEFT and back, and come from LoRA-ViT files, with the same logits."""

import copy
import json
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lorakit.lora.interchange import export_peft, import_lora_vit, import_peft
from lorakit.lora.lora import TARGETS
from lorakit.lora.vit import apply_method, create_backbone

from .adapters import refused_untouched, shaken

peft = pytest.importorskip("peft")
NAME = "vit_micro"
BACKBONE = create_backbone(NAME, 10)


@pytest.fixture(scope="module")
def images():
    return torch.randn(4, 3, 32, 32)


@pytest.mark.parametrize("method", ["lora", "lora+patch"])
@pytest.mark.parametrize(
    "targets, blocks", [(("q", "v"), None), (("k",), [0, 3]), (TARGETS, None), (("fc2",), [5])]
)
def test_peft_reads_what_is_exported_and_it_comes_back(method, targets, blocks, images, tmp_path):
    model = create_backbone(NAME, 10)
    mine = shaken(apply_method(model, method, targets=targets, rank=3, alpha=5, blocks=blocks))
    folder = export_peft(mine, tmp_path)
    theirs = peft.PeftModel.from_pretrained(create_backbone(NAME, 10), folder).eval()
    assert torch.allclose(theirs(images), mine(images), atol=1e-5)
    again = import_peft(folder, create_backbone(NAME, 10)).eval()
    assert torch.allclose(again(images), mine(images), atol=1e-5)
    assert not torch.allclose(create_backbone(NAME, 10).eval()(images), mine(images), atol=1e-2)
    peft_names = set(load_file(folder / "adapter_model.safetensors"))
    theirs.save_pretrained(tmp_path / "saved")
    assert peft_names == set(load_file(tmp_path / "saved" / "adapter_model.safetensors"))


def same_backbone():
    """The same each time, its new head included."""
    return copy.deepcopy(BACKBONE)


def trained_by_peft(folder, **options):
    """A model that PEFT adapted and moved, saved to the folder."""
    options = {"r": 4, "lora_alpha": 6, "target_modules": ["qkv", "fc1"], **options}
    theirs = shaken(peft.get_peft_model(same_backbone(), peft.LoraConfig(**options)))
    theirs.save_pretrained(folder)
    return theirs


ALL = ["qkv", "proj", "fc1", "fc2"]
BOTH = ["head", "patch_embed"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"modules_to_save": BOTH},
        {"modules_to_save": ["patch_embed"], "lora_dropout": 0.3},
        {"use_rslora": True},
        {"alpha_pattern": {"mlp.fc1": 7}, "modules_to_save": BOTH},
        {"alpha_pattern": {r"blocks\.[0-2]\..*": 30, "fc1": 2}},  # regex; two that match
        {"alpha_pattern": {"^blocks.0.mlp.fc1": 1, r".*\.qkv": 9}, "use_rslora": True},
        {"rank_pattern": {r"blocks\.\d\.attn.*": 2, "qkv": 7}, "alpha_pattern": {"qkv": 3}},
        {"rank_pattern": {"^blocks.3.mlp.fc1": 9}, "modules_to_save": ["head"]},
        {"layers_to_transform": [1, 4], "layers_pattern": "blocks"},
        {"layers_to_transform": 5, "layers_pattern": ["blocks"], "target_modules": ["fc2"]},
        {"target_modules": r"blocks\.(0\.attn\.qkv|3\.mlp\.fc2)"},  # not the same in each block
        {"target_modules": ALL, "exclude_modules": r".*\.0\..*|patch_embed.*"},
        {"target_modules": ALL},  # ``proj`` is the patch embedding's convolution too
        {"target_modules": [*ALL, "head"], "use_rslora": True},
        {"init_lora_weights": "gaussian"},
        {"init_lora_weights": "orthogonal"},
        {"init_lora_weights": False},
        {"init_lora_weights": "eva", "eva_config": peft.EvaConfig(rho=2.0)},
    ],
    ids=str,
)
def test_what_peft_trained_is_imported(options, images, tmp_path):
    theirs = trained_by_peft(tmp_path, **options)
    mine = import_peft(tmp_path, same_backbone()).eval()
    loaded = peft.PeftModel.from_pretrained(same_backbone(), tmp_path).eval()
    for other in (theirs, loaded):
        assert torch.allclose(other(images), mine(images), atol=1e-5)
    assert not torch.allclose(same_backbone().eval()(images), mine(images), atol=1e-3)
    trains = {n.split(".")[0] for n, p in mine.named_parameters() if p.requires_grad}
    brought = {n.split(".")[2] for n in load_file(tmp_path / "adapter_model.safetensors")}
    assert trains == brought | {"blocks", "head"}


@pytest.mark.parametrize(
    "options, name",
    [
        ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa'"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights='pissa_niter_4'"),
        ({"init_lora_weights": "olora"}, "init_lora_weights='olora'"),
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias='all'"),
        ({"bias": "lora_only"}, "bias='lora_only'"),
        ({"lora_bias": True}, "lora_bias"),
        ({"modules_to_save": ["norm"]}, r"'norm\.weight'"),
        ({"target_modules": ["qkv"], "modules_to_save": ["blocks.0.mlp.fc1"]}, "blocks.0.mlp.fc1"),
        ({"target_modules": ["head"]}, "no LoRA"),
    ],
    ids=str,
)
def test_what_is_more_than_lora_is_refused_by_name(options, name, tmp_path):
    trained_by_peft(tmp_path, **options)
    refused_untouched(create_backbone(NAME, 10), lambda m: import_peft(tmp_path, m), name)


def test_what_peft_would_unpickle_is_refused_and_its_absence_is_said(tmp_path, monkeypatch):
    theirs = trained_by_peft(tmp_path)
    (tmp_path / "adapter_model.safetensors").unlink()
    torch.save({}, tmp_path / "adapter_model.bin")
    refused_untouched(create_backbone(NAME, 10), lambda m: import_peft(tmp_path, m), "run code")
    theirs.save_pretrained(tmp_path)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match="pip install peft"):
        import_peft(tmp_path, create_backbone(NAME, 10))


def test_reading_asks_neither_pickle_nor_the_network(images, tmp_path, monkeypatch):
    theirs = trained_by_peft(tmp_path, base_model_name_or_path="someone/something")
    (tmp_path / "adapter_model.bin").write_bytes(b"not to be read")

    def forbidden(*_, **__):
        raise AssertionError

    for name in ("torch.load", "pickle.load", "pickle.loads", "socket.socket.connect"):
        monkeypatch.setattr(name, forbidden)
    mine = import_peft(tmp_path, same_backbone()).eval()
    assert torch.allclose(theirs(images), mine(images), atol=1e-5)


@pytest.mark.parametrize(
    "change, match",
    [
        (lambda c, t: c.update(use_dora=True), "use_dora"),
        (lambda c, t: c.update(fan_in_fan_out=True), "fan_in_fan_out"),
        (lambda c, t: c.update(use_tomorrow={"x": 1}), "use_tomorrow"),
        (lambda c, t: c.update(trainable_token_indices=[1]), "trainable_token_indices"),
        (lambda c, t: c.update(init_lora_weights="corda"), "init_lora_weights='corda'"),
        (lambda c, t: c.update(init_lora_weights=["x"]), "init_lora_weights"),
        (lambda c, t: c.update(lora_alpha=1e60), "attn.qkv.weight"),
        (lambda c, t: c.update(r=10**9), "another shape"),
        (lambda c, t: c.update(r=10**30), "PEFT does not read it"),
        (lambda c, t: c.update(r=0), "PEFT does not read it"),
        (lambda c, t: c.update(target_modules="("), "PEFT does not read it"),
        (lambda c, t: c.update(target_modules=["nothing"]), "PEFT does not read it"),
        (lambda c, t: c.update(peft_type="IA3"), "peft_type"),
        (lambda c, t: c.update(bias="all"), "bias"),
        (lambda c, t: c.update(lora_alpha="8"), "lora_alpha"),
        (lambda c, t: t.pop("base_model.model.head.bias"), "missing"),
        (lambda c, t: t.update(x=torch.ones(1)), "not expected"),
        (
            lambda c, t: t.update({k: v[:, :-1] for k, v in t.items() if "lora_A" in k}),
            "another shape",
        ),
        (lambda c, t: t.update({k: v * torch.nan for k, v in t.items()}), "finite"),
        (lambda c, t: t.update({"base_model.model.head.bias": torch.ones(3)}), "another shape"),
        (lambda c, t: [t.pop(k) for k in list(t) if "lora" in k], "missing"),
    ],
)
def test_what_does_not_fit_is_refused(change, match, tmp_path):
    export_peft(shaken(apply_method(create_backbone(NAME, 10), "lora")), tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    change(config, tensors)
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    save_file(
        {n: t.contiguous() for n, t in tensors.items()}, tmp_path / "adapter_model.safetensors"
    )
    refused_untouched(create_backbone(NAME, 10), lambda m: import_peft(tmp_path, m), match)


def test_broken_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        import_peft(tmp_path, create_backbone(NAME, 10))
    (tmp_path / "adapter_config.json").write_text("{")
    refused_untouched(create_backbone(NAME, 10), lambda m: import_peft(tmp_path, m), "not JSON")
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (tmp_path / "adapter_model.safetensors").write_bytes(b"nothing")
    refused_untouched(create_backbone(NAME, 10), lambda m: import_peft(tmp_path, m), "damaged")


def test_a_position_update_cannot_be_exported(tmp_path):
    model = apply_method(create_backbone(NAME, 10), "lora+patch+pos")
    with pytest.raises(ValueError, match="method"):
        export_peft(model, tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_a_lora_vit_file(scale, images, tmp_path):
    """Against the sum written out: q and v get scale B A x, the head's weight is replaced."""
    base, rank, width = create_backbone(NAME, 10).eval(), 4, 128
    tensors = {f"fc_{width}in_10out": torch.randn(10, width)}
    for i in range(12):
        tensors[f"w_a_{i:03d}"] = 0.1 * torch.randn(rank, width)
        tensors[f"w_b_{i:03d}"] = 0.1 * torch.randn(width, rank)
    path = tmp_path / "melo.safetensors"
    save_file(tensors, path)
    mine = import_lora_vit(path, create_backbone(NAME, 10), scale=scale).eval()
    with torch.no_grad():
        for i, block in enumerate(base.blocks):
            for j, rows in ((0, slice(0, width)), (1, slice(2 * width, None))):
                k = f"{2 * i + j:03d}"
                block.attn.qkv.weight[rows] += scale * tensors[f"w_b_{k}"] @ tensors[f"w_a_{k}"]
        base.head.weight.copy_(tensors[f"fc_{width}in_10out"])
        nn.init.zeros_(base.head.bias)
    assert torch.allclose(mine(images), base(images), atol=1e-4)
    del tensors["w_a_003"]
    save_file(tensors, path)
    refused_untouched(create_backbone(NAME, 10), lambda m: import_lora_vit(path, m), "w_a_003")
    tensors = {**load_file(path), "w_a_003": torch.ones(rank, width), "more": torch.ones(1)}
    save_file(tensors, path)
    refused_untouched(create_backbone(NAME, 10), lambda m: import_lora_vit(path, m), "more")
