"""Whatever is given to a public function: it works, or the error names the argument."""

import importlib
import inspect
import math
import random
import re
import traceback
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from timm.models.vision_transformer import VisionTransformer

import lorakit
from lorakit import Dataset, Experiment, Key, Recipe, Split, add_lora, make_key

from . import cases, ends

PACKAGE = str(Path(lorakit.__file__).parent)
ROOMS = ("data", "encryption", "experiments", "explore", "figures", "lora", "privacy", "training")
KEY = make_key(16, 8, seed=0)
IMAGES = torch.zeros(12, 3, 16, 16, dtype=torch.uint8)
SPLIT = Split(IMAGES, torch.arange(12) % 10)
DATA = Dataset("made", tuple("0123456789"), SPLIT, SPLIT, SPLIT)
SMALL = {"dataset": "digits", "train": 8, "val": 1, "test": 4, "method": "probe"}
TINY = Experiment(**SMALL, recipe=Recipe(epochs=1, batch_size=8))


def vit():
    shape = {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
    return VisionTransformer(**shape, num_classes=10)


def deep():
    value = []
    for _ in range(2000):
        value = [value]
    return value


GOOD = {
    "name": lambda folder: random.choice(["digits", "vit_micro", "made"]),
    "images": lambda folder: IMAGES, "labels": lambda folder: SPLIT.labels,
    "classes": lambda folder: ("a", "b"), "key": lambda folder: KEY, "split": lambda folder: SPLIT,
    "train": lambda folder: 8, "val": lambda folder: 1, "test": lambda folder: 4,
    "model": lambda folder: random.choice([vit, lambda: add_lora(vit())])(),
    "experiment": lambda folder: TINY, "experiments": lambda folder: [TINY],
    "run": lambda folder: TINY,
    "dataset": lambda folder: DATA, "table": lambda folder: folder / "rows.csv",
    "path": lambda folder: folder / "rows.csv", "stem": lambda folder: folder / "figure",
    "figure": lambda folder: Figure(), "preset": lambda folder: "smoke",
    "method": lambda folder: "lora", "image_size": lambda folder: 16,
    "block_size": lambda folder: 8, "blocks": lambda folder: KEY.blocks,
    "pixels": lambda folder: KEY.pixels, "flips": lambda folder: KEY.flips,
    "rows": lambda folder: pd.DataFrame({"a": [1]}), "in_features": lambda folder: 8,
    "out_features": lambda folder: 9, "rank": lambda folder: 2, "alpha": lambda folder: 4.0,
    "base": lambda folder: torch.nn.Linear(4, 6), "slices": lambda folder: ("a", "b"),
    "updates": lambda folder: {}, "recipe": lambda folder: Recipe(epochs=1, batch_size=8),
    "noise_multiplier": lambda folder: 1.0, "sample_rate": lambda folder: 0.1,
    "steps": lambda folder: 10, "delta": lambda folder: 1e-5, "epsilon": lambda folder: 1.0,
    "examples": lambda folder: 100, "max_grad_norm": lambda folder: 1.0,
}  # fmt: skip
WRONG = [
    None, True, False, -1, 0, 1.5, math.nan, math.inf, 10**9, 10**400, 2**63, 1e308, "", "x", "q",
    "\0", "cuda:99", b"x", [], [None], [[]], {}, {"a": 1}, (), (1, 2), object(), deep(), {1, 2},
    torch.ones(2), torch.tensor(3.0), torch.zeros(2, 2, dtype=torch.int32), np.ones((2, 2)),
    np.float32(2), np.int64(3), torch.nn.Linear(2, 2), Path("."), lambda: None, int, KEY, SPLIT,
    DATA, TINY, Recipe(), pd.DataFrame(), range(3), ["q", "q"], "q+v", 8j, ...,
    Split, torch.float32, torch.device("meta"), Figure(), {"head": "x"}, [TINY], vit(),
]  # fmt: skip


def public():
    """Everything callable that takes arguments in ``__all__``, of the package and of its rooms."""
    found = {name: getattr(lorakit, name) for name in lorakit.__all__}
    for room in ROOMS:
        module = importlib.import_module(f"lorakit.{room}")
        found |= {
            f"{room}.{name}": getattr(module, name) for name in getattr(module, "__all__", ())
        }
    found = {id(f): (name, f) for name, f in found.items() if callable(f)}
    return [
        (name, f)
        for name, f in found.values()
        if not (inspect.isclass(f) and issubclass(f, Exception)) and inspect.signature(f).parameters
    ]


PUBLIC = public()


def arguments(function, rng, folder):
    """One to three arguments from anywhere, the others as they should be or left out."""
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.kind != p.VAR_KEYWORD]
    needed = [p.name for p in parameters if p.default is p.empty and p.name in names]
    wrong = rng.sample(names, min(len(names), rng.choice([1, 1, 1, 2, 3])))
    needed += ["epsilon"] if function is lorakit.Privacy else []  # it, or the noise multiplier
    chosen = {name: GOOD[name](folder) for name in needed}
    for name in wrong:
        chosen[name] = rng.choice([*WRONG, iter([1])])
        if name == "model" and isinstance(chosen[name], torch.nn.Module):  # any may be meant
            chosen[name] = None
    return chosen


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LORAKIT_DATA", str(tmp_path))
    module = importlib.import_module("lorakit.experiments.run")
    epoch = {"loss": 1.0, "seconds": 0.0}
    monkeypatch.setattr(module, "fit", lambda model, images, recipe, **more: [epoch])  # no training


@given(seed=st.integers(0, 2**40), place=st.integers(0, len(PUBLIC) - 1))
@cases(600)
def test_errors_name_the_argument(tmp_path, seed, place):
    name, function = PUBLIC[place]
    rng = random.Random(seed)
    given_ = arguments(function, rng, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = function(**given_)
            if inspect.isgenerator(found):
                list(found)
        except (TypeError, ValueError, OSError, RuntimeError) as error:
            where = traceback.extract_tb(error.__traceback__)[-1].filename
            names = [*given_, *(n for n in (given_.get("argument"), "name") if isinstance(n, str))]
            names = "|".join(map(re.escape, names))
            in_words = re.search(rf"(\b|^)({names})\b", str(error))
            assert isinstance(error, OSError) or (where.startswith(PACKAGE) and in_words), (
                f"{name}: {where}: {type(error).__name__}: {error}"
            )
            ends["call", "refused in words"] += 1
        except Exception as error:
            pytest.fail(f"{name}({', '.join(given_)}): {type(error).__name__}: {error}")
        else:
            ends["call", "worked"] += 1


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"alpha": -1}, "alpha=-1: allowed: a finite number, above 0"),
        ({"seed": 1.5}, "seed=1.5: allowed: a whole number"),
        ({"backbone": ""}, "backbone='': allowed: 'vit_micro'"),
        ({"backbone": "resnet0"}, "backbone='resnet0'"),
        ({"backbone": "vit_micro.none"}, "backbone='vit_micro.none'"),
        ({"dataset": 5}, "dataset=5: allowed: str"),
        ({"rank": None}, "rank=None"),
        ({"recipe": {}}, "recipe={}: allowed: Recipe"),
        ({"train": 0.5}, "train=0.5"),
        ({"pretrained": "no"}, "pretrained='no': allowed: bool"),
    ],
)
def test_an_experiment_names_what_is_wrong(settings, words):
    with pytest.raises((TypeError, ValueError), match=re.escape(words)):
        Experiment(**settings)


def test_no_argument_opens_the_public_key_by_mistake():
    for seed in (False, 1.5, "0", -1):
        with pytest.raises((TypeError, ValueError), match="seed="):
            make_key(16, 8, seed=seed)
    for act in (lorakit.encrypt, lorakit.decrypt):
        with pytest.raises(TypeError, match=r"images=None: allowed: Tensor"):
            act(None, KEY)
        with pytest.raises(TypeError, match=r"key=None: allowed: Key"):
            act(IMAGES, None)
    with pytest.raises(TypeError, match=r"name=5: allowed: str"):
        lorakit.load(5)
    with pytest.raises(TypeError, match=r"model=<list_iterator.*: allowed: Module"):
        lorakit.evaluate(iter([1]), SPLIT)
    with pytest.raises(TypeError, match=r"alpha='8': allowed: float \| None"):
        add_lora(vit(), alpha="8")
    with pytest.raises(ValueError, match="allowed"):
        Key(16, 8, KEY.pixels, KEY.blocks, KEY.flips)
