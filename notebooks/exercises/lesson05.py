"""Exercises of lesson 05: chosen pictures, fingerprints, the keys that are left, borders."""

import math
from collections import Counter

import torch
import torch.nn.functional as F
from torch import Tensor

from exercises.verdict import Answer, ask, exercise, same, several, wrong_if
from lorakit.encryption.cipher import encrypt, make_key


@exercise("05.chosen", (8, 0), (4, 1), (8, 2))
def chosen(answer: Answer, p: int, seed: int) -> str:
    key, asked = make_key(p, p, seed=seed), []  # one block

    def oracle(pictures: Tensor) -> Tensor:
        given = f"{pictures.dtype} of shape {tuple(pictures.shape)}"
        fits = pictures.dtype == torch.uint8 and tuple(pictures.shape[1:]) == (3, p, p)
        wrong_if(not fits, f"ask takes uint8 (M, 3, {p}, {p}); you gave it {given}")
        asked.append(len(pictures))
        return encrypt(pictures, key)

    pixels, flips = several(ask(answer, oracle, p), "pixels, flips")
    inverse = key.pixels.argsort()
    unread = torch.where(key.flips, 255 - key.pixels, key.pixels)
    known = {
        "pixels is the inverse: it says, for each encrypted place, where its value was": inverse,
        "pixels misses the flips: at the negative places you read 255 - v for v": unread,
        "v and 255 - v look alike: one picture that holds both cannot tell a value from a flipped "
        "one, so ask for two": torch.minimum(unread, 255 - unread),
    }
    same(pixels, key.pixels, "pixels", known)
    known = {
        "flips is True where nothing was flipped": ~key.flips,
        "flips goes by encrypted place, yours by plain place": key.flips[inverse],
    }
    same(flips, key.flips, "flips", known)
    return f"three keys stolen, the last with {sum(asked)} pictures."


@exercise("05.fingerprint", (6, 48), (5, 192))
def fingerprint(answer: Answer, n: int, values: int) -> str:
    blocks = torch.randint(0, 256, (n, values), dtype=torch.uint8)
    got = ask(answer, blocks)
    rows = isinstance(got, Tensor) and got.ndim and len(got) == n
    wrong_if(not rows, "return a tensor with one row for each block")
    turned = blocks.where(torch.rand(values) < 0.5, 255 - blocks)
    for words, changed in (
        ("the values of a block are shuffled", blocks[:, torch.randperm(values)]),
        ("some values are flipped", turned),
    ):
        mine = answer(changed)
        alike = mine.shape == got.shape and torch.allclose(mine.double(), got.double())
        wrong_if(not alike, f"it changes when {words}")
    apart = torch.equal(answer(blocks.flip(0)).double(), got.double().flip(0))
    wrong_if(not apart, "the rows should stay apart: a block's fingerprint is its own")
    rows = [
        [60, 60, 60, 60, 60, 60],  # then values move towards and away from the middle, so that
        [50, 70, 60, 60, 60, 60],  # sums and means stay
        [50, 50, 70, 70, 60, 60],
        [40, 44, 47, 51, 40, 51],  # these two have equal sums, squares and cubes, and the same
        [41, 42, 49, 50, 40, 51],  # smallest and largest: moments forget the difference
    ]
    different = F.pad(torch.tensor(rows, dtype=torch.uint8), (0, values - 6), value=60)
    mine = answer(different).double()
    forgets = any(torch.allclose(mine[i], mine[j]) for i, j in ((0, 1), (0, 2), (1, 2), (3, 4)))
    wrong_if(forgets, "different blocks get the same fingerprint: it forgets too much")
    return "no key changes it, and different blocks differ."


@exercise("05.bits", (2, 40, 2), (3, 60, 2), (7, 4, 128), (2, 20, 3))
def bits(answer: Answer, rows: int, count: int, values: int) -> str:
    value = torch.randint(0, values, (rows, count))
    columns = value.where(torch.rand(rows, count) < 0.5, 255 - value).to(torch.uint8)
    columns = torch.cat([columns, columns[:1]])  # two blocks may be alike: that ties no places

    def orders(tied: Counter) -> float:
        return sum(math.lgamma(n + 1) for n in tied.values()) / math.log(2)

    pairs = [(tuple(c), tuple(255 - x for x in c)) for c in columns.T.tolist()]
    tied = Counter(map(min, pairs))
    of_rows = Counter(min(tuple(r), tuple(255 - x for x in r)) for r in columns.tolist())
    alike = Counter(c for c, _ in pairs)
    folded = Counter(tuple(map(min, *pair)) for pair in pairs)
    want, sizes = orders(tied), sum(map(math.log2, tied.values()))
    known = {
        "that counts rows, which are blocks; a place is a column: columns.T has one in each row": (
            orders(of_rows)
        ),
        "these are natural logarithms; bits are log2": want * math.log(2),
        "g tied places can be put in g! orders, not in g": sizes,
        "a column and its negative are tied too: a flip may explain the difference": orders(alike),
        "a flip turns a whole column: fold the column, not each value by itself": orders(folded),
        "the flips are counted as unknown; but once a place is matched, v is never 255 - v, so "
        "its flip is known": want + count,
    }
    same(ask(answer, columns), want, "the number of bits", known)
    return "columns that no known picture tells apart, in any order."


@exercise("05.border", (5, 4), (7, 6), (3, 8))
def border(answer: Answer, count: int, p: int) -> str:
    blocks = torch.randint(0, 256, (count, 3, p, p), dtype=torch.uint8)

    def cost(x: Tensor, first: tuple, second: tuple, power: int = 2) -> Tensor:
        a, b = x[(..., *first)], x[(..., *second)]  # (N, 3, p)
        return (a[:, None] - b[None]).abs().pow(power).flatten(2).sum(-1)

    x, every = blocks.double(), slice(None)
    right, left = (every, -1), (every, 0)
    wrapped = (blocks[:, None, :, :, -1] - blocks[None, :, :, :, 0]).double().square()
    steps = x[:, None, :, :, -1] - x[None, :, :, :, 0]
    want = cost(x, right, left)
    known = {
        "bytes wrap around: 3 - 5 is 254. Make numbers of them first": wrapped.flatten(2).sum(-1),
        "bytes wrap around, and their squares too: make numbers of them first": (
            (blocks[:, None, :, :, -1] - blocks[None, :, :, :, 0]).square().flatten(2).sum(-1)
        ),
        "the answer is transposed: entry [a, b] has b to the right of a": want.T,
        "the border is the lower one: b should be to the right of a": cost(
            x, (-1, every), (0, every)
        ),
        "the last columns of both are compared: b begins with its first": cost(x, right, right),
        "steps up and down cancel: square them before the sum": steps.flatten(2).sum(-1),
        "these are sizes of the steps, not their squares": cost(x, right, left, 1),
        "this is the mean; a sum was asked for": want / (3 * p),
        "the three colours are added before the square: a red step may hide a green one": (
            steps.sum(2).square().sum(-1)
        ),
        "this is the root of the sum; the squares themselves add up over pictures": want.sqrt(),
    }
    same(ask(answer, blocks, keep=True), want, "the table of costs", known)
    return "small where b continues a; summed over pictures, chance cancels."
