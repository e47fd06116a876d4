"""The key from pictures known both plain and encrypted.

A picture is a table: N blocks as rows, V = c p² places in a block as columns. The values of a row
in any order, with v and 255 - v taken for one, tell which block it is; then the values of a column
tell which place. What stays tied is guessed: one key that explains the pictures.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lorakit.encryption.attacks.refinement import complete, numbered, refine
from lorakit.encryption.cipher import Key, pictures_to_blocks


@dataclass(frozen=True)
class RecoveredKey:
    """A key that explains the known pairs, and how much of it they decide.

    Attributes:
        key: one key that turns every plain picture into its encrypted one.
        bits_left: log2 of how many keys explain the pairs as well, at most; 0: only this one.
    """

    key: Key
    bits_left: float

    @property
    def determined(self) -> bool:
        """No other key explains the pairs, so this is the key."""
        return self.bits_left == 0


def recover_key(plain: Tensor, encrypted: Tensor, block_size: int) -> RecoveredKey:
    """Recover block scrambling, pixel shuffling and negatives at once; ValueError if no key fits.

    Args:
        plain, encrypted: the same pictures before and after, in the same order, uint8 (M, 3, H, H)
            or one (3, H, H), all encrypted with one key; exact, so not after JPEG.
        block_size: p in pixels, a divisor of H.
    """
    if plain.dtype != torch.uint8 or encrypted.dtype != torch.uint8:
        raise TypeError(f"plain is {plain.dtype}, encrypted {encrypted.dtype}: allowed: uint8")
    if plain.shape != encrypted.shape:
        both = f"plain of shape {tuple(plain.shape)}, encrypted of shape {tuple(encrypted.shape)}"
        raise ValueError(f"{both}: allowed: the same shape")
    tables = _tables(plain, encrypted, block_size)
    n, v = tables.shape[2:]
    start = refine(tables, np.zeros((2, n), np.int64), np.zeros((2, v), np.int64))
    end = None if start is None else complete(tables, start)
    if end is None:
        raise ValueError("plain, encrypted: no key turns the one into the other")
    (rows, columns, turned), bits = end
    blocks, pixels = (torch.from_numpy(_matched(x)) for x in (rows, columns))
    flips = torch.from_numpy(turned[1] != turned[0][pixels.numpy()])
    return RecoveredKey(Key(plain.shape[-1], block_size, blocks, pixels, flips), bits)


def _tables(plain: Tensor, encrypted: Tensor, p: int) -> np.ndarray:
    """Number the values that a place takes over all M pictures: int64 (2, 2, N, V).

    First axis: plain, encrypted; second: as they are, negative.
    """
    both = torch.stack([pictures_to_blocks(x, p) for x in (plain, encrypted)])  # (2, M, N, V)
    signed = torch.stack([both, 255 - both], dim=1).movedim(2, -1)  # (2, 2, N, V, M)
    return numbered(signed.reshape(-1, signed.shape[-1]).cpu().numpy()).reshape(signed.shape[:-1])


def _matched(classes: np.ndarray) -> np.ndarray:
    """For every encrypted place a plain one of its class: (2, n) to (n,)."""
    matched = np.empty_like(classes[0])
    matched[np.argsort(classes[1], kind="stable")] = np.argsort(classes[0], kind="stable")
    return matched
