"""Draw characters as small colour photographs, many at a time, with no download.

The fonts are the ones that ship inside matplotlib. Each character is rendered once per
font into an atlas; a batch of images is then one affine resampling of that atlas.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

DIGITS = "0123456789"
# Distinct shapes from Latin, Greek and Cyrillic, and no digit among them.
LETTERS = (
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + "abdefghijmnqrty" + "ΓΔΘΛΞΠΣΦΨΩ" + "αβγδεζηθλμξπσφψω"
    "БЖИЦЧШЩЪЫЭЮЯДЙ" + "ÆŒÞßæœØŁĦŊЄЉЊЂЋ"
)
_FONTS = (
    "DejaVuSans DejaVuSans-Bold DejaVuSans-Oblique DejaVuSansMono DejaVuSansMono-Bold "
    "DejaVuSerif DejaVuSerif-Bold DejaVuSerif-Italic "
    "STIXGeneral STIXGeneralBol STIXGeneralItalic STIXGeneralBolIta"
).split()
_CELL = 48  # pixels per side of an atlas cell
_CHUNK = 4096  # images drawn at a time, so that memory stays small


@lru_cache(maxsize=4)
def atlas(characters: str) -> Tensor:
    """Every character in every font: float (characters, fonts, 48, 48), ink is 1."""
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    cells = np.zeros((len(characters), len(_FONTS), _CELL, _CELL), dtype=np.uint8)
    for column, name in enumerate(_FONTS):
        font = ImageFont.truetype(str(Path(get_data_path(), f"fonts/ttf/{name}.ttf")), 36)
        for row, character in enumerate(characters):
            cell = Image.new("L", (_CELL, _CELL))
            centre = (_CELL / 2, _CELL / 2)
            ImageDraw.Draw(cell).text(centre, character, fill=255, font=font, anchor="mm")
            cells[row, column] = np.asarray(cell)
    return torch.from_numpy(cells).float() / 255


def draw(
    characters: str,
    labels: Tensor,
    generator: torch.Generator,
    size: int = 32,
    gap: tuple[float, float] = (0.85, 1.15),
) -> Tensor:
    """Draw one image per label: uint8 (N, 3, size, size).

    Each image shows ``characters[label]`` in a random font, slanted and shifted, between two
    random neighbours that reach into the picture, over a coloured gradient, with noise: the
    look of a cropped house number (compare SVHN, Netzer et al. 2011). ``gap`` bounds the
    distance to the neighbours, in half-widths of an atlas cell.
    """
    chunks = [_draw_chunk(characters, c, generator, size, gap) for c in labels.split(_CHUNK)]
    return torch.cat(chunks)


def _draw_chunk(
    characters: str,
    labels: Tensor,
    generator: torch.Generator,
    size: int,
    gap: tuple[float, float],
) -> Tensor:
    n = len(labels)
    cells = atlas(characters)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(n, *shape, generator=generator)

    font = torch.randint(len(_FONTS), (n,), generator=generator)
    others = torch.randint(len(characters), (2, n), generator=generator)
    angle, shear = uniform(-0.22, 0.22), uniform(-0.25, 0.25)
    zoom_x, zoom_y = uniform(0.75, 1.15), uniform(0.75, 1.1)
    shift_x, shift_y = uniform(-0.14, 0.14), uniform(-0.14, 0.14)
    distance = uniform(*gap)

    # theta maps output coordinates to atlas coordinates, both in [-1, 1]
    cos, sin = angle.cos(), angle.sin()
    linear = torch.stack([cos, sin + shear, -sin, cos], dim=1).view(n, 2, 2)
    linear = linear * torch.stack([zoom_x, zoom_y], dim=1)[:, :, None]
    ink = torch.zeros(n, 1, size, size)
    for glyph, side in ((labels, 0), (others[0], -1), (others[1], 1)):
        shift = torch.stack([shift_x - side * distance, shift_y], dim=1)
        theta = torch.cat([linear, shift[:, :, None]], dim=2)  # (n, 2, 3)
        grid = F.affine_grid(theta, [n, 1, size, size], align_corners=False)
        cell = cells[glyph, font][:, None]  # (n, 1, 48, 48)
        ink = torch.maximum(ink, F.grid_sample(cell, grid, align_corners=False))

    # two colours for the ground, one for the ink, lighter or darker than both
    dark = torch.rand(n, 1, 1, 1, generator=generator) < 0.5
    ground = uniform(0.0, 0.55, 2, 3, 1, 1)
    colour = uniform(0.6, 1.0, 3, 1, 1)
    direction = uniform(0.0, 6.2832)
    ramp = torch.linspace(-0.5, 0.5, size)
    slope = direction.cos()[:, None, None] * ramp + direction.sin()[:, None, None] * ramp[:, None]
    slope = (slope + 0.5).clamp(0, 1)[:, None]  # (n, 1, size, size)
    image = ground[:, 0] * (1 - slope) + ground[:, 1] * slope
    image = image * (1 - ink) + colour * ink
    image = torch.where(dark, 1 - image, image)
    noise = torch.randn(image.shape, generator=generator)
    image = image + uniform(0.0, 0.12, 1, 1, 1) * noise
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)
