"""Checks of lesson 03, encrypting images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from exercises.verdict import Mistake, exercise, same
from lorakit.encryption.cipher import to_blocks


def _random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _permutation(n: int, seed: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


@exercise("03.blocks")
def blocks(image_to_blocks: Callable[[Tensor, int], Tensor]) -> str:
    for n, c, rows, columns, p in ((2, 3, 3, 4, 2), (1, 3, 2, 5, 3), (2, 1, 4, 2, 4)):
        images = _random(n, c, rows * p, columns * p, seed=p)
        split = images.reshape(n, c, rows, p, columns, p)
        stride = images.reshape(n, c, p, rows, p, columns).permute(0, 3, 5, 1, 2, 4)

        def joined(x: Tensor, n: int = n, number: int = rows * columns) -> Tensor:
            return x.reshape(n, number, -1)

        right = to_blocks(images, p)
        same(
            image_to_blocks(images.clone(), p),
            right,
            f"the blocks of pictures {tuple(images.shape)} with p = {p}",
            {
                "the shape is right, but a reshape alone cuts strips of pixels, not squares: "
                "axes have to change places in between": joined(images),
                "the blocks come column by column: first left to right, then down": joined(
                    split.permute(0, 4, 2, 1, 3, 5)
                ),
                "the values in a block come pixel by pixel, the channels next to each other: all "
                "of one channel should come first": joined(split.permute(0, 2, 4, 3, 5, 1)),
                "the pixels of each block are transposed: its rows should come before its "
                "columns": joined(split.permute(0, 2, 4, 1, 5, 3)),
                "a block holds pixels from all over the picture: when an axis is split in two, "
                "the first of the two is the slow one": joined(stride),
                "the axes are (n, values, blocks): blocks come first, then values": right.mT,
            },
        )
    return "right: blocks in reading order, values channel by channel, as the ViT reads them."


@exercise("03.shuffle")
def shuffle(answer: Callable[[Tensor, Tensor], Tensor]) -> str:
    for n, number, values in ((2, 12, 12), (3, 5, 27), (1, 20, 12)):
        x, permutation = _random(n, number, values, seed=values), _permutation(values, seed=1)
        given = x.clone()
        mistakes = {
            "the permutation is applied backwards: place j should show value permutation[j], here "
            "value j goes to place permutation[j]": x[..., permutation.argsort()],
        }
        if number == values:  # else it is an error, or a wrong shape
            mistakes["whole blocks change places: the values inside a block should"] = x[
                :, permutation
            ]
        got = answer(given, permutation.clone())
        same(got, x[..., permutation], "the shuffled blocks", mistakes)
        if not torch.equal(given, x):
            raise Mistake("the blocks that were handed in were changed: make a new tensor")
    return "right: every block keeps its place, and its values move in the same way."


@exercise("03.embedding")
def embedding(adapt: Callable[[Tensor, Tensor, Tensor], Tensor]) -> str:
    for dim, values in ((12, 12), (7, 27), (40, 12)):
        weight, pixels = _random(dim, values, seed=dim), _permutation(values, seed=dim)
        flips = torch.rand(values, generator=torch.Generator().manual_seed(values)) < 0.5
        sign, back = 1 - 2 * flips.float(), pixels.argsort()
        mistakes = {
            "the columns are permuted with the inverse: column j should be the one made for value "
            "pixels[j]": weight[:, back] * sign,
            "the order of the columns is right, but the sign is forgotten: flipped values reach E' "
            "as negatives": weight[:, pixels],
            "the sign is forgotten, and the columns are permuted with the inverse": weight[:, back],
            "the signs sit on the wrong columns: flips counts places of the encrypted block, so "
            "they come after the permutation": (weight * sign)[:, pixels],
            "the sign is the wrong way round: minus belongs where flips is True": (
                -weight[:, pixels] * sign
            ),
            "255 - x is for bytes; a number's negative is -x": torch.where(
                flips, 255 - weight[:, pixels], weight[:, pixels]
            ),
            "multiplied by flips, columns become zero: the sign should be +1 or -1": (
                weight[:, pixels] * flips
            ),
        }
        if dim == values:
            mistakes["the rows of E are permuted: the values of a block are its columns"] = (
                weight[pixels] * sign
            )
        got = adapt(weight.clone(), pixels.clone(), flips.clone())
        same(got, weight[:, pixels] * sign, "E'", mistakes)
    return "right: E' reads an encrypted block as E reads the plain one."
