"""Undo block scrambling from the encrypted pictures alone, as one solves a jigsaw puzzle.

One key scrambles all pictures alike, so how badly borders fit can be summed over pictures. (Chuman
and Kiya 2022, arXiv 2202.00806; with pixels shuffled too: arXiv 2211.02369. The measure of fit:
Gallagher 2012, "Jigsaw puzzles with pieces of unknown orientation", CVPR.)
"""

from dataclasses import replace

import torch
from torch import Tensor

from lorakit.checks import check_number
from lorakit.encryption.attacks.assembly import assemble
from lorakit.encryption.cipher import CHANNELS, Key, identity_key, pictures_to_blocks


def solve_jigsaw(encrypted: Tensor, block_size: int, *, starts: int = 16, seed: int = 0) -> Key:
    """The key of block scrambling that makes blocks fit best.

    Args:
        encrypted: pictures that one key scrambled and did nothing else, uint8 (M, 3, H, H).
        block_size: p in pixels, 2 or more, a divisor of H.
        starts, seed: see ``assemble``.
    """
    costs = border_costs(encrypted, block_size)
    return solve_costs(costs, encrypted.shape[-1], block_size, starts=starts, seed=seed)


def solve_costs(
    costs: Tensor, image_size: int, block_size: int, *, starts: int = 16, seed: int = 0
) -> Key:
    """``solve_jigsaw`` from border costs that are known already, (2, N, N)."""
    blocks = assemble(costs, starts=starts, seed=seed).argsort()
    return replace(identity_key(image_size, block_size), blocks=blocks, steps=("scramble",))


def neighbours_right(found: Key, key: Key) -> float:
    """The share of neighbouring places that show true neighbours, wherever they are."""
    n = key.image_size // key.block_size
    grid = key.blocks[found.blocks.argsort()].view(n, n)  # the plain block shown at each place
    across = (grid[:, 1:] == grid[:, :-1] + 1) & (grid[:, 1:] % n > 0)
    down = grid[1:] == grid[:-1] + n
    return torch.cat([across.flatten(), down.flatten()]).double().mean().item()


def border_costs(images: Tensor, block_size: int) -> Tensor:
    """How badly block b continues block a, to its right and below it: float64 (2, N, N).

    Mahalanobis gradient compatibility: the step across the border against the steps inside block a
    just before it, in units of their spread over border and colours; the same from b to a; summed
    over pictures. Arguments as for ``solve_jigsaw``.
    """
    check_number("block_size", block_size, least=2, whole=True)
    blocks = pictures_to_blocks(images, block_size).double()  # (M, N, c p²)
    blocks = blocks.unflatten(-1, (CHANNELS, block_size, block_size))
    costs = torch.zeros(2, blocks.shape[1], blocks.shape[1], dtype=torch.float64)
    for pieces in blocks:  # (N, 3, p, p), one picture at a time, to save memory
        for direction, x in enumerate((pieces, pieces.transpose(-1, -2))):  # right, below
            mirrored = x.flip(-1)
            costs[direction] += _misfit(x, mirrored) + _misfit(mirrored, x).T
    return costs


def _misfit(a: Tensor, b: Tensor) -> Tensor:
    """Right borders of a (N, 3, p, p) against right borders of mirrored b, all pairs: (N, N)."""
    last, before = a[..., -1].mT, a[..., -2].mT  # (N, p, 3)
    steps = last - before
    mean = steps.mean(dim=1)  # (N, 3)
    spread = steps - mean[:, None]
    # one grey level of noise in every colour, so that flat borders can be compared too
    covariance = spread.mT @ spread / (steps.shape[1] - 1) + torch.eye(CHANNELS).to(steps)
    across = b[..., -1].mT[None] - last[:, None] - mean[:, None, None]  # (N, N, p, 3)
    squares = torch.einsum("abpc,acd,abpd->ab", across, torch.linalg.inv(covariance), across)
    return squares.clamp(min=0).sqrt()
