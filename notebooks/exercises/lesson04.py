"""Checks of lesson 04: the keys, the experiment and the gap."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pandas as pd
import torch

from exercises.verdict import Mistake, begun, exercise, same
from lorakit.data import Dataset, Split
from lorakit.encryption.cipher import Key, encrypt, make_key
from lorakit.experiments.experiment import Experiment

_WANTED = Experiment(
    dataset="street", train=2000, cipher="shuffle+negative", method="lora+patch", rank=8,
    targets="proj+fc1+fc2", epochs=3, seed=1,
)  # fmt: skip


def _toy(seed: int, size: int) -> Dataset:
    """Random pictures; the three splits differ in length."""
    draw = torch.Generator().manual_seed(seed)

    def split(n: int) -> Split:
        images = torch.randint(256, (n, 3, size, size), generator=draw, dtype=torch.uint8)
        return Split(images, torch.randint(10, (n,), generator=draw))

    return Dataset("toy", tuple("0123456789"), split(5), split(2), split(3))


@exercise("04.keys")
def keys(function: Callable[[Dataset, Key], Dataset]) -> str:
    for seed, size, block in ((0, 16, 8), (1, 24, 4)):
        dataset, key = _toy(seed, size), make_key(size, block, seed=seed)
        before = {name: getattr(dataset, name).images.clone() for name in ("train", "val", "test")}
        got = begun(function(dataset, key))
        if not isinstance(got, Dataset):
            raise Mistake(f"return a Dataset, not a {type(got).__name__}")
        for name, plain in before.items():
            if not torch.equal(getattr(dataset, name).images, plain):
                raise Mistake("you changed the data set you were given; return a new one")
            mine, want = getattr(got, name), encrypt(plain, key)
            if len(mine) != len(plain):
                raise Mistake(f"{name} has {len(mine)} images, it should have {len(plain)}")
            if torch.equal(mine.images, plain):
                raise Mistake(f"the {name} images are still plain: the model would meet two worlds")
            if torch.equal(mine.images, encrypt(want, key)):
                raise Mistake(f"the {name} images are encrypted twice")
            if not torch.equal(mine.images, want):
                raise Mistake(
                    f"the {name} images are changed, but not by this key: what one key "
                    "shuffled, a model trained with another cannot read"
                )
            if not torch.equal(mine.labels, getattr(dataset, name).labels):
                raise Mistake(f"the {name} labels changed; they stay with their images")
    return "one key for all three splits, and the labels stay with their images."


@exercise("04.experiment")
def experiment(answer: object) -> str:
    if not isinstance(answer, Experiment):
        raise Mistake(f"the answer should be an Experiment, yours is a {type(answer).__name__}")
    if answer.method != _WANTED.method:
        frozen = answer.method in ("lora", "probe")
        raise Mistake(
            f"method={answer.method!r} "
            + ("leaves the patch embedding frozen" if frozen else "trains more than was asked for")
        )
    steps, wanted = set(answer.cipher.split("+")), set(_WANTED.cipher.split("+"))
    if steps != wanted:
        missing, extra = sorted(wanted - steps), sorted(steps - wanted - {"none"})
        words = [f"lacks {missing}"] * bool(missing) + [f"has {extra} too many"] * bool(extra)
        raise Mistake(f"the cipher {' and '.join(words)}: yours is {answer.cipher!r}")
    if answer.targets != _WANTED.targets:
        raise Mistake(f"LoRA sits on {answer.targets!r}, not on the attention's output and the MLP")
    for field in fields(Experiment):
        mine, want = getattr(answer, field.name), getattr(_WANTED, field.name)
        if mine != want:
            raise Mistake(f"{field.name} is {mine!r}, it should be {want!r}")
    return f"this is experiment {answer.id}; equal settings give every reader this same id."


def _table(seed: int) -> pd.DataFrame:
    """A results table with random accuracies, in random order."""
    draw = np.random.default_rng(seed)
    rows = []
    for dataset in ("street", "digits"):
        for cipher in ("none", "shuffle", "shuffle+negative"):
            settings = [("full", None, np.nan)]
            settings += [
                (method, targets, rank)
                for method in ("lora", "lora+patch")
                for targets in ("q+v", "proj+fc1+fc2")
                for rank in (1.0, 4.0, 16.0)
            ]
            rows += [
                {"dataset": dataset, "cipher": cipher, "method": method, "targets": targets,
                 "rank": rank, "seed": number, "accuracy": draw.uniform(0.2, 1.0)}
                for method, targets, rank in settings for number in range(3)
            ]  # fmt: skip
    return pd.DataFrame(rows).sample(frac=1, random_state=seed).reset_index(drop=True)


@exercise("04.gap")
def gap(function: Callable[[pd.DataFrame, str, str, int], float]) -> str:
    for seed, cipher, targets, rank in (
        (0, "shuffle+negative", "q+v", 4),
        (1, "shuffle", "proj+fc1+fc2", 16),
        (2, "shuffle+negative", "q+v", 1),
    ):
        rows = _table(seed)

        def points(how: str = "mean", rows: pd.DataFrame = rows, **match: object) -> float:
            for name, value in match.items():
                fits = rows[name].eq(value) | rows[name].isna()
                rows = rows[fits]
            by_method = rows.groupby("method")["accuracy"].agg(how)
            return 100 * (by_method["full"] - by_method["lora+patch"])

        match = {"dataset": "street", "cipher": cipher, "targets": targets, "rank": rank}

        def without(name: str, match: dict = match, points: Callable = points) -> float:
            return points(**{key: value for key, value in match.items() if key != name})

        got = function(rows.copy(), cipher, targets, rank)
        if isinstance(got, float) and math.isnan(got):
            raise Mistake(
                "the gap is not a number: full fine-tuning has neither targets nor rank, so a "
                "filter on them leaves nothing of it"
            )
        same(got, points(**match), "the gap", {
            "these are the best seeds: a maximum flatters what spreads more; take the mean":
                points("max", **match),
            "the gap mixes ciphers: compare rows of the one that was asked for": without("cipher"),
            "the gap mixes data sets: keep street only": without("dataset"),
            "the gap mixes ranks: like with like": without("rank"),
            "the gap mixes targets: like with like": without("targets"),
            "the gap is a share; in points it is 100 times that": points(**match) / 100,
            "this is lora+patch minus full; what is lacking is the other way round":
                -points(**match),
        }, tolerance=1e-6)  # fmt: skip
    return "means over seeds, like with like."
