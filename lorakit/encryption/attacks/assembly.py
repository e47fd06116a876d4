"""Put square blocks together on a square grid, given how well every two fit side by side."""

import math

import numpy as np
import torch
from torch import Tensor


def assemble(costs: Tensor, *, starts: int = 16, seed: int = 0) -> Tensor:
    """Put N = n x n blocks on a grid so that the summed cost of neighbours is small.

    Grows a picture from one block, the surest neighbour first (Gallagher 2012), then swaps blocks
    while that helps. The cheapest of all is a hard problem (Demaine and Demaine 2007).

    Args:
        costs: (2, N, N): of block b to the right of block a, and below it.
        starts: how many blocks to grow from, chosen by ``seed``; the cheapest picture is kept.

    Returns the block at each place in reading order, int64 (N,).
    """
    blocks = costs.shape[-1]
    n = math.isqrt(blocks)
    if tuple(costs.shape) != (2, blocks, blocks) or n * n != blocks:
        raise ValueError(f"costs of shape {tuple(costs.shape)}: allowed: (2, N, N), N a square")
    right, below = costs.double().cpu().numpy()
    order = torch.randperm(blocks, generator=torch.Generator().manual_seed(seed))[:starts]
    tried = [_improve(_grow(right, below, n, int(first)), right, below) for first in order]
    return torch.from_numpy(min(tried, key=lambda grid: _total(grid, right, below)).flatten())


def _total(grid: np.ndarray, right: np.ndarray, below: np.ndarray) -> float:
    return right[grid[:, :-1], grid[:, 1:]].sum() + below[grid[:-1], grid[1:]].sum()


def _grow(right: np.ndarray, below: np.ndarray, n: int, first: int) -> np.ndarray:
    """Grow from a block: next comes the place whose best block beats its second best the most.

    The first block's place on the grid is not known, so growth is on a board of (2n - 1)².
    """
    board = np.full((2 * n - 1, 2 * n - 1), -1)
    fits: dict[tuple[int, int], list[np.ndarray]] = {}  # free places beside blocks: costs there
    free = np.zeros(len(right))
    y, x, block = n - 1, n - 1, first
    while True:
        board[y, x], free[block] = block, np.inf
        fits.pop((y, x), None)
        rows, columns = (np.flatnonzero((board >= 0).any(axis=axis)) for axis in (1, 0))
        if (board >= 0).sum() == len(right):
            return board[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        beside = {
            (y, x + 1): right[block],
            (y, x - 1): right[:, block],
            (y + 1, x): below[block],
            (y - 1, x): below[:, block],
        }
        for place, line in beside.items():
            if max(place) < 2 * n - 1 and min(place) >= 0 and board[place] < 0:
                fits.setdefault(place, []).append(line)
        fits = {
            (y, x): lines
            for (y, x), lines in fits.items()
            if max(rows[-1], y) - min(rows[0], y) < n
            and max(columns[-1], x) - min(columns[0], x) < n
        }
        surest = np.inf
        for place, lines in fits.items():
            mean = sum(lines) / len(lines) + free
            best, second = np.partition(mean, 1)[:2]
            ratio = (best + 1e-9) / (second + 1e-9) if np.isfinite(second) else 0.0
            if ratio < surest:
                surest, (y, x), block = ratio, place, int(mean.argmin())


def _improve(grid: np.ndarray, right: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Swap two blocks as long as that makes the picture cheaper."""
    best, n = _total(grid, right, below), grid.size
    first, second = np.triu_indices(n, 1)
    while True:
        beside = np.zeros((*grid.shape, n))  # what each block would cost at each place
        beside[:, 1:] += right[grid[:, :-1]]
        beside[:, :-1] += right.T[grid[:, 1:]]
        beside[1:] += below[grid[:-1]]
        beside[:-1] += below.T[grid[1:]]
        there = beside.reshape(n, n)[:, grid.flatten()]  # (i, j): the block of j at place i
        now = there.diagonal()
        change = there + there.T - now[:, None] - now  # exact unless i and j are neighbours
        for pair in change[first, second].argsort()[: 4 * n]:
            other = grid.flatten()
            swap = [first[pair], second[pair]]
            other[swap] = other[swap[::-1]]
            other = other.reshape(grid.shape)
            cost = _total(other, right, below)
            if cost < best - 1e-9 * abs(best):
                grid, best = other, cost
                break
        else:
            return grid
