"""Exercises of lesson 03: cut a picture into blocks, shuffle them, adapt the embedding."""

import torch
from torch import Tensor

from exercises.verdict import Answer, ask, exercise, same
from lorakit.encryption.cipher import to_blocks


@exercise("03.blocks", (2, 3, 3, 4, 2), (1, 3, 2, 5, 3), (2, 1, 4, 2, 4))
def blocks(answer: Answer, n: int, c: int, rows: int, columns: int, p: int) -> str:
    images = torch.randn(n, c, rows * p, columns * p)
    right = to_blocks(images, p)
    split = images.reshape(n, c, rows, p, columns, p)
    mixed = images.reshape(n, c, p, rows, p, columns).permute(0, 3, 5, 1, 2, 4)
    strips = images.reshape(right.shape)

    def cut(*order: int) -> Tensor:
        return split.permute(order).reshape(right.shape)

    known = {
        "a reshape alone cuts strips of pixels, not squares: axes have to change places": strips,
        "the blocks come column by column: first left to right, then down": cut(0, 4, 2, 1, 3, 5),
        "values come pixel by pixel: all of one channel should come first": cut(0, 2, 4, 3, 5, 1),
        "the pixels of each block are transposed: rows come before columns": cut(0, 2, 4, 1, 5, 3),
        "a block holds pixels from all over the picture: when an axis is split in two, the first "
        "of the two is the slow one": mixed.reshape(right.shape),
        "the axes are (n, values, blocks): blocks come first, then values": right.mT,
    }
    what = f"the blocks of pictures {tuple(images.shape)} with p = {p}"
    same(ask(answer, images, p), right, what, known)
    return "right: blocks in reading order, values channel by channel, as the ViT reads them."


@exercise("03.shuffle", (2, 12, 12), (3, 5, 27), (1, 20, 12))
def shuffle(answer: Answer, n: int, number: int, values: int) -> str:
    x, permutation = torch.randn(n, number, values), torch.randperm(values)
    known = {
        "the permutation is applied backwards: place j should show value permutation[j], here "
        "value j goes to place permutation[j]": x[..., permutation.argsort()],
    }
    if number == values:  # else it is an error, or a wrong shape
        words = "whole blocks change places: the values inside a block should"
        known[words] = x[:, permutation]
    got = ask(answer, x, permutation, keep=True)
    same(got, x[..., permutation], "the shuffled blocks", known)
    return "right: every block keeps its place, and its values move in the same way."


@exercise("03.embedding", (12, 12), (7, 27), (40, 12))
def embedding(answer: Answer, dim: int, values: int) -> str:
    weight, pixels = torch.randn(dim, values), torch.randperm(values)
    flips = torch.rand(values) < 0.5
    sign, back, right = 1 - 2 * flips.float(), pixels.argsort(), weight[:, pixels]
    known = {
        "the columns go by the inverse: column j is for value pixels[j]": weight[:, back] * sign,
        "the sign is forgotten: flipped values reach E' as negatives": right,
        "the sign is forgotten, and the columns are permuted with the inverse": weight[:, back],
        "the signs sit on the wrong columns: flips counts places of the encrypted block, so they "
        "come after the permutation": (weight * sign)[:, pixels],
        "the sign is the wrong way round: minus belongs where flips is True": -right * sign,
        "255 - x is for bytes; a number's negative is -x": right.where(~flips, 255 - right),
        "multiplied by flips, columns become zero: the sign should be +1 or -1": right * flips,
    }
    if dim == values:
        words = "the rows of E are permuted: the values of a block are its columns"
        known[words] = weight[pixels] * sign
    same(ask(answer, weight, pixels, flips), right * sign, "E'", known)
    return "right: E' reads an encrypted block as E reads the plain one."
