"""The pixel key from a published patch embedding next to the public one it came from.

Adapted to the key it is E' = E P⁻¹ D: each column is a public one, up to its sign. No picture is
needed. One that was trained is not E P⁻¹ D, and there the match is a guess.
"""

from dataclasses import dataclass

import scipy
import torch
from torch import Tensor


@dataclass(frozen=True)
class MatchedColumns:
    """A pixel key read off two patch embeddings: of each published place, (c p²,)."""

    pixels: Tensor  # the public column there, int64, as in ``Key.pixels``
    flips: Tensor  # whether it is negative there, bool
    likeness: Tensor  # the cosine of the two columns without its sign; 1 for an exact match
    lead: Tensor  # by how much that beats the most alike other column; near 0 or below: a guess


def match_columns(public: Tensor, published: Tensor) -> MatchedColumns:
    """Match columns of two patch embeddings so that the sum of likenesses is largest.

    Both are weights (dim, 3, p, p). Exact if the published one is
    ``adapt_patch_embedding(public, key)`` and no two public columns are equal up to a factor.
    """
    if public.shape != published.shape or public.ndim != 4:
        both = f"public of shape {tuple(public.shape)}, published {tuple(published.shape)}"
        raise ValueError(f"{both}: allowed: both (dim, 3, p, p)")
    a, b = (w.detach().cpu().double().flatten(1) for w in (public, published))  # (dim, c p²)
    a, b = (w / w.norm(dim=0).clamp(min=1e-30) for w in (a, b))
    cosine = a.T @ b  # (public place, published place)
    rows, columns = scipy.optimize.linear_sum_assignment(cosine.abs().numpy(), maximize=True)
    pixels = torch.empty(len(rows), dtype=torch.int64)
    pixels[torch.from_numpy(columns)] = torch.from_numpy(rows)
    places = torch.arange(len(rows))
    chosen = cosine[pixels, places]
    others = cosine.abs()
    others[pixels, places] = 0.0
    likeness = chosen.abs()
    return MatchedColumns(pixels, chosen < 0, likeness, likeness - others.max(dim=0).values)
