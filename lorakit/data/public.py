"""Public data sets through torchvision, downloaded once, and folders of pictures.

CIFAR's files are pickles: they are opened only after their published MD5 sums.
"""

import os
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from lorakit.data.dataset import Dataset, Sizes, Split, split_at_random
from lorakit.data.decode import decode

IMAGENETTE = (9469, 3925)  # pictures in train and val, to notice a download that was broken off
_Samples = list[tuple[str, int]]  # path and label of each picture


@dataclass(frozen=True)
class Pictures:
    """Files that are read when they are chosen."""

    samples: _Samples
    image_size: int
    cache: Path

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, places: Tensor) -> Split:
        paths, labels = zip(*(self.samples[i] for i in places.tolist()))
        return Split(decode(paths, self.image_size, self.cache), torch.tensor(labels))


def data_root(root: str | Path | None = None) -> Path:
    """Where public data sets are kept: ``root``, ``$LORAKIT_DATA`` or ``~/.cache/lorakit``."""
    return Path(root or os.environ.get("LORAKIT_DATA") or "~/.cache/lorakit").expanduser()


@lru_cache(maxsize=2)
def cifar(name: str, sizes: Sizes, seed: int, root: Path, download: bool) -> Dataset:
    """CIFAR-10 or CIFAR-100 (Krizhevsky 2009): 60,000 colour images of 32 x 32 pixels."""
    from torchvision import datasets

    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    both = [_fetched(name, kind, root, download, kind.url, train=part) for part in (True, False)]
    sources = (
        Split(torch.from_numpy(x.data).permute(0, 3, 1, 2), torch.tensor(x.targets)) for x in both
    )
    return split_at_random(name, tuple(both[0].classes), sizes, seed, *sources)


def imagenette(sizes: Sizes, seed: int, image_size: int, root: Path, download: bool) -> Dataset:
    """Imagenette (Howard 2019): ten classes of ImageNet-1K, with a shorter side of 320 pixels."""
    from torchvision.datasets import Imagenette

    name, url = "imagenette", Imagenette._ARCHIVES["320px"][0]
    train, test = (
        _fetched(name, Imagenette, root, download, url, split=part, size="320px")
        for part in ("train", "val")
    )
    if (len(train), len(test)) != IMAGENETTE:
        folder = root / Path(url).stem
        raise RuntimeError(
            f"name={name!r}: {len(train)} and {len(test)} pictures in {folder}, not {IMAGENETTE}: "
            "the download was broken off. Delete that folder and load again"
        )
    classes = tuple(names[0] for names in train.classes)
    files = (Pictures(x._samples, image_size, root / ".decoded") for x in (train, test))
    return split_at_random(name, classes, sizes, seed, *files)


def folder(
    name: str,
    sizes: tuple[int | None, int | None, int | None],
    seed: int,
    image_size: int,
    root: Path,
    classes: tuple[str, ...] | None,
) -> Dataset:
    """Pictures in folders named as their classes, in ``root / NAME``.

    Either ``train/CLASS/*.jpg`` with ``val/CLASS/*.jpg`` (or ``test``) beside it, as ImageNet-1K
    is kept, or ``CLASS/*.jpg`` alone, split at random. ``classes=None`` means all.
    """
    where = root / name.removeprefix("folder:")
    train_part = where / "train" if (where / "train").is_dir() else where
    test_part = next((p for p in (where / "val", where / "test") if p.is_dir()), None)
    if not train_part.is_dir() or (train_part is not where and test_part is None):
        raise RuntimeError(
            f"name={name!r}: {where} should hold train/CLASS/*.jpg and val/CLASS/*.jpg, or "
            "CLASS/*.jpg; choose another folder with root=... or $LORAKIT_DATA"
        )
    seen: dict = {}
    train, names = _listed(train_part, classes, seen)
    test = None if train_part is where else _listed(test_part, names, seen)[0]
    held = max(1, len(train) // 10)
    kept, tested = (len(train) - 2 * held, held) if test is None else (len(train) - held, len(test))
    sizes = tuple(d if n is None else n for n, d in zip(sizes, (kept, held, tested)))
    samples = (train,) if test is None else (train, test)
    files = (Pictures(x, image_size, root / ".decoded") for x in samples)
    return split_at_random(name, names, sizes, seed, *files)


def _fetched(name: str, kind: Callable, root: Path, download: bool, url: str, **which):
    """A torchvision data set from ``root``; downloaded, or unpacked, if it is not there whole."""
    try:
        with suppress(RuntimeError) if download else nullcontext():
            return kind(root, download=False, **which)
        print(f"{name}: unpacking it in {root}, after a download if it is not there")
        root.mkdir(parents=True, exist_ok=True)
        return kind(root, download=True, **which)
    except Exception as error:
        raise RuntimeError(
            f"name={name!r}: not in {root} and not to be had ({error}). Without a network: fetch "
            f"{url} elsewhere, put it into {root} and load again with download=True. A damaged "
            "file is found by its MD5 sum; delete it. 'street' and 'digits' need no download"
        ) from error


def _listed(
    folder: Path, classes: tuple[str, ...] | None, seen: dict[tuple[int, int], str]
) -> tuple[_Samples, tuple[str, ...]]:
    """The pictures of some class folders, or of all; each picture and folder is met once."""
    from torchvision.datasets.folder import IMG_EXTENSIONS

    there = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    names = tuple(there) if classes is None else classes
    if unknown := [name for name in names if name not in there]:
        raise ValueError(f"classes={unknown}: not in {folder}; allowed: {', '.join(there)}")
    if len(set(names)) < 2 or len(set(names)) != len(names):
        raise ValueError(f"classes={list(names)} in {folder}: allowed: two or more different ones")
    samples = []
    for label, name in enumerate(names):
        found = []
        for place, folders, files in os.walk(folder / name, followlinks=True):
            folders.sort()
            found += [(place, n) for n in files if n.lower().endswith(IMG_EXTENSIONS)]
            for path in (place, *(os.path.join(place, n) for n in files)):
                status = os.stat(path)
                first = seen.setdefault((status.st_dev, status.st_ino), path)
                if first != path:
                    raise ValueError(f"{path}: it is {first} by a link; take one of them out")
        if not found:
            raise ValueError(f"{folder / name}: no pictures; allowed: {', '.join(IMG_EXTENSIONS)}")
        samples += [(os.path.join(*picture), label) for picture in sorted(found)]
    return samples, names
