"""The pixel key from encrypted pictures alone, given enough of them.

Shuffling only moves the correlations between values of a block, a negative turns their sign, block
scrambling changes nothing. So they are those of other pictures, rows and columns permuted alike: a
quadratic assignment problem, solved with FAQ (Vogelstein et al. 2015, "Fast approximate quadratic
programming for graph matching"), up to blocks that are mirrored, turned or recoloured, which a
person sees through. (Other such attacks: Sirichotedumrong and Kiya 2020, arXiv 2010.06198.)
"""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import torch
from torch import Tensor

from lorakit.encryption.cipher import CHANNELS, Key, identity_key, pictures_to_blocks


def recover_pixels(
    encrypted: Tensor, public: Tensor, block_size: int, *, starts: int = 64, seed: int = 0
) -> Key:
    """The key of pixel shuffling and negatives that fits best; blocks stay where they are.

    Args:
        encrypted: uint8 (M, 3, H, H); with blocks of 8 x 8 some hundreds of 32 x 32 mostly do.
        public: other, plain pictures with about the same correlations, uint8 (L, 3, H', H').
        block_size: p in pixels, a divisor of H and H'.
        starts: random starts, the best fit of which is kept; more help more than more pictures.
        seed: of the starts.
    """
    from scipy.optimize import quadratic_assignment

    rng = np.random.default_rng(seed)
    known, secret = correlations(public, block_size), correlations(encrypted, block_size)
    options = {"maximize": True, "P0": "randomized", "rng": rng}
    tables = np.abs(known), np.abs(secret)
    found = (quadratic_assignment(*tables, options=options) for _ in range(starts))
    there = max(found, key=lambda result: result.fun).col_ind  # where each plain place went
    pixels = np.argsort(there)
    # where signs agree with the known ones, this is positive for two flips or none
    agreement = secret * known[pixels][:, pixels]
    flips = np.linalg.eigh(agreement)[1][:, -1] < 0
    pixels, flips = torch.from_numpy(pixels), torch.from_numpy(flips)
    none = identity_key(encrypted.shape[-1], block_size)
    return replace(none, pixels=pixels, flips=flips, steps=("shuffle", "negative"))


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
