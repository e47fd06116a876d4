"""Random pictures with nothing real in them, to pre-train on at no cost in privacy; no classes.

``letters``   characters on coloured ground, see ``street``;
``bodies``    shapes put together from rounded bars, many of them mirrored, with a texture;
``fractals``  attractors of random affine maps (Kataoka et al. 2020, arXiv 2101.08515);
``textures``  random fields with a random spectrum (random processes: Baradad et al. 2021, arXiv
              2106.05963; Tang et al. 2023, arXiv 2306.06076, for privacy).
"""

import math

import torch
from torch import Tensor

from lorakit.data.street import CLEAN, LETTERS, draw

SOURCES = ("letters", "bodies", "fractals", "textures")
_CHUNK = 2048  # pictures drawn at a time, so that memory stays small
_BARS = 6  # at most, in a body
_MAPS = 4  # of a fractal
_POINTS, _STEPS, _SKIPPED = 160, 24, 8  # of the chaos game; the first steps are not on the fractal


def draw_pictures(source: str, n: int, generator: torch.Generator, size: int = 32) -> Tensor:
    """Draw n pictures of one of ``SOURCES``: uint8 (n, 3, size, size)."""
    sizes = [min(_CHUNK, n - start) for start in range(0, n, _CHUNK)]
    return torch.cat([_draw_chunk(source, k, generator, size) for k in sizes])


def _draw_chunk(source: str, n: int, g: torch.Generator, size: int) -> Tensor:
    if source == "letters":
        return draw(LETTERS, torch.randint(len(LETTERS), (n,), generator=g), g, CLEAN, size)
    whole = torch.ones(n, size, size)
    if source == "textures":
        return _paint(whole, textures(n, g, size), g)
    if source == "fractals":
        return _paint(fractals(n, g, size), whole, g)
    distance = bodies(n, g, size)
    inside = torch.sigmoid(-0.875 * size * distance)  # an edge about one pixel wide
    shade = 1 + _uniform(g, -0.5, 0.5, n, 1, 1) * (-distance).clamp(0, 0.3) / 0.3
    plain = _uniform(g, 0, 1, n, 1, 1) < 0.3
    fill = torch.where(plain, whole, textures(n, g, size)) * shade
    return _paint(inside, fill.clamp(0, 1), g)


def textures(n: int, g: torch.Generator, size: int) -> Tensor:
    """Gaussian random fields, (n, size, size) in [0, 1].

    White noise is filtered to a band of frequencies around one length and one direction, then
    bent: smooth, cut in two, drawn as lines, or as spots.
    """
    length = 0.5 + 9 * _uniform(g, 0, 1, n, 1, 1) ** 1.5  # waves across the picture
    width, spread = _uniform(g, 0.4, 3, n, 1, 1), _uniform(g, 0.1, 1.6, n, 1, 1)
    direction = _uniform(g, 0, math.pi, n, 1, 1)
    frequency = torch.fft.fftfreq(size, 1 / size)
    fy, fx = frequency[:, None], frequency[None, :]
    radius, angle = (fx**2 + fy**2).sqrt(), torch.atan2(fy, fx)
    turn = (angle - direction + math.pi / 2) % math.pi - math.pi / 2
    band = torch.exp(-(((radius - length) / width) ** 2 + (turn / spread) ** 2) / 2)
    noise = torch.randn(n, size, size, dtype=torch.complex64, generator=g)
    field = torch.fft.ifft2(noise * band).real
    field = field - field.mean((1, 2), keepdim=True)
    field = field / field.std((1, 2), keepdim=True).clamp_min(1e-6)
    smooth, cut = torch.sigmoid(1.2 * field), (field > 0).float()
    lines, spots = torch.exp(-3 * field**2), 0.1 + 0.8 * (field > 1)
    looks = torch.stack([smooth, cut, lines, spots])  # (4, n, size, size)
    return looks[torch.randint(4, (n,), generator=g), torch.arange(n)]


def bodies(n: int, g: torch.Generator, size: int) -> Tensor:
    """Signed distance to the outline, (n, size, size), negative inside; the picture is 2 wide.

    A bar is all points within a radius of a segment; a body is a union of two to six, less a few
    that are cut out. Six in ten are mirrored at the vertical axis.
    """
    a = _uniform(g, -0.75, 0.75, n, _BARS, 2)  # one end of each segment
    b = (a + _uniform(g, -0.9, 0.9, n, _BARS, 2)).clamp(-0.85, 0.85)  # the other
    radius = _uniform(g, 0.06, 0.34, n, _BARS)
    there = torch.arange(_BARS) < torch.randint(2, _BARS + 1, (n, 1), generator=g)
    hole = (_uniform(g, 0, 1, n, _BARS) < 0.2) & (torch.arange(_BARS) > 0)
    mirrored = _uniform(g, 0, 1, n, 1) < 0.6
    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    x = torch.where(mirrored, x.abs().view(1, -1), x.reshape(1, -1))  # (n, pixels)
    point = torch.stack([x, y.reshape(1, -1).expand_as(x)], dim=-1)
    filled = removed = torch.full_like(x, 9.0)
    for i in range(_BARS):
        along, to = (b - a)[:, i, None], point - a[:, i, None]
        t = (to * along).sum(-1) / (along**2).sum(-1).clamp_min(1e-4)  # the nearest point is at t
        distance = (to - t.clamp(0, 1)[..., None] * along).norm(dim=-1) - radius[:, i, None]
        here, cut = there[:, i, None], hole[:, i, None]
        filled = torch.where(here & ~cut, torch.minimum(filled, distance), filled)
        removed = torch.where(here & cut, torch.minimum(removed, distance), removed)
    return torch.maximum(filled, -removed).view(n, size, size)


def fractals(n: int, g: torch.Generator, size: int) -> Tensor:
    """How often the chaos game visits each pixel, (n, size, size) in [0, 1].

    The game: from where you are, apply one of four contractions, chosen at random; again.
    """
    linear = _rotations(n, g) @ torch.diag_embed(_uniform(g, 0.2, 0.85, n, _MAPS, 2))
    linear = linear @ _rotations(n, g)  # (n, maps, 2, 2)
    shift = _uniform(g, -1, 1, n, _MAPS, 2)
    weight = torch.linalg.det(linear).abs().clamp_min(0.05)  # larger parts are visited more often
    rows, x, seen = torch.arange(n)[:, None], torch.zeros(n, _POINTS, 2), []
    for step in range(_STEPS):
        chosen = torch.multinomial(weight, _POINTS, replacement=True, generator=g)
        x = (linear[rows, chosen] @ x[..., None])[..., 0] + shift[rows, chosen]
        if step >= _SKIPPED:
            seen.append(x)
    x = torch.cat(seen, dim=1)
    low, high = x.amin(1, keepdim=True), x.amax(1, keepdim=True)
    pixel = ((x - low) / (high - low).clamp_min(1e-3) * (size - 5) + 2).long()
    index = pixel[..., 1] * size + pixel[..., 0]
    visits = torch.zeros(n, size * size).scatter_add_(1, index, torch.ones(index.shape))
    return (visits / 2).clamp(0, 1).view(n, size, size)


def _paint(inside: Tensor, fill: Tensor, g: torch.Generator) -> Tensor:
    """Colours for ink and ground, most of them grey, a quarter inverted; noise; uint8."""
    n = len(inside)
    grey = _uniform(g, 0, 1, n, 1, 1, 1) < 0.6
    black = _uniform(g, 0, 1, n, 1, 1, 1) < 0.6
    dark, light = _uniform(g, 0.1, 0.7, n, 3, 1, 1), _uniform(g, 0.5, 1, n, 3, 1, 1)
    ground = torch.where(black, torch.zeros(()), _uniform(g, 0, 0.5, n, 3, 1, 1))
    dark, light, ground = (torch.where(grey, c[:, :1], c) for c in (dark, light, ground))
    inside, fill = inside[:, None], fill[:, None]
    image = ground * (1 - inside) + (dark + (light - dark) * fill) * inside
    image = torch.where(_uniform(g, 0, 1, n, 1, 1, 1) < 0.25, 1 - image, image)
    noise = torch.randn(image.shape, generator=g)
    image = image + _uniform(g, 0, 0.06, n, 1, 1, 1) * noise
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)


def _rotations(n: int, g: torch.Generator) -> Tensor:
    """Random rotations of the plane, (n, maps, 2, 2)."""
    angle = _uniform(g, 0, 2 * math.pi, n, _MAPS)
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos, -sin, sin, cos], dim=-1).view(n, _MAPS, 2, 2)


def _uniform(g: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(*shape, generator=g)
