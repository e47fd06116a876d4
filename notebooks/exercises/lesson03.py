"""Exercises of lesson 03: shuffle blocks, decrypt, adapt the embedding."""

import torch
from torch import Tensor

from exercises.verdict import Answer, ask, exercise, same
from lorakit.encryption.cipher import encrypt, from_blocks, make_key, to_blocks


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


@exercise("03.decrypt", (2, 8, 0), (1, 12, 1), (3, 8, 2))
def decrypting(answer: Answer, n: int, size: int, seed: int) -> str:
    plain = torch.randint(256, (n, 3, size, size), dtype=torch.uint8)
    key = make_key(size, 4, seed=seed)
    back, home = key.pixels.argsort(), key.blocks.argsort()
    secret = encrypt(plain, key)
    x = to_blocks(secret, 4)
    turned = torch.where(key.flips, 255 - x, x)

    def image(blocks: Tensor) -> Tensor:
        return from_blocks(blocks, 4, size)

    known = {
        "this is still the encrypted picture": secret,
        "this encrypts once more: each step needs its inverse": encrypt(secret, key),
        "blocks and values are shuffled once more: the inverse of a permutation is its argsort": (
            image(turned[:, key.blocks][..., key.pixels])
        ),
        "the values are shuffled once more: key.pixels needs its inverse": (
            image(turned[:, home][..., key.pixels])
        ),
        "the blocks are scrambled once more: key.blocks needs its inverse": (
            image(turned[:, key.blocks][..., back])
        ),
        "the negatives are still there": image(x[:, home][..., back]),
        "the negatives come too late: flips counts places of the encrypted block, so undo them "
        "before you move the values": image(
            torch.where(key.flips, 255 - x[:, home][..., back], x[:, home][..., back])
        ),
        "bytes: the negative of x is 255 - x; -x is off by one": image(
            torch.where(key.flips, -x, x)[:, home][..., back]
        ),
        "the blocks are still scrambled": image(turned[..., back]),
        "the values are still shuffled": image(turned[:, home]),
    }
    same(ask(answer, secret, key, keep=True), plain, "the decrypted picture", known)
    return "right, to the last bit: who has the key has the picture."


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
