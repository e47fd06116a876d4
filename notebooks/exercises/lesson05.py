"""Checks of lesson 05: the chosen pictures, the fingerprint and the keys that are left."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

from exercises.verdict import Mistake, begun, exercise, same
from lorakit.encryption.cipher import encrypt, make_key


@exercise("05.chosen")
def chosen(function: Callable[[Callable[[Tensor], Tensor], int], tuple[Tensor, Tensor]]) -> str:
    asked = 0
    for p, seed in ((8, 0), (4, 1), (8, 2)):
        key = make_key(p, p, seed=seed)  # one block

        def ask(pictures: Tensor, key=key, p=p) -> Tensor:
            nonlocal asked
            if pictures.dtype != torch.uint8 or tuple(pictures.shape[1:]) != (3, p, p):
                given = f"{pictures.dtype} of shape {tuple(pictures.shape)}"
                raise Mistake(f"ask takes uint8 (M, 3, {p}, {p}); you gave it {given}")
            asked += len(pictures)
            return encrypt(pictures, key)

        answer = begun(function(ask, p))
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            raise Mistake("return two tensors, pixels and flips")
        pixels, flips = (torch.as_tensor(x) for x in answer)
        plain_order = torch.empty_like(key.flips)
        plain_order[key.pixels] = key.flips
        same(pixels, key.pixels, "pixels", {
            "pixels is the inverse: it should say, for each encrypted place, which plain place "
            "its value came from": key.pixels.argsort(),
            "pixels misses the flips: at the negative places you read 255 - v for v":
                torch.where(key.flips, 255 - key.pixels, key.pixels),
        }, tolerance=1e-9)  # fmt: skip
        same(flips, key.flips, "flips", {
            "flips is True where nothing was flipped": ~key.flips,
            "flips stands in the order of the plain places; it goes by encrypted place":
                plain_order,
        })  # fmt: skip
    return f"three keys stolen with {asked} pictures in all."


@exercise("05.fingerprint")
def fingerprint(function: Callable[[Tensor], Tensor]) -> str:
    draw = torch.Generator().manual_seed(0)
    for n, values in ((6, 48), (5, 192)):
        blocks = torch.randint(0, 256, (n, values), generator=draw, dtype=torch.uint8)
        got = begun(function(blocks.clone()))
        if not isinstance(got, Tensor) or got.ndim == 0 or len(got) != n:
            raise Mistake("return a tensor with one row for each block")
        order = torch.randperm(values, generator=draw)
        turned = torch.rand(values, generator=draw) < 0.5
        for words, changed in (
            ("it changes when the values of a block are shuffled", blocks[:, order]),
            ("it changes when some values are flipped", torch.where(turned, 255 - blocks, blocks)),
        ):
            mine = function(changed)
            if mine.shape != got.shape or not torch.allclose(mine.double(), got.double()):
                raise Mistake(words)
        if not torch.equal(function(blocks.flip(0)).double(), got.double().flip(0)):
            raise Mistake("the rows should stay apart: a block's fingerprint is its own")
        # moving values towards and away from the middle, so that sums and means stay
        a, b = torch.full((2, 1, values), 60, dtype=torch.uint8)
        b[0, 0], b[0, 1] = 50, 70
        wide = torch.full((1, values), 60, dtype=torch.uint8)
        wide[0, :4] = torch.tensor([50, 50, 70, 70])
        # equal sums, squares and cubes, smallest and largest: moments forget the difference
        c, d = torch.full((2, 1, values), 60, dtype=torch.uint8)
        c[0, :6] = 40 + torch.tensor([0, 4, 7, 11, 0, 11])
        d[0, :6] = 40 + torch.tensor([1, 2, 9, 10, 0, 11])
        mine = function(torch.cat([a, b, wide, c, d])).double()
        if any(torch.allclose(mine[i], mine[j]) for i, j in ((0, 1), (0, 2), (1, 2), (3, 4))):
            raise Mistake("different blocks get the same fingerprint: it forgets too much")
    return "no key changes it, and different blocks differ."


@exercise("05.bits")
def bits(function: Callable[[Tensor], float]) -> str:
    draw = torch.Generator().manual_seed(1)
    for rows, groups in ((4, (1, 2, 3, 3)), (2, (5, 1, 1)), (7, (1, 1, 1)), (3, (4, 2, 6, 1, 1))):
        table = torch.randint(0, 128, (rows, len(groups)), generator=draw)
        table[0] = torch.arange(len(groups))  # different, and not the negative of each other
        columns = table.repeat_interleave(torch.tensor(groups), dim=1)
        if groups[0] == 1:  # also columns that differ in one sign only: not tied
            extra = columns[:, :1].clone()
            extra[1] = 255 - extra[1]
            columns = torch.cat([columns, extra], dim=1)
        count = columns.shape[1]
        turned = torch.rand(count, generator=draw) < 0.5
        turned[-2:] = torch.tensor([True, False])
        columns = torch.where(turned, 255 - columns, columns)
        columns = columns[:, torch.randperm(count, generator=draw)].to(torch.uint8)

        def total(tied: Counter, of: Callable[[int], float]) -> float:
            return sum(of(n) for n in tied.values())

        def ln_factorial(n: int) -> float:
            return math.lgamma(n + 1)

        pairs = [(tuple(c), tuple(255 - x for x in c)) for c in columns.T.tolist()]
        tied = Counter(map(min, pairs))
        folded = Counter(tuple(map(min, *pair)) for pair in pairs)
        alike = Counter(c for c, _ in pairs)
        want = total(tied, ln_factorial) / math.log(2)
        same(function(columns.clone()), want, "the number of bits", {
            "these are natural logarithms; bits are log2": total(tied, ln_factorial),
            "g tied places can be put in g! orders, not in g": total(tied, math.log2),
            "a column and its negative are tied too, for a flip may explain the difference":
                total(alike, ln_factorial) / math.log(2),
            "a flip turns a whole column: fold the column, not each value by itself":
                total(folded, ln_factorial) / math.log(2),
            "the flips are counted as unknown; but once a place is matched, v is never "
            "255 - v, so its flip is known": want + count,
        }, tolerance=1e-6)  # fmt: skip
    return "columns that no known picture tells apart, in any order."
