"""What only a GPU can show: the same gradients, a stop bit by bit, memory found by trying.

Without one it is skipped. Alone, where nothing but the package is installed:
``pytest --noconftest -o addopts= tests/test_gpu.py``.
"""

import pytest
import torch

from lorakit import Experiment, Privacy, Recipe
from lorakit.data import load
from lorakit.experiments.probe import linear_probe
from lorakit.experiments.sweep import sweep
from lorakit.lora.vit import METHODS, apply_method, create_backbone
from lorakit.privacy.dpsgd import signal_to_noise
from lorakit.runtime import product_precision
from lorakit.training.evaluate import evaluate
from lorakit.training.fit import fit
from lorakit.training.memory import largest_chunk
from tests.test_private import gradients_of, step_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
PRIVATE = Privacy(noise_multiplier=0.5, delta=1e-3)


@pytest.fixture(scope="module")
def clothes():
    return load("fashion", train=400, val=0, test=200)


def fresh(method="lora+patch", private=False):
    torch.manual_seed(0)
    return apply_method(create_backbone(classes=10), method, rank=2, private=private)


@pytest.mark.parametrize("privacy", [None, Privacy(50.0, 1e-3)])
def test_it_finds_the_device_and_learns_in_bfloat16(clothes, privacy):
    model = fresh("lora+patch+pos", privacy is not None)
    recipe = Recipe(epochs=10, batch_size=40, lr=5e-3, privacy=privacy)
    history = fit(model, clothes.train, recipe, progress=False)
    assert next(model.parameters()).is_cuda
    assert history[-1]["loss"] < history[0]["loss"] / 2
    assert evaluate(model, clothes.test)["accuracy"] > 0.6
    assert privacy is None or history[-1]["epsilon"] <= 50


@pytest.mark.parametrize("method", METHODS)
def test_clipped_gradients_are_those_of_the_cpu(clothes, method):
    images, labels = clothes.train.images[:12].float() / 127.5 - 1, clothes.train.labels[:12]
    found = {}
    for device in ("cpu", "cuda"):
        model = fresh(method, private=True).to(device).train()
        privacy = Privacy(noise_multiplier=0.0, delta=1e-3, max_grad_norm=0.5)
        with product_precision("float32"):
            step = step_of(model, privacy, physical_batch=5)
            found[device] = gradients_of(step, images.to(device), labels.to(device))
    for name, gradient in found["cuda"].items():
        torch.testing.assert_close(gradient.cpu(), found["cpu"][name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("privacy", [None, PRIVATE])
def test_stopped_and_gone_on_it_ends_where_an_unbroken_run_does(clothes, tmp_path, privacy):
    recipe = Recipe(epochs=4, batch_size=40, lr=1e-3, privacy=privacy)
    ends, path = [], tmp_path / "state"
    for stops in (False, True):
        model = fresh(private=privacy is not None)
        if stops:
            stop = {"callback": lambda moment: moment.epoch == 3}
            fit(model, clothes.train, recipe, seed=1, checkpoint=path, progress=False, **stop)
            model = fresh(private=privacy is not None)
            torch.cuda.manual_seed(99)  # the random state comes back from the file
        options = {"checkpoint": path} if stops else {}
        history = fit(model, clothes.train, recipe, seed=1, progress=False, **options)
        ends.append((model.head.weight.detach().cpu(), [row["loss"] for row in history]))
    assert len(ends[1][1]) == 4 and ends[0][1] == pytest.approx(ends[1][1], rel=1e-3)
    torch.testing.assert_close(ends[0][0], ends[1][0], rtol=1e-2, atol=1e-4)


def test_a_chunk_that_does_not_fit_is_halved_on_the_real_card():
    device = torch.device("cuda")
    _, total = torch.cuda.mem_get_info(device)

    def trial(size):  # 64 of them would take twice the card
        torch.empty(size * (total // 32), dtype=torch.uint8, device=device)

    assert largest_chunk(trial, 64, device) == 16


def test_several_runs_share_the_card(tmp_path):
    runs = [Experiment(train=400, val=0, test=200, seed=s, recipe=Recipe(epochs=1)) for s in (0, 1)]
    alone = sweep(runs, tmp_path / "one.csv", n_jobs=1, progress=False)
    together = sweep(runs, tmp_path / "two.csv", n_jobs=2, progress=False)
    assert (alone["device"] == torch.cuda.get_device_name()).all()
    assert alone["accuracy"].tolist() == pytest.approx(together["accuracy"].tolist(), abs=0.02)


def test_what_only_measures_follows_the_model(clothes):
    model = fresh().cuda()
    assert 0.5 < linear_probe(model, clothes.train, clothes.test) <= 1
    few = clothes.train.take(torch.arange(8))
    assert signal_to_noise(model, few, noise_multiplier=1.0)["all"] > 0
