"""Images with their labels: the one small form every data set comes in."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lorakit.checks import check_fields, checked

MEAN = STD = 0.5  # equal in all channels, so that the cipher commutes with normalisation
Sizes = tuple[int, int, int]  # images in train, val and test


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
        shape, given = tuple(self.images.shape), tuple(self.labels.shape)
        if self.images.dtype != torch.uint8 or len(shape) != 4 or shape[1] != 3 or not shape[0]:
            found = f"{self.images.dtype} of shape {shape}"
            raise ValueError(f"images: {found}; allowed: uint8 (N, 3, H, W), N > 0")
        if self.labels.dtype != torch.int64 or given != shape[:1] or self.labels.min() < 0:
            found = f"{self.labels.dtype} of shape {given}"
            allowed = f"int64 ({shape[0]},), one for each image, 0 or more"
            raise ValueError(f"labels: {found}; allowed: {allowed}")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, places: Tensor) -> "Split":
        """Some of the images, with their labels."""
        return Split(self.images[places].contiguous(), self.labels[places])


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


def generator_for(name: str, *numbers: int) -> torch.Generator:
    """A generator of its own for every (data set, seed, split)."""
    state = np.random.SeedSequence((sum(map(ord, name)), *numbers))
    return torch.Generator().manual_seed(int(state.generate_state(1, np.uint64)[0] >> np.uint64(1)))


def split_at_random(
    name: str,
    classes: tuple[str, ...],
    sizes: Sizes,
    seed: int,
    train: Split,
    test: Split | None = None,
) -> Dataset:
    """A data set of these sizes from images for training and, where they are apart, for testing.

    In place of a Split, anything that has a length and ``take``s places, see ``public.Pictures``.
    """
    own, what = (sizes, "train + val + test") if test is None else (sizes[:2], "train + val")
    if sum(own) > len(train):
        raise ValueError(f"{what} = {sum(own)}: {name!r} has {len(train)} images; ask for fewer")
    if test is not None and sizes[2] > len(test):
        raise ValueError(f"test={sizes[2]}: {name!r} has {len(test)} test images; ask for fewer")
    order = torch.randperm(len(train), generator=generator_for(name, seed))
    places = order[: sum(own)].split(list(own))
    splits = [train.take(place) if len(place) else None for place in places]
    if test is not None:
        order = torch.randperm(len(test), generator=generator_for(name, seed, 1))
        splits.append(test.take(order[: sizes[2]]))
    return Dataset(name, classes, *splits)
