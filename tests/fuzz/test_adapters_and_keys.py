"""No damaged adapter or key is ever read as another one, and what refuses it says so."""

import copy
import hashlib
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from lorakit.encryption.cipher import encrypt, make_key
from lorakit.encryption.key_file import load_key, save_key
from lorakit.lora.adapter_file import load_adapter, read_adapter, save_adapter
from lorakit.lora.backbones import EXAMPLE_ADAPTER
from lorakit.lora.budget import singular_values
from lorakit.lora.tensors import UNSEALED, write_tensors
from lorakit.lora.vit import apply_method
from lorakit.runtime import peak_memory_mb, reset_peak_memory

from ..adapters import refused_untouched, shaken
from . import cases, ends, mutated


@pytest.fixture
def saved(make_vit, tmp_path):
    model = shaken(apply_method(make_vit(), "lora+patch"))
    return save_adapter(model, tmp_path / "a.safetensors")


@pytest.fixture
def fresh(saved, make_vit):
    torch.manual_seed(0)
    return make_vit()  # with the weights the adapter was trained on


@given(seed=st.integers(0, 2**40))
@cases(500)
def test_no_mutated_adapter_is_accepted(saved, fresh, seed):
    content = saved.read_bytes()
    kind, bad = mutated(content, seed)
    path = saved.with_name("bad.safetensors")
    path.write_bytes(bad)
    if bad == content:
        ends["adapter", "unchanged"] += 1
        return
    refused_untouched(fresh, lambda m: load_adapter(path, m, check_base=False), str(path))
    ends["adapter", f"{kind} refused"] += 1


def odd_headers():
    deep = json.loads("[" * 500 + "]" * 500)
    odd = [0, -1, 1.5, 10**9, 10**400, 1e308, True, None, "8", [], [[]], {}, deep, float("inf")]
    odd += [float("nan"), ["q", 3], [0, 10**20], [[0]], ["0"], "lora", ["q", "q"], [-1], [0, 0]]
    names = ["method", "targets", "rank", "alpha", "blocks", "private", "backbone", "classes"]
    return st.dictionaries(st.sampled_from(names), st.sampled_from(odd), min_size=1, max_size=3)


def odd_tensors():
    kinds = [torch.float8_e4m3fn, torch.float8_e5m2, torch.int64, torch.bool, torch.complex64]
    changes = [lambda t, k=k: t.to(k) for k in kinds]
    changes += [lambda t: t * float("nan"), lambda t: t[:0], lambda t: t.flatten()[0]]
    return st.sampled_from(changes)


@given(header=odd_headers(), change=odd_tensors(), both=st.integers(0, 2))
@cases(150)
def test_whole_files_of_odd_content_are_refused_in_words(saved, fresh, header, change, both):
    """Their digest is right: somebody wrote them so."""
    known, tensors = read_adapter(saved)
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    odd = {"digest": UNSEALED, **known, **(header if both else {})}
    if both != 1:
        tensors["head.weight"] = change(tensors["head.weight"])
    path = saved.with_name("odd.safetensors")
    write_tensors(tensors, {"lorakit": json.dumps(odd)}, path)
    try:
        assert singular_values(path)["value"].map(type).eq(float).all()
    except ValueError as error:
        assert str(path) in str(error)
    reset_peak_memory(torch.device("cpu"))
    start = peak_memory_mb(torch.device("cpu"))
    model, before = copy.deepcopy(fresh), fresh.state_dict()
    try:
        load_adapter(path, model, check_base=False)
    except ValueError as error:
        assert str(path) in str(error) and len(str(error)) < 700
        assert model.state_dict().keys() == before.keys()
        assert all(torch.equal(before[n], p) for n, p in model.state_dict().items())
        ends["odd adapter", "refused"] += 1
    else:
        assert both == 1 and model(torch.zeros(1, 3, 16, 16)).isfinite().all()
        ends["odd adapter", "another, as written"] += 1
    assert peak_memory_mb(torch.device("cpu")) - start < 50


def test_names_twice_and_headers_too_deep_are_refused(saved, fresh):
    content = saved.read_bytes()
    size = int.from_bytes(content[:8], "little")
    head = content[8 : 8 + size].rstrip()
    entry = head[head.index(b'"head.bias"') :].split(b"}")[0] + b"}"
    deep = b'"x":' + b"[" * 100_000 + b"]" * 100_000
    for more in (entry, deep, b'"x":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}'):
        odd = head[:-1] + b"," + more + b"}"
        saved.write_bytes(len(odd).to_bytes(8, "little") + odd + content[8 + size :])
        refused_untouched(fresh, lambda m: load_adapter(saved, m), "damaged")
    save_file({"x": torch.ones(1)}, saved, {"lorakit": "[" * 100_000 + "]" * 100_000})
    refused_untouched(fresh, lambda m: load_adapter(saved, m), "not an adapter")


def test_a_file_of_the_first_edition_which_has_no_digest_is_refused(saved, fresh):
    header, tensors = read_adapter(saved)
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    save_file(tensors, saved, {"lorakit": json.dumps({**header, "format": 1})})
    refused_untouched(fresh, lambda m: load_adapter(saved, m), "not one of format 2")


def test_the_adapter_that_ships_finds_its_backbone():
    assert load_adapter(EXAMPLE_ADAPTER).adaptation["rank"] == 16


@pytest.fixture
def kept(tmp_path):
    return save_key(make_key(8, 4, seed=1), tmp_path / "key.json")


@given(seed=st.integers(0, 2**40))
@cases(500)
def test_no_mutated_key_opens_as_another(kept, seed):
    key = make_key(8, 4, seed=1)
    kind, bad = mutated(kept.read_bytes(), seed)
    path = kept.with_name("bad.json")
    path.touch(0o600)
    path.write_bytes(bad)
    images = torch.arange(192, dtype=torch.uint8).view(3, 8, 8)
    try:
        again = load_key(path)
    except ValueError as error:
        assert str(error) == f"path={str(path)!r}: not a whole key of lorakit"
        ends["key", f"{kind} refused"] += 1
    else:
        assert torch.equal(encrypt(images, again), encrypt(images, key))
        ends["key", "the same key"] += 1  # a space more or less


@given(seed=st.integers(0, 2**40), name=st.sampled_from(
    "format image_size block_size blocks pixels flips digest".split()))  # fmt: skip
@cases(200)
def test_odd_values_in_keys_are_refused(kept, seed, name):
    odd = [0, -1, 8.0, 10**9, 10**400, True, None, "8", [], [[]], {}, {"0": 1}, [None], [1e308]]
    content = json.loads(kept.read_text())
    digest, value = content.pop("digest"), odd[seed % len(odd)]
    content = {**content, "digest": digest, name: value}
    if name != "digest":
        unsealed = {n: v for n, v in content.items() if n != "digest"}
        text = json.dumps(unsealed, sort_keys=True)
        content["digest"] = hashlib.sha256(text.encode()).hexdigest()
    path = kept.with_name("odd.json")
    path.touch(0o600)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="not a whole key"):
        load_key(path)
    ends["odd key", "refused"] += 1
