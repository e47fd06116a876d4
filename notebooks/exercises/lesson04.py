"""Exercises of lesson 04: one key for three splits, one experiment, one gap."""

import math
from itertools import product

import numpy as np
import pandas as pd
import torch

from exercises.verdict import Answer, ask, exercise, expect, same, wrong_if
from lorakit.data import Dataset, Split
from lorakit.encryption.cipher import encrypt, make_key
from lorakit.experiments.experiment import Experiment
from lorakit.training.recipe import Recipe

_WANTED = Experiment(
    dataset="street",
    train=2000,
    cipher="shuffle+negative",
    method="lora+patch",
    rank=8,
    targets="proj+fc1+fc2",
    recipe=Recipe(epochs=3),
    seed=1,
)
_COLUMNS = ["method", "targets", "rank", "dataset", "cipher", "seed"]


@exercise("04.keys", (0, 16, 8), (1, 24, 4))
def keys(answer: Answer, seed: int, size: int, block: int) -> str:
    splits = [
        Split(torch.randint(256, (n, 3, size, size), dtype=torch.uint8), torch.randint(10, (n,)))
        for n in (5, 2, 3)
    ]
    dataset, key = Dataset("toy", tuple("0123456789"), *splits), make_key(size, block, seed=seed)
    got = ask(answer, dataset, key, keep=True)
    expect(got, Dataset)
    for name, plain in zip(("train", "val", "test"), splits):
        mine, want = getattr(got, name), encrypt(plain.images, key)
        lost = len(mine) != len(plain)
        wrong_if(lost, f"{name} has {len(mine)} images, it should have {len(plain)}")
        plainly, twice = (torch.equal(mine.images, x) for x in (plain.images, encrypt(want, key)))
        wrong_if(plainly, f"the {name} images are still plain: the model would meet two worlds")
        wrong_if(twice, f"the {name} images are encrypted twice")
        other = not torch.equal(mine.images, want)
        words = f"the {name} images are changed, but not by this key: a model trained with"
        wrong_if(other, f"{words} another key cannot read them")
        moved = not torch.equal(mine.labels, plain.labels)
        wrong_if(moved, f"the {name} labels changed; they stay with their images")
    return "one key for all three splits, and the labels stay with their images."


@exercise("04.experiment")
def experiment(answer: Experiment) -> str:
    expect(answer, Experiment, "the answer")
    frozen = answer.method in ("lora", "probe")
    words = "leaves the patch embedding frozen" if frozen else "trains more than was asked for"
    wrong_if(answer.method != _WANTED.method, f"method={answer.method!r} {words}")
    steps, wanted = set(answer.cipher.split("+")), set(_WANTED.cipher.split("+"))
    missing, extra = sorted(wanted - steps), sorted(steps - wanted - {"none"})
    words = [f"lacks {missing}"] * bool(missing) + [f"has {extra} too many"] * bool(extra)
    wrong_if(words, f"the cipher {' and '.join(words)}: yours is {answer.cipher!r}")
    words = f"LoRA sits on {answer.targets!r}, not on the attention's output and the MLP"
    wrong_if(answer.targets != _WANTED.targets, words)
    asked = answer.settings()
    for name, want in _WANTED.settings().items():
        wrong_if(asked[name] != want, f"{name} is {asked[name]!r}, it should be {want!r}")
    return f"this is experiment {answer.id}; equal settings give every reader this same id."


@exercise(
    "04.gap", ("shuffle+negative", "q+v", 4), ("shuffle", "proj+fc1+fc2", 16), ("none", "q+v", 1)
)
def gap(answer: Answer, cipher: str, targets: str, rank: int) -> str:
    adapters = product(("lora", "lora+patch"), ("q+v", "proj+fc1+fc2"), (1.0, 4.0, 16.0))
    settings = pd.DataFrame([("full", None, np.nan), *adapters], columns=_COLUMNS[:3])
    others = product(("street", "digits"), ("none", "shuffle", "shuffle+negative"), range(3))
    table = settings.merge(pd.DataFrame(others, columns=_COLUMNS[3:]), how="cross")
    table["accuracy"] = torch.rand(len(table)).double().numpy()
    table = table.sample(frac=1, random_state=rank, ignore_index=True)  # in no order
    match = {"dataset": "street", "cipher": cipher, "targets": targets, "rank": rank}

    def points(how: str = "mean", without: str | None = None) -> float:
        rows = table
        for name, value in match.items():
            if name != without:
                rows = rows[rows[name].eq(value) | rows[name].isna()]
        by_method = rows.groupby("method")["accuracy"].agg(how)
        return 100 * (by_method["full"] - by_method["lora+patch"])

    known = {
        "these are the best seeds: a maximum flatters a wide spread; take the mean": points("max"),
        "the gap mixes ciphers: compare rows of the one asked for": points(without="cipher"),
        "the gap mixes data sets: keep street only": points(without="dataset"),
        "the gap mixes ranks: like with like": points(without="rank"),
        "the gap mixes targets: like with like": points(without="targets"),
        "the gap is a share; in points it is 100 times that": points() / 100,
        "this is lora+patch minus full; what is lacking is the other way round": -points(),
        "the gap is not a number: full fine-tuning has neither targets nor rank, so a filter on "
        "them leaves nothing of it": math.nan,
    }
    same(ask(answer, table, cipher, targets, rank), points(), "the gap", known)
    return "means over seeds, like with like."
