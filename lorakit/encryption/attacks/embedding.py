"""The pixel key from a published patch embedding next to the public one it came from.

Adapted to the key it is E' = E P⁻¹ D: each column is a public one, up to its sign. No picture is
needed. One that was trained is not E P⁻¹ D, and there the match is a guess.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class MatchedColumns:
    """A pixel key read off two patch embeddings.

    Attributes:
        pixels: the public column at each published place, int64 (c p²,), as in ``Key.pixels``.
        flips: whether it is negative there, bool (c p²,).
    """

    pixels: Tensor
    flips: Tensor


def match_columns(public: Tensor, published: Tensor) -> MatchedColumns:
    """Match columns of two patch embeddings so that the sum of likenesses is largest.

    Both are weights (dim, 3, p, p). Exact if the published one is
    ``adapt_patch_embedding(public, key)`` and no two public columns are equal up to a factor.
    """
    from scipy.optimize import linear_sum_assignment

    if public.shape != published.shape or public.ndim != 4:
        both = f"public of shape {tuple(public.shape)}, published {tuple(published.shape)}"
        raise ValueError(f"{both}: allowed: both (dim, 3, p, p)")
    a, b = (w.detach().cpu().double().flatten(1) for w in (public, published))  # (dim, c p²)
    a, b = (w / w.norm(dim=0).clamp(min=1e-30) for w in (a, b))
    cosine = a.T @ b  # (public place, published place)
    rows, columns = linear_sum_assignment(cosine.abs().numpy(), maximize=True)
    pixels = torch.empty(len(rows), dtype=torch.int64)
    pixels[torch.from_numpy(columns)] = torch.from_numpy(rows)
    return MatchedColumns(pixels, cosine[pixels, torch.arange(len(rows))] < 0)
