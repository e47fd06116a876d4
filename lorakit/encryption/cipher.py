"""Perceptual image encryption (Kiya and others): a keyed permutation of pixels, block by block.

``scramble``  permute the blocks of p x p pixels;
``shuffle``   permute the c p² values inside a block, channels mixed, the same in every block;
``negative``  flip some of those values to their negative, the same ones in every block.

Each step is optional; one gather does all. It is not secure: see ``lorakit.encryption.attacks``.
"""

import math
import random
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lorakit.checks import check_choice, check_fields, check_number, checked

STEPS = ("scramble", "shuffle", "negative")
CHANNELS = 3


@dataclass(frozen=True, repr=False, eq=False)
class Key:
    """A secret key. Its text form shows sizes only, never the permutations.

    Attributes:
        image_size: height and width of the images, in pixels.
        block_size: height and width p of a block, in pixels.
        blocks: permutation of the N blocks, int64 (N,): place i shows block ``blocks[i]``.
        pixels: permutation inside a block, int64 (c p²,), likewise.
        flips: which places of a block are negative, bool (c p²,).
    """

    image_size: int
    block_size: int
    blocks: Tensor
    pixels: Tensor
    flips: Tensor
    steps: tuple[str, ...] = STEPS

    def __post_init__(self) -> None:
        check_fields(self)
        check_block_size(self.block_size, self.image_size)
        sizes = (self.image_size // self.block_size) ** 2, *[CHANNELS * self.block_size**2] * 2
        for name, size in zip(("blocks", "pixels", "flips"), sizes):
            if (shape := tuple(getattr(self, name).shape)) != (size,):
                raise ValueError(f"{name} of shape {shape}: allowed: ({size},)")

    def __repr__(self) -> str:
        sizes = f"image_size={self.image_size}, block_size={self.block_size}"
        return f"Key({sizes}, steps={self.steps}, secret hidden)"


@checked
def make_key(
    image_size: int,
    block_size: int,
    steps: Iterable[str] = STEPS,
    *,
    seed: int | None = None,
    fixed_blocks: int | None = None,
    fixed_pixels: int | None = None,
) -> Key:
    """Draw a key.

    Args:
        image_size: height and width in pixels.
        block_size: p, which must divide ``image_size``; use the ViT's patch size.
        steps: any of ``STEPS``; a step left out is the identity.
        seed: None draws from the operating system's cryptographic generator. A whole number gives
            the same key every time: for teaching only, never to protect pictures.
        fixed_blocks, fixed_pixels: exactly this many places keep their block or value (Horio et
            al. 2024, arXiv 2408.08529). None means any permutation, all equally likely.
    """
    steps = (steps,) if isinstance(steps, str) else tuple(steps)
    for step in steps:
        check_choice("steps", step, STEPS)
    check_block_size(block_size, image_size)
    check_number("seed", seed, least=0, whole=True, none=True)
    if fixed_blocks is not None and "scramble" not in steps:
        raise ValueError(f"fixed_blocks={fixed_blocks}: allowed only with the step 'scramble'")
    if fixed_pixels is not None and "shuffle" not in steps:
        raise ValueError(f"fixed_pixels={fixed_pixels}: allowed only with the step 'shuffle'")
    rng = secrets.SystemRandom() if seed is None else random.Random(int(seed))
    n, values = (image_size // block_size) ** 2, CHANNELS * block_size**2
    # all three are always drawn, so that adding a step leaves the others as they were
    drawn = {
        "blocks": _permutation(n, fixed_blocks, rng, "fixed_blocks"),
        "pixels": _permutation(values, fixed_pixels, rng, "fixed_pixels"),
        "flips": torch.tensor([rng.random() < 0.5 for _ in range(values)]),
    }
    secret = {part: drawn[part] for step, part in zip(STEPS, drawn) if step in steps}
    steps = tuple(step for step in STEPS if step in steps)
    return replace(identity_key(image_size, block_size), **secret, steps=steps)


def identity_key(image_size: int, block_size: int) -> Key:
    """The key that changes nothing."""
    blocks = torch.arange((image_size // block_size) ** 2)
    pixels = torch.arange(CHANNELS * block_size**2)
    return Key(image_size, block_size, blocks, pixels, torch.zeros_like(pixels).bool(), ())


@checked
def encrypt(images: Tensor, key: Key) -> Tensor:
    """Encrypt a batch, into a new tensor of the same shape, dtype and device.

    Args:
        images: (..., 3, H, W), uint8 in [0, 255], or any float dtype normalised to [-1, 1] with
            mean = std = 0.5 in every channel; the negative of x is 255 - x or -x.
        key: a key for images of this size.
    """
    source, flips = _places(key, images)
    return _negate(images.flatten(-3)[..., source], flips).view_as(images)


@checked
def decrypt(images: Tensor, key: Key) -> Tensor:
    """Undo ``encrypt`` with the same key, exactly. Arguments and errors as there."""
    source, flips = _places(key, images)
    back = source.argsort()  # sorting a permutation inverts it: where each plain value went
    return _negate(images.flatten(-3), flips)[..., back].view_as(images)


@checked
def key_bits(image_size: int, block_size: int, steps: Iterable[str] = STEPS) -> dict[str, float]:
    """Bits of the key space, step by step: log2 N!, log2 (c p²)! and c p². They prove nothing.

    >>> {step: round(bits) for step, bits in key_bits(32, 8).items()}
    {'scramble': 44, 'shuffle': 1184, 'negative': 192}
    """
    key = make_key(image_size, block_size, steps, seed=0)  # checks the arguments
    scramble, shuffle = (math.lgamma(len(x) + 1) / math.log(2) for x in (key.blocks, key.pixels))
    bits = dict(zip(STEPS, (scramble, shuffle, float(len(key.flips)))))
    return {step: bits[step] for step in key.steps}


def to_blocks(images: Tensor, block_size: int) -> Tensor:
    """(..., c, H, W) to (..., N, c p²): blocks in reading order, values channel by channel."""
    *batch, c, h, w = images.shape
    p = block_size
    x = images.reshape(*batch, c, h // p, p, w // p, p)  # (..., c, rows, p, columns, p)
    x = x.movedim((-4, -2), (-5, -4))  # (..., rows, columns, c, p, p)
    return x.reshape(*batch, (h // p) * (w // p), c * p * p)


def from_blocks(blocks: Tensor, block_size: int, image_size: int) -> Tensor:
    """(..., N, c p²) back to (..., c, H, W)."""
    *batch, _, values = blocks.shape
    p, rows = block_size, image_size // block_size
    x = blocks.reshape(*batch, rows, rows, values // p**2, p, p)  # (..., rows, columns, c, p, p)
    x = x.movedim((-5, -4), (-4, -2))  # (..., c, rows, p, columns, p)
    return x.reshape(*batch, values // p**2, image_size, image_size)


def pictures_to_blocks(pictures: Tensor, block_size: int) -> Tensor:
    """``to_blocks`` of square colour pictures (M, 3, H, H) or one (3, H, H), checked."""
    shape = tuple(pictures.shape)
    if len(shape) not in (3, 4) or shape[-3] != CHANNELS or shape[-1] != shape[-2] or 0 in shape:
        raise ValueError(f"pictures of shape {shape}: allowed: (M, 3, H, H) or (3, H, H)")
    check_block_size(block_size, shape[-1])
    return to_blocks(pictures.reshape(-1, *shape[-3:]), block_size)


def check_block_size(block_size: int, image_size: int) -> None:
    """Raise ValueError unless p divides the image."""
    check_number("image_size", image_size, least=1, most=4096, whole=True)
    check_number("block_size", block_size, least=1, whole=True)
    if image_size % block_size:
        raise ValueError(f"block_size={block_size}: allowed: a divisor of image_size={image_size}")


def _permutation(n: int, fixed: int | None, rng: random.Random, argument: str) -> Tensor:
    if fixed is None:
        return torch.tensor(rng.sample(range(n), n))
    check_number(argument, fixed, least=0, most=n, whole=True)
    if fixed == n - 1:
        raise ValueError(f"{argument}={fixed}: allowed: 0 to {n}, but not {n - 1}")
    moving = rng.sample(range(n), n - fixed)
    shuffled = moving
    while any(a == b for a, b in zip(moving, shuffled)):  # e = 2.7 tries on average
        shuffled = rng.sample(moving, len(moving))
    permutation = torch.arange(n)
    permutation[moving] = torch.tensor(shuffled, dtype=torch.int64)
    return permutation


def _places(key: Key, images: Tensor) -> tuple[Tensor, Tensor]:
    """Where each value of the encrypted image comes from, and which are negative: (c H W,)."""
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise TypeError(f"images of type {images.dtype}: allowed: uint8 or a float dtype")
    shape = (CHANNELS, key.image_size, key.image_size)
    if images.shape[-3:] != shape:
        raise ValueError(f"images of shape {tuple(images.shape)}: this key takes (..., {shape})")
    device, p = images.device, key.block_size
    # encrypt the numbers 0, 1, 2, ... instead of values: they say where each value comes from
    numbers = torch.arange(math.prod(shape), device=device).view(shape)
    source = to_blocks(numbers, p)[key.blocks.to(device)][:, key.pixels.to(device)]  # (N, c p²)
    flips = key.flips.to(device).expand_as(source)
    return tuple(from_blocks(x, p, key.image_size).flatten() for x in (source, flips))


def _negate(values: Tensor, flips: Tensor) -> Tensor:
    negative = 255 - values if values.dtype == torch.uint8 else -values
    return torch.where(flips, negative, values)
