"""The pixel key from encrypted pictures alone, given enough of them.

Places near each other in a block hold similar values, so their values correlate over blocks and
pictures. Shuffling moves a correlation but leaves it as it is; a negative turns its sign; block
scrambling does nothing to it. So the table of correlations of encrypted pictures is that of any
other pictures, with rows and columns permuted alike. Finding the permutation is a quadratic
assignment problem, solved here with FAQ (Vogelstein et al. 2015, "Fast approximate quadratic
programming for graph matching"), from several random starts. (Other attacks on encrypted pictures
alone are compared by Sirichotedumrong and Kiya 2020, arXiv 2010.06198.)

A mirrored or turned block has nearly the same correlations, and so has one with its colours
exchanged or all negative: the pixel key is found up to these. A person sees through all of them.
"""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import torch
from torch import Tensor

from lorakit.encryption.cipher import CHANNELS, Key, pictures_to_blocks


def recover_pixels(
    encrypted: Tensor, public: Tensor, block_size: int, *, starts: int = 64, seed: int = 0
) -> Key:
    """The key of pixel shuffling and negatives that fits best; blocks stay where they are.

    Args:
        encrypted: pictures encrypted with one key, uint8 (M, 3, H, H); with blocks of 8 x 8 some
            hundreds of 32 x 32 mostly do.
        public: other, plain pictures with about the same correlations, uint8 (L, 3, H', H').
        block_size: p in pixels, a divisor of H and H'.
        starts: the best fit is kept; more starts help more than more pictures.
        seed: of the starts.
    """
    from scipy.optimize import quadratic_assignment

    rng = np.random.default_rng(seed)
    known, secret = correlations(public, block_size), correlations(encrypted, block_size)
    options = {"maximize": True, "P0": "randomized", "rng": rng}
    found = [
        quadratic_assignment(np.abs(known), np.abs(secret), options=options) for _ in range(starts)
    ]
    there = max(found, key=lambda result: result.fun).col_ind  # where each plain place went
    pixels = np.argsort(there)
    # where signs agree with the known ones, this is positive for two flips or none
    agreement = secret * known[pixels][:, pixels]
    flips = np.linalg.eigh(agreement)[1][:, -1] < 0
    pixels, flips = torch.from_numpy(pixels), torch.from_numpy(flips)
    size = encrypted.shape[-1]
    blocks = torch.arange((size // block_size) ** 2)
    return Key(size, block_size, blocks, pixels, flips, ("shuffle", "negative"))


def correlations(images: Tensor, block_size: int) -> np.ndarray:
    """Of the values at every two places, over blocks and pictures: (c p², c p²).

    A place that never changes correlates with none (0), itself included.
    """
    values = pictures_to_blocks(images, block_size).flatten(0, 1).double()  # (M N, c p²)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(np.corrcoef(values.T.cpu().numpy()))


def lookalikes(block_size: int) -> Tensor:
    """The 48 ways to mirror, turn and recolour a block: permutations, int64 (48, c p²)."""
    places = torch.arange(CHANNELS * block_size**2).view(CHANNELS, block_size, block_size)
    ways = product([places, places.flip(2)], range(4), permutations(range(CHANNELS)))
    return torch.stack([view[list(c)].rot90(turn, (1, 2)).flatten() for view, turn, c in ways])


def places_right(found: Key, key: Key) -> float:
    """The share of pixel places found, in whichever of the 48 lookalikes agrees best."""
    alike = lookalikes(key.block_size)[:, found.pixels]  # (48, c p²)
    return (alike == key.pixels).double().mean(dim=1).max().item()
