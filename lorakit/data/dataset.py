"""Images with their labels: the one small form every data set comes in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

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
    """Named splits of one classification task; images are normalised with mean = std = 0.5."""

    name: str
    classes: tuple[str, ...]
    train: Split
    val: Split
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
