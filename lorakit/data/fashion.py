"""Fashion-MNIST: 70,000 grey photographs of clothes (Xiao, Rasul and Vollgraf 2017).

A balanced part, 12,000 + 5,000 images, ships with the package (arXiv 1708.07747, licence MIT, see
``files/``). The whole is read from ``$LORAKIT_DATA``, from Debian's package
``dataset-fashion-mnist``, or downloaded through torchvision, whichever is there first.
``python -m lorakit.data.fashion`` made the part from the whole.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lorakit.data.dataset import Dataset, Split, split_places

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


def fashion(sizes: tuple[int, int, int], seed: int, root: Path, download: bool) -> Dataset:
    """Splits of these sizes; those that the shipped part can fill come from it.

    ``test`` images are always official test images. All 60,000 others can be for training, with
    ``val=0``.
    """
    train, val, test = sizes
    of_part = train + val <= 10 * _PART_SIZE[0] and test <= 10 * _PART_SIZE[1]
    images, labels, test_images, test_labels = part() if of_part else whole(root, download)
    chosen = split_places("fashion", sizes, seed, len(labels), len(test_labels))
    sources = ((images, labels), (images, labels), (test_images, test_labels))
    splits = (_split(x[p], y[p]) if len(p) else None for (x, y), p in zip(sources, chosen))
    return Dataset("fashion", CLASSES, *splits)


def _split(images: Tensor, labels: Tensor) -> Split:
    """Grey (N, 28, 28) to RGB (N, 3, 32, 32), with a black margin of two pixels."""
    padded = F.pad(images, (2, 2, 2, 2))[:, None]
    return Split(padded.expand(-1, 3, -1, -1).contiguous(), labels.long())


@lru_cache(maxsize=1)
def part() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The shipped images and labels, training and test: 1,200 and 500 of each class."""
    arrays = np.load(PART, allow_pickle=False)
    return tuple(torch.from_numpy(arrays[name]) for name in _SHA256)


@lru_cache(maxsize=1)
def whole(root: Path, download: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """All images and labels, training and test.

    Raises:
        RuntimeError: not there, not to be had, or not the published bytes; the message says where.
    """
    raw = root / "FashionMNIST" / "raw"
    for folder in (root, raw, _DEBIAN):
        if _found(folder, next(iter(_SHA256))):
            return _read_all(folder)
    try:
        if not download:
            raise RuntimeError("download=False")
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
    return _read_all(raw)


def _read_all(folder: Path) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The four files of a folder, once each is known to be as published."""
    return tuple(_read(folder, *file) for file in zip(_SHA256, _SHAPES))


def _read(folder: Path, name: str, shape: tuple[int, ...]) -> Tensor:
    """One file in the IDX format: a header of 4 bytes and 4 for each dimension, then the pixels."""
    header = 4 + 4 * len(shape)
    size = header + int(np.prod(shape))
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

    train, labels, test, test_labels = whole(data_root(), True)
    arrays = []
    for images, kinds, n in zip((train, test), (labels, test_labels), _PART_SIZE):
        first = torch.cat([torch.where(kinds == c)[0][:n] for c in range(len(CLASSES))])
        first = first.sort().values
        arrays += [images[first].numpy(), kinds[first].numpy()]
    np.savez_compressed(out, **dict(zip(_SHA256, arrays)))


if __name__ == "__main__":
    make_part()
