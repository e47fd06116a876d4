"""Data sets that need no download.

``street``  synthetic street-number digits, any number of images;
``digits``  the 1,797 real handwritten digits inside scikit-learn (Alpaydin and Kaynak 1998).
"""

from functools import lru_cache

import torch
import torch.nn.functional as F

from lorakit.data.dataset import Dataset, Sizes, Split, generator_for, split_at_random
from lorakit.data.street import DIGITS, ROUGH, draw


@lru_cache(maxsize=4)
def street(name: str, sizes: Sizes, seed: int, image_size: int) -> Dataset:
    splits = []
    for index, n in enumerate(sizes):
        generator = generator_for(name, seed, index)
        labels = torch.randint(len(DIGITS), (n,), generator=generator)
        split = Split(draw(DIGITS, labels, generator, ROUGH, image_size), labels) if n else None
        splits.append(split)
    return Dataset(name, tuple(DIGITS), *splits)


@lru_cache(maxsize=4)
def digits(name: str, sizes: Sizes, seed: int, image_size: int) -> Dataset:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(pixels).float().view(-1, 1, 8, 8) / 16
    images = F.interpolate(images, size=(image_size, image_size), mode="bilinear")
    images = (images.clamp(0, 1) * 255).round().to(torch.uint8).repeat(1, 3, 1, 1)
    every = Split(images, torch.from_numpy(labels).long())
    return split_at_random(name, tuple(DIGITS), sizes, seed, every)
