"""Picture files as one array on disk: read once, then used at the speed of memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

_CROP = 7 / 8  # of the shorter side, the usual share for ImageNet: 224 of 256


def decode(paths: Sequence[str], image_size: int, cache: Path, what: str = "images") -> Tensor:
    """Read pictures of any size: the shorter side to 8/7 of ``image_size``, the centre cut out.

    The result is kept in ``cache`` and mapped into memory, so that it may be larger than memory;
    the next call with the same files is immediate. A reader never finds half a file.

    Args:
        paths: picture files.
        image_size: height and width of the result, in pixels.
        cache: a folder, made if missing.
        what: for the progress bar.

    Returns:
        uint8 (N, 3, image_size, image_size).

    Raises:
        ValueError: a file is no picture or is damaged; the message names it.
    """
    name = hashlib.sha256(repr([image_size, *map(_stamp, paths)]).encode()).hexdigest()[:16]
    final = cache / f"{name}.npy"
    if not final.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = cache / f".{name}.{os.getpid()}"
        shape = (len(paths), 3, image_size, image_size)
        try:
            array = np.lib.format.open_memmap(partial, "w+", np.uint8, shape)
            with ThreadPoolExecutor() as pool:
                read = pool.map(lambda path: _read(path, image_size), paths)
                for place, image in enumerate(tqdm(read, f"reading {what}", len(paths))):
                    array[place] = image
            array.flush()
            os.replace(partial, final)
        finally:
            partial.unlink(missing_ok=True)
    return torch.from_numpy(np.load(final, mmap_mode="c"))


def _stamp(path: str) -> tuple[str, int, int]:
    """A file that changes gets another stamp."""
    status = os.stat(path)
    return os.path.abspath(path), status.st_size, status.st_mtime_ns


def _read(path: str, image_size: int) -> np.ndarray:
    """One picture, (3, image_size, image_size)."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            # ImageOps.fit cuts the centre of the right shape out, then resizes
            picture = ImageOps.fit(
                image.convert("RGB"), (image_size, image_size), Image.Resampling.BICUBIC,
                bleed=(1 - _CROP) / 2,
            )  # fmt: skip
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a picture, or damaged ({error}); replace it") from error
    return np.asarray(picture).transpose(2, 0, 1)
