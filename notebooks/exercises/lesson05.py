"""Exercises of lesson 05: the chosen pictures, the fingerprint and the keys that are left."""

import math
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

from exercises.verdict import ask, exercise, same, several, wrong_if
from lorakit.encryption.cipher import encrypt, make_key


@exercise("05.chosen", (8, 0), (4, 1), (8, 2))
def chosen(answer: Callable, p: int, seed: int) -> str:
    key, asked = make_key(p, p, seed=seed), []  # one block

    def oracle(pictures: Tensor) -> Tensor:
        given = f"{pictures.dtype} of shape {tuple(pictures.shape)}"
        fits = pictures.dtype == torch.uint8 and tuple(pictures.shape[1:]) == (3, p, p)
        wrong_if(not fits, f"ask takes uint8 (M, 3, {p}, {p}); you gave it {given}")
        asked.append(len(pictures))
        return encrypt(pictures, key)

    pixels, flips = several(ask(answer, oracle, p), "pixels, flips")
    known = {
        "pixels is the inverse: it should say, for each encrypted place, which plain place its "
        "value came from": key.pixels.argsort(),
        "pixels misses the flips: at the negative places you read 255 - v for v": (
            torch.where(key.flips, 255 - key.pixels, key.pixels)
        ),
    }
    same(pixels, key.pixels, "pixels", known)
    known = {
        "flips is True where nothing was flipped": ~key.flips,
        "flips stands in the order of the plain places; it goes by encrypted place": (
            key.flips[key.pixels.argsort()]
        ),
    }
    same(flips, key.flips, "flips", known)
    return f"three keys stolen, the last with {sum(asked)} pictures."


@exercise("05.fingerprint", (6, 48), (5, 192))
def fingerprint(answer: Callable, n: int, values: int) -> str:
    blocks = torch.randint(0, 256, (n, values), dtype=torch.uint8)
    got = ask(answer, blocks)
    rows = isinstance(got, Tensor) and got.ndim and len(got) == n
    wrong_if(not rows, "return a tensor with one row for each block")
    order, turned = torch.randperm(values), torch.rand(values) < 0.5
    for words, changed in (
        ("it changes when the values of a block are shuffled", blocks[:, order]),
        ("it changes when some values are flipped", torch.where(turned, 255 - blocks, blocks)),
    ):
        mine = answer(changed)
        alike = mine.shape == got.shape and torch.allclose(mine.double(), got.double())
        wrong_if(not alike, words)
    apart = torch.equal(answer(blocks.flip(0)).double(), got.double().flip(0))
    wrong_if(not apart, "the rows should stay apart: a block's fingerprint is its own")
    starts = (
        (60, 60, 60, 60),
        (50, 70, 60, 60),  # values moved towards and away from the middle: sums and means stay
        (50, 50, 70, 70),
        (40, 44, 47, 51, 40, 51),  # these two have equal sums, squares and cubes, and the same
        (41, 42, 49, 50, 40, 51),  # smallest and largest: moments forget the difference
    )
    different = torch.full((5, values), 60, dtype=torch.uint8)
    for row, start in zip(different, starts):
        row[: len(start)] = torch.tensor(start)
    mine = answer(different).double()
    forgets = any(torch.allclose(mine[i], mine[j]) for i, j in ((0, 1), (0, 2), (1, 2), (3, 4)))
    wrong_if(forgets, "different blocks get the same fingerprint: it forgets too much")
    return "no key changes it, and different blocks differ."


@exercise("05.bits", (4, (1, 2, 3, 3)), (2, (5, 1, 1)), (7, (1, 1, 1)), (3, (4, 2, 6, 1, 1)))
def bits(answer: Callable, rows: int, groups: tuple[int, ...]) -> str:
    columns = _tied_columns(rows, groups)

    def total(tied: Counter, of: Callable[[int], float]) -> float:
        return sum(of(n) for n in tied.values())

    def ln_factorial(n: int) -> float:
        return math.lgamma(n + 1)

    pairs = [(tuple(c), tuple(255 - x for x in c)) for c in columns.T.tolist()]
    tied = Counter(map(min, pairs))
    alike = Counter(c for c, _ in pairs)
    folded = Counter(tuple(map(min, *pair)) for pair in pairs)
    want = total(tied, ln_factorial) / math.log(2)
    known = {
        "these are natural logarithms; bits are log2": total(tied, ln_factorial),
        "g tied places can be put in g! orders, not in g": total(tied, math.log2),
        "a column and its negative are tied too, for a flip may explain the difference": (
            total(alike, ln_factorial) / math.log(2)
        ),
        "a flip turns a whole column: fold the column, not each value by itself": (
            total(folded, ln_factorial) / math.log(2)
        ),
        "the flips are counted as unknown; but once a place is matched, v is never 255 - v, so "
        "its flip is known": want + columns.shape[1],
    }
    same(ask(answer, columns), want, "the number of bits", known)
    return "columns that no known picture tells apart, in any order."


def _tied_columns(rows: int, groups: tuple[int, ...]) -> Tensor:
    """uint8 (rows, columns), the columns of a group equal but for flips, in random order."""
    table = torch.randint(0, 128, (rows, len(groups)))
    table[0] = torch.arange(len(groups))  # different, and not the negative of each other
    columns = table.repeat_interleave(torch.tensor(groups), dim=1)
    if groups[0] == 1:  # also columns that differ in one sign only: not tied
        extra = columns[:, :1].clone()
        extra[1] = 255 - extra[1]
        columns = torch.cat([columns, extra], dim=1)
    turned = torch.rand(columns.shape[1]) < 0.5
    turned[-2:] = torch.tensor([True, False])
    columns = torch.where(turned, 255 - columns, columns)
    return columns[:, torch.randperm(len(turned))].to(torch.uint8)
