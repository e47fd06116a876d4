"""How many images fit at a time, and what an experiment will take."""

import sys
from types import SimpleNamespace

import pytest
import torch

from lorakit import Experiment, Privacy, Recipe, apply_method, create_backbone, fit
from lorakit.experiments import estimate
from lorakit.experiments.estimate import refuse_what_cannot_fit
from lorakit.training import memory

LARGEST_CHUNK = memory.largest_chunk


@pytest.fixture
def small_gpu(monkeypatch):
    """A card that holds a limited number of images, as far as memory.py can tell."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1000, 1000))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: None)

    def make(holds):
        tried = []

        def trial(size):
            tried.append(size)
            if size > holds:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")

        monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda _: 900 * tried[-1] / holds)
        return trial, tried

    return make


@pytest.mark.parametrize(("holds", "found"), [(1000, 128), (100, 64), (33, 16), (1, 1)])
def test_a_card_takes_half_as_many_until_they_fit_with_something_to_spare(small_gpu, holds, found):
    trial, tried = small_gpu(holds)
    assert memory.largest_chunk(trial, 128, torch.device("cuda")) == found
    assert tried == [128 // 2**n for n in range(len(tried))]


def test_a_card_that_does_not_hold_one_image_is_told(small_gpu):
    with pytest.raises(MemoryError, match="another method than 'full'"):
        memory.largest_chunk(small_gpu(0)[0], 8, torch.device("cuda"))


@pytest.fixture
def as_on_a_card(monkeypatch):
    """``fit`` looks for a size on the CPU too, and asks a function to be given."""
    module, fork = sys.modules["lorakit.training.fit"], torch.random.fork_rng

    def choose(stepper, loader, recipe):
        there = {"labels": loader.labels, "take": loader.take}
        loader = SimpleNamespace(device=torch.device("cuda"), **there)
        memory.choose_physical_batch(stepper, loader, recipe)

    def answer(largest_chunk):
        monkeypatch.setattr(module, "choose_physical_batch", choose)
        monkeypatch.setattr(torch.random, "fork_rng", lambda devices: fork([]))
        monkeypatch.setattr(memory, "largest_chunk", largest_chunk)

    return answer


@pytest.mark.parametrize("private", [False, True])
def test_an_automatic_chunk_changes_no_result_and_leaves_no_trace(digits, as_on_a_card, private):
    as_on_a_card(rehearse_and_say_seven)
    privacy = {"privacy": Privacy(noise_multiplier=0.0, delta=1e-4)} if private else {}
    models = []
    for chunk in (None, 7):
        torch.manual_seed(0)
        model = create_backbone(classes=10)
        apply_method(model, "lora+patch", private=private)
        recipe = Recipe(1, 40, 1e-3, physical_batch=chunk, **privacy)
        history = fit(model, digits.train, recipe, seed=0, device="cpu", progress=False)
        models.append((model, history[0]["loss"]))
    assert models[0][1] == models[1][1]
    pairs = zip(models[0][0].parameters(), models[1][0].parameters())
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("private", [False, True])
def test_a_trial_that_runs_out_of_memory_leaves_nothing_behind(
    digits, monkeypatch, small_gpu, as_on_a_card, private, where
):
    """As on a card: the first trial fails in the middle of the model, the next one fits."""
    torch.manual_seed(0)
    model = create_backbone(classes=10)
    apply_method(model, "lora+patch", private=private)

    def fail(module, *tensors):
        images = tensors[-1][0].shape[0] if where == "backward" else tensors[0][0].shape[0]
        if images > 20:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    block = model.blocks[2]
    hook = (
        block.register_forward_pre_hook(fail)
        if where == "forward"
        else block.register_full_backward_hook(fail)
    )
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda _: 0)
    as_on_a_card(try_and_need_nothing_later)
    privacy = {"privacy": Privacy(noise_multiplier=0.0, delta=1e-4)} if private else {}
    recipe = Recipe(1, 40, 1e-3, **privacy)
    options = {"seed": 0, "device": "cpu", "progress": False}
    fit(model, digits.train, recipe, **options)
    hook.remove()
    torch.manual_seed(0)
    other = create_backbone(classes=10)
    apply_method(other, "lora+patch", private=private)
    fit(other, digits.train, recipe.replace(physical_batch=20), **options)
    pairs = zip(model.parameters(), other.parameters())
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


def try_and_need_nothing_later(trial, most, device, later):
    assert later > 0
    return LARGEST_CHUNK(trial, most, device, later=0)


def rehearse_and_say_seven(trial, most, device, later):
    assert most == 40
    for size in (1, 2, 6):
        trial(size)
    return 7


def test_what_cannot_fit_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    e = Experiment(dataset="cifar10", backbone="vit_base_patch16_224", method="full")
    cpu = torch.device("cpu")
    refuse_what_cannot_fit(e, 10, cpu, tmp_path)
    little = SimpleNamespace(available=2e9)
    monkeypatch.setattr(estimate.psutil, "virtual_memory", lambda: little)
    with pytest.raises(MemoryError, match=r"'full'.* 2.4 GB, .* 2.0 GB free: choose lora"):
        refuse_what_cannot_fit(e, 10, cpu, tmp_path)
    refuse_what_cannot_fit(e.replace(method="lora"), 10, cpu, tmp_path)  # 0.35 GB and the process
    full_disk = SimpleNamespace(free=1e8)
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda _: full_disk)
    with pytest.raises(MemoryError, match="the disk of"):
        refuse_what_cannot_fit(e.replace(method="lora"), 10, cpu, tmp_path / "not" / "made")
