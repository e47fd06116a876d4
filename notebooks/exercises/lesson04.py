"""Exercises of lesson 04: what a frozen embedding sees, one experiment, one gap."""

import math

import pandas as pd
import torch
from torch import Tensor

from exercises.verdict import Answer, ask, exercise, expect, same, several, wrong_if
from lorakit.encryption.cipher import make_key
from lorakit.experiments.experiment import Experiment
from lorakit.training.recipe import Recipe

_WANTED = Experiment(
    dataset="fashion",
    train=2000,
    cipher="shuffle+negative",
    method="lora+patch",
    rank=8,
    targets="proj+fc1+fc2",
    recipe=Recipe(epochs=3),
    seed=1,
)


@exercise("04.through", (20, 8, 0), (12, 4, 1), (48, 4, 2))
def through(answer: Answer, dim: int, block: int, seed: int) -> str:
    key, E = make_key(block, block, seed=seed), torch.randn(dim, 3 * block**2)
    sign, back = 1 - 2 * key.flips.float(), key.pixels.argsort()

    def added(columns: Tensor) -> Tensor:
        return columns.unflatten(1, (3, -1)).sum(1)

    right = (E * sign)[:, back]
    known = {
        "the columns are sorted by pixels; what sorts them is its inverse": added(
            (E * sign)[:, key.pixels]
        ),
        "the signs are forgotten: flipped values reach E as negatives": added(E[:, back]),
        "the signs sit on the wrong columns: flips counts places of the encrypted block, so they "
        "come before the sorting": added(E[:, back] * sign),
        "the key is not used: this is what E makes of the plain block": added(E),
        "the sign is the wrong way round: minus belongs where flips is True": -added(right),
        "three columns add up to one; you took their mean": added(right) / 3,
        "neighbouring columns are added: one value's three channels are p² columns apart": (
            right.unflatten(1, (-1, 3)).sum(2)
        ),
        "the three channels are not added up yet: a grey value meets three columns": right,
        "one channel is kept: a grey value meets three columns, add them": right[:, : block**2],
    }
    same(ask(answer, E, key.pixels, key.flips), added(right), "M", known)
    return "right: of a grey block, each value reaches the token by three columns."


@exercise("04.experiment")
def experiment(answer: Experiment) -> str:
    expect(answer, Experiment, "the answer")
    frozen = answer.method in ("lora", "probe")
    words = "leaves the patch embedding frozen" if frozen else "is not the paper's method"
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


@exercise("04.gap", ("lora+patch", 6), ("lora", 4), ("patch", 3))
def gap(answer: Answer, method: str, pairs: int) -> str:
    from scipy.stats import t

    names, seeds = ("full", "lora", "lora+patch", "patch"), pairs + 2
    table = pd.DataFrame([(m, s) for m in names for s in range(seeds)], columns=["method", "seed"])
    keys = 0.1 * torch.randn(seeds).double()  # what a seed adds to every method
    table["accuracy"] = 0.6 + keys[table["seed"].tolist()].numpy()
    table["accuracy"] += 0.02 * torch.randn(len(table)).double().numpy()
    alone = {method: 0, "full": seeds - 1}  # seeds that the two lack: no pairs
    table = table[table["seed"] != table["method"].map(alone)]
    table = table.sample(frac=1, random_state=pairs, ignore_index=True)  # in no order
    wide = table.pivot(index="seed", columns="method", values="accuracy")
    points = 100 * (wide["full"] - wide[method]).dropna()
    mean, half = several(ask(answer, table, method), "mean, half-width")
    known = {
        "the gap is a share; in points it is 100 times that": points.mean() / 100,
        "this is the method minus full; what is lacking is the other way round": -points.mean(),
        "seeds that only one of the two has are in the mean: keep whole pairs, by seed and not by "
        "their place in the table": 100 * (wide["full"].mean() - wide[method].mean()),
        "these are the best seeds, and not even of one key": 100
        * (wide["full"].max() - wide[method].max()),
        "this is the median; the interval belongs to the mean": points.median(),
        "the gap is not a number: full and the method lie in different rows": math.nan,
    }
    same(mean, points.mean(), "the mean gap", known)
    factor, sem, sd = t.ppf(0.975, len(points) - 1), points.sem(), points.std()
    apart = 100 * (wide["full"].sem() ** 2 + wide[method].sem() ** 2) ** 0.5
    both = table[table["seed"].isin(points.index)]
    full, mine = (both.loc[both["method"] == m, "accuracy"].to_numpy() for m in ("full", method))
    undropped = t.ppf(0.975, len(wide) - 1)
    no_pair = "n counts a seed without a partner: drop NaN before you count pairs"
    known = {
        no_pair: undropped * sem,
        f"{no_pair}, for t and for √n": undropped * sd / len(wide) ** 0.5,
        "the rows are subtracted in the order of the table, so two seeds meet in one difference: "
        "pair them by seed": factor * pd.Series(100 * (full - mine)).sem(),
        "1.96 is for many pairs; with few, Student's t is wider": 1.96 * sem,
        "this is the standard deviation of the pairs: it does not shrink as pairs are added": sd,
        "this is the standard error alone; times t it is the half-width": sem,
        "s needs dividing by √n": factor * sd,
        "t for n - 1 degrees of freedom, not n": t.ppf(0.975, len(points)) * sem,
        "pandas' std and sem divide by n - 1 already; this s divides by n": factor
        * points.std(ddof=0)
        / len(points) ** 0.5,
        "0.975 leaves 2.5 % on each side; 0.95 gives a 90 % interval": t.ppf(0.95, len(points) - 1)
        * sem,
        "the two methods are treated as strangers; in pairs the key cancels": factor * apart,
        "this is the whole width, from end to end": 2 * factor * sem,
    }
    same(half, factor * sem, "the half-width", known)
    return "in pairs, and honest about how few they are."
