"""Draw characters as small colour photographs, many at a time, in the fonts inside matplotlib.

Each character is rendered once per font into an atlas; a batch is one affine resampling of it.
"""

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Look:
    """How rough the pictures are; lengths in half-widths of an atlas cell, colours in [0, 1]."""

    angle: float = 0.22  # at most, radians
    shear: float = 0.25  # at most
    zoom: tuple[float, float] = (0.75, 1.15)  # above 1 is smaller
    shift: float = 0.14  # at most
    gap: tuple[float, float] = (1.1, 1.4)  # distance to the neighbours
    ink: tuple[float, float] = (0.6, 1.0)  # brightness of the ink; the ground is 0 to 0.55
    noise: float = 0.12  # largest standard deviation


CLEAN = Look()
ROUGH = Look(0.3, 0.35, (0.7, 1.3), 0.2, (0.8, 1.1), (0.5, 1.0), 0.16)


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
    characters: str, labels: Tensor, generator: torch.Generator, look: Look, size: int = 32
) -> Tensor:
    """Draw one image per label: uint8 (N, 3, size, size).

    Each image shows ``characters[label]`` in a random font, slanted and shifted, between two
    random neighbours that reach into the picture, over a coloured gradient, with noise: the
    look of a cropped house number (compare SVHN, Netzer et al. 2011).
    """
    chunks = [_draw_chunk(characters, c, generator, look, size) for c in labels.split(_CHUNK)]
    return torch.cat(chunks)


def _draw_chunk(
    characters: str, labels: Tensor, generator: torch.Generator, look: Look, size: int
) -> Tensor:
    n = len(labels)
    cells = atlas(characters)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(n, *shape, generator=generator)

    font = torch.randint(len(_FONTS), (n,), generator=generator)
    others = torch.randint(len(characters), (2, n), generator=generator)
    angle, shear = uniform(-look.angle, look.angle), uniform(-look.shear, look.shear)
    zoom_x, zoom_y = uniform(*look.zoom), uniform(look.zoom[0], look.zoom[1] - 0.05)
    shift_x, shift_y = uniform(-look.shift, look.shift), uniform(-look.shift, look.shift)
    distance = uniform(*look.gap)

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

    # two colours for the ground and one for the ink; half of the pictures are then inverted
    dark = torch.rand(n, 1, 1, 1, generator=generator) < 0.5
    ground = uniform(0.0, 0.55, 2, 3, 1, 1)
    colour = uniform(*look.ink, 3, 1, 1)
    direction = uniform(0.0, 6.2832)
    ramp = torch.linspace(-0.5, 0.5, size)
    slope = direction.cos()[:, None, None] * ramp + direction.sin()[:, None, None] * ramp[:, None]
    slope = (slope + 0.5).clamp(0, 1)[:, None]  # (n, 1, size, size)
    image = ground[:, 0] * (1 - slope) + ground[:, 1] * slope
    image = image * (1 - ink) + colour * ink
    image = torch.where(dark, 1 - image, image)
    noise = torch.randn(image.shape, generator=generator)
    image = image + uniform(0.0, look.noise, 1, 1, 1) * noise
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)
