"""Images with their labels: the one small form every data set comes in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lorakit.checks import check_fields, checked

MEAN = STD = 0.5  # equal in all channels, so that the cipher commutes with normalisation


@checked
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
        check_fields(self)
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
    """Named splits of one classification task; ``val`` is None if no image was left for it."""

    name: str
    classes: tuple[str, ...]
    train: Split
    val: Split | None
    test: Split

    __post_init__ = check_fields

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        return self.train.images.shape[-1]


def fingerprint(split: Split, transform: Callable[[Tensor], Tensor]) -> str:
    """A hash of images, labels and what becomes of an image: a checkpoint knows its data."""
    digest = hashlib.sha256()
    for tensor in (*split.images.split(1000), split.labels, transform(split.images[:1].cpu())):
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def generator_for(*words: int) -> torch.Generator:
    """A generator of its own for every (data set, seed, split)."""
    state = np.random.SeedSequence(words).generate_state(1, dtype=np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


def split_places(
    name: str, sizes: Sequence[int], seed: int, in_train: int, in_test: int | None
) -> list[Tensor]:
    """Which images each split takes; without test images apart, all from the same ones."""
    train, val, test = sizes
    own = train + val if in_test is not None else train + val + test
    if own > in_train:
        what = "train + val" if in_test is not None else "train + val + test"
        raise ValueError(f"{what} = {own}: {name!r} has {in_train} images; ask for fewer")
    if in_test is not None and test > in_test:
        raise ValueError(f"test={test}: {name!r} has {in_test} test images; ask for fewer")
    order = torch.randperm(in_train, generator=generator_for(sum(map(ord, name)), seed))
    places = list(order[:own].split([train, val] if in_test is not None else [train, val, test]))
    if in_test is not None:
        generator = generator_for(sum(map(ord, name)), seed, 1)
        places.append(torch.randperm(in_test, generator=generator)[:test])
    return places
