"""Data sets that need no download, in one small form.

``street``   synthetic street-number digits, any number of images;
``digits``   the 1,797 real handwritten digits inside scikit-learn (Alpaydin and Kaynak 1998);
``letters``  96 letters of three alphabets and no digit: the public pre-training set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from lorakit.glyphs import CLEAN, DIGITS, LETTERS, ROUGH, draw

MEAN = STD = 0.5  # equal in all channels, so that the cipher commutes with normalisation


def normalise(images: Tensor) -> Tensor:
    """uint8 images in [0, 255] to float in [-1, 1]: (x / 255 - 0.5) / 0.5; others: TypeError.

    >>> normalise(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([-1.,  1.])
    """
    if images.dtype != torch.uint8:
        raise TypeError(f"images of dtype {images.dtype}: allowed: uint8, not normalised yet")
    return (images.float() / 255 - MEAN) / STD


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, 3, H, W) with their labels int64 (N,); anything else is a ValueError."""

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        shape = tuple(self.images.shape)
        if self.images.dtype != torch.uint8 or len(shape) != 4 or shape[1] != 3 or not shape[0]:
            raise ValueError(
                f"images: {self.images.dtype} of shape {shape}; allowed: uint8 (N, 3, H, W), N > 0"
            )
        if self.labels.dtype != torch.int64 or tuple(self.labels.shape) != shape[:1]:
            raise ValueError(
                f"labels: {self.labels.dtype} of shape {tuple(self.labels.shape)}; "
                f"allowed: int64 ({shape[0]},), one for each image"
            )

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """Named splits of one classification task; images are normalised with mean = std = 0.5."""

    name: str
    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        return self.train.images.shape[-1]


def load(
    name: str,
    *,
    train: int | None = None,
    val: int | None = None,
    test: int | None = None,
    seed: int = 0,
    image_size: int = 32,
) -> Dataset:
    """Load a data set by name; the result is cached in memory.

    Args:
        name: one of ``DATASETS``.
        train, val, test: number of images in each split. None means the default:
            4,000 / 1,000 / 3,000 for drawn data sets, 1,097 / 200 / 500 for ``digits``.
        seed: which images are drawn, or how real images are split.
        image_size: height and width in pixels.

    Raises:
        ValueError: unknown name, a size or seed out of range, or more images than there are.
    """
    if name not in DATASETS:
        raise ValueError(f"name={name!r}: unknown data set; allowed: {sorted(DATASETS)}")
    loader, defaults = DATASETS[name]
    sizes = tuple(default if n is None else n for n, default in zip((train, val, test), defaults))
    for argument, n in zip(("train", "val", "test"), sizes):
        if n < 1:
            raise ValueError(f"{argument}={n}: a split needs at least 1 image")
    if seed < 0:
        raise ValueError(f"seed={seed}: allowed: 0 or more")
    if image_size < 8:
        raise ValueError(f"image_size={image_size}: allowed: 8 pixels or more")
    return loader(name, sizes, seed, image_size)


def _generator(*words: int) -> torch.Generator:
    """A generator of its own for every (data set, seed, split)."""
    import numpy as np

    state = np.random.SeedSequence(words).generate_state(1, dtype=np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


@lru_cache(maxsize=4)
def _drawn(name: str, sizes: tuple[int, int, int], seed: int, image_size: int) -> Dataset:
    characters, look = (DIGITS, ROUGH) if name == "street" else (LETTERS, CLEAN)
    splits = []
    for index, n in enumerate(sizes):
        generator = _generator(sum(map(ord, name)), seed, index)
        labels = torch.randint(len(characters), (n,), generator=generator)
        splits.append(Split(draw(characters, labels, generator, look, image_size), labels))
    return Dataset(name, tuple(characters), *splits)


@lru_cache(maxsize=4)
def _digits(name: str, sizes: tuple[int, int, int], seed: int, image_size: int) -> Dataset:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    if sum(sizes) > len(labels):
        raise ValueError(
            f"train + val + test = {sum(sizes)}: {name!r} has {len(labels)} images; ask for fewer"
        )
    images = torch.from_numpy(pixels).float().view(-1, 1, 8, 8) / 16
    images = F.interpolate(images, size=(image_size, image_size), mode="bilinear")
    images = (images.clamp(0, 1) * 255).round().to(torch.uint8).repeat(1, 3, 1, 1)
    order = torch.randperm(len(labels), generator=_generator(sum(map(ord, name)), seed))
    parts = order[: sum(sizes)].split(list(sizes))
    targets = torch.from_numpy(labels).long()
    return Dataset(name, tuple(DIGITS), *(Split(images[p], targets[p]) for p in parts))


_Loader = Callable[[str, tuple[int, int, int], int, int], Dataset]
DATASETS: dict[str, tuple[_Loader, tuple[int, int, int]]] = {
    "street": (_drawn, (4000, 1000, 3000)),
    "digits": (_digits, (1097, 200, 500)),
    "letters": (_drawn, (50_000, 1000, 5000)),
}
