"""Fashion-MNIST: 70,000 grey photographs of clothes (Xiao, Rasul and Vollgraf 2017).

A balanced part ships (arXiv 1708.07747, licence MIT, see ``files/``), made by ``python -m
lorakit.data.fashion`` from the whole, which is read from ``$LORAKIT_DATA``, from Debian's package
``dataset-fashion-mnist``, or downloaded through torchvision, whichever is there first.
"""

import gzip
import hashlib
import math
import zlib
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lorakit.data.dataset import Dataset, Sizes, Split, split_at_random

CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat")
CLASSES += ("sandal", "shirt", "sneaker", "bag", "ankle boot")
PART = files("lorakit.data") / "files" / "fashion.npz"
_PART_SIZE = (1200, 500)  # images of each class, training and test
_DEBIAN = Path("/usr/share/datasets/fashion-mnist")
_SHAPES = ((60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,))
_SHA256 = {  # of each file's bytes, unpacked; in the order of _SHAPES
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def fashion(sizes: Sizes, seed: int, root: Path, download: bool) -> Dataset:
    """Splits of these sizes; those that the shipped part can fill come from it.

    ``test`` images are always official test images.
    """
    train, val, test = sizes
    of_part = train + val <= 10 * _PART_SIZE[0] and test <= 10 * _PART_SIZE[1]
    images, labels, test_images, test_labels = part() if of_part else whole(root, download)
    sources = _as_split(images, labels), _as_split(test_images, test_labels)
    return split_at_random("fashion", CLASSES, sizes, seed, *sources)


def paint(clothes: Split, generator: torch.Generator, channels: int = 3) -> Split:
    """Every photograph in two random colours of its own, or with one channel in two greys.

    One colour takes the place of black, the other that of white, and what lies between goes
    between. Shapes and labels stay.
    """
    size = (2, len(clothes), channels, 1, 1)
    dark, light = 255 * torch.rand(size, generator=generator)  # (n, c, 1, 1)
    images = dark + (light - dark) * clothes.images / 255
    return Split(images.round().to(torch.uint8), clothes.labels)


def _as_split(images: Tensor, labels: Tensor) -> Split:
    """Grey (N, 28, 28) to RGB (N, 3, 32, 32), with a black margin of two pixels."""
    padded = F.pad(images, (2, 2, 2, 2))[:, None]
    return Split(padded.expand(-1, 3, -1, -1), labels.long())


@lru_cache(maxsize=1)
def part() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The shipped images and labels, training and test: 1,200 and 500 of each class."""
    arrays = np.load(PART, allow_pickle=False)
    return tuple(torch.from_numpy(arrays[name]) for name in _SHA256)


@lru_cache(maxsize=1)
def whole(root: Path, download: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """All images and labels, training and test; a RuntimeError says where to get them."""
    raw = root / "FashionMNIST" / "raw"
    there = [f for f in (root, raw, _DEBIAN) if _found(f, next(iter(_SHA256)))]
    try:
        if not there and not download:
            raise RuntimeError("download=False")
        if not there:
            from torchvision.datasets import FashionMNIST

            print(f"fashion: downloading it into {root}, once")
            FashionMNIST(root, download=True)
    except Exception as error:
        raise RuntimeError(
            f"name='fashion': more than the shipped 12,000 + 5,000 images are asked for, and the "
            f"whole set is neither in {root} nor in {_DEBIAN} nor to be had ({error}). Ask for "
            "fewer; or run apt-get install dataset-fashion-mnist; or put the four files of "
            f"https://github.com/zalandoresearch/fashion-mnist into {root}"
        ) from error
    folder = there[0] if there else raw
    return tuple(_read(folder, *file) for file in zip(_SHA256, _SHAPES))


def _read(folder: Path, name: str, shape: tuple[int, ...]) -> Tensor:
    """One file in the IDX format: a header of 4 bytes and 4 for each dimension, then the pixels."""
    header = 4 + 4 * len(shape)
    size = header + math.prod(shape)
    try:
        path = _found(folder, name) or folder / f"{name}.gz"
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise RuntimeError(f"{path}: missing or damaged ({error}); replace it") from error
    if hashlib.sha256(content).hexdigest() != _SHA256[name]:
        raise RuntimeError(
            f"{path}: not the published Fashion-MNIST file ({len(content)} bytes of {size}, or "
            "others than those); replace it"
        )
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=header).view(shape)


def _found(folder: Path, name: str) -> Path | None:
    """The file, packed or not, if it is there."""
    return next((p for p in (folder / f"{name}.gz", folder / name) if p.exists()), None)


def make_part(out: str | Path = PART) -> None:
    """Write the shipped part: the first images of each class, in the published order."""
    from lorakit.data.public import data_root

    published, arrays = whole(data_root(), True), []
    for images, labels, n in zip(published[::2], published[1::2], _PART_SIZE):
        first = torch.cat([torch.where(labels == c)[0][:n] for c in range(len(CLASSES))])
        first = first.sort().values
        arrays += [images[first].numpy(), labels[first].numpy()]
    np.savez_compressed(out, **dict(zip(_SHA256, arrays)))


if __name__ == "__main__":
    make_part()
