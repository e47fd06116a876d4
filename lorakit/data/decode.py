"""Picture files as one array on disk: read once, then used at the speed of memory."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from tqdm.auto import tqdm

from lorakit.runtime import replacing

MOST_PIXELS = 50_000_000
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # others may start programs
_VERSION = 2  # of what becomes of a picture
_AT_A_TIME = 64
_CROP = 7 / 8  # of the shorter side, the usual share for ImageNet: 224 of 256


def decode(paths: Sequence[str], image_size: int, cache: Path) -> Tensor:
    """Read pictures of any size: the shorter side to 8/7 of ``image_size``, the centre cut out.

    Returns uint8 (N, 3, image_size, image_size), mapped into memory from a file in ``cache``, so
    that it may be larger than memory and the next call with the same files is immediate.
    """
    stamps = [(os.path.abspath(p), os.path.getsize(p), os.stat(p).st_mtime_ns) for p in paths]
    name = repr([_VERSION, image_size, *stamps])  # a file that changes gets another stamp
    final = cache / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.npy"
    if not final.exists():
        shape = (len(paths), 3, image_size, image_size)
        bar = tqdm(desc="reading pictures", total=len(paths))
        with replacing(final) as file, ThreadPoolExecutor() as pool, bar:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, len(paths), _AT_A_TIME):  # no more than these are in memory
                some = paths[start : start + _AT_A_TIME]
                for image in pool.map(lambda path: _read(path, image_size), some):
                    file.write(image.tobytes())
                    bar.update()
    return torch.from_numpy(np.load(final, mmap_mode="c"))


def open_picture(file: str | BinaryIO) -> Image.Image:
    """A picture as RGB of 8 bits: upright, 16 bits scaled down, what is transparent on white.

    More than ``MOST_PIXELS`` are refused before they take memory.
    """
    try:
        with Image.open(file, formats=_FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                size = f"{image.width:,} x {image.height:,} pixels"
                raise ValueError(f"{size}; allowed: {MOST_PIXELS:,} in all")
            return _as_rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise ValueError("not a picture that can be read, of no known kind") from error
    except Exception as error:  # Pillow's readers raise nearly anything at a damaged file
        raise ValueError(f"not a picture that can be read ({error})") from error


def _as_rgb(image: Image.Image) -> Image.Image:
    transparent = image.info.get("transparency")
    if image.mode.startswith("I"):  # 16 bits, or what Pillow makes of them
        values = np.asarray(image)
        grey = (values.clip(0, 65535) >> 8).astype(np.uint8)
        if isinstance(transparent, int):
            grey[values == transparent] = 255
        return Image.fromarray(grey).convert("RGB")
    if image.mode == "F":
        raise ValueError("numbers with a point; allowed: 8 or 16 bits")
    if transparent is None and image.mode[-1] not in "Aa":
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _read(path: str, image_size: int) -> np.ndarray:
    """One picture, (3, image_size, image_size)."""
    try:
        picture = open_picture(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; replace it") from error
    # cuts the centre of the right shape out, then resizes
    size, rim = (image_size, image_size), (1 - _CROP) / 2
    picture = ImageOps.fit(picture, size, Image.Resampling.BICUBIC, bleed=rim)
    return np.asarray(picture).transpose(2, 0, 1)
