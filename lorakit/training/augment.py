"""Random views of images, for training."""

import torch
from torch import Tensor

SHIFT = 4  # pixels, at most, in each direction


def random_views(images: Tensor, views: int) -> Tensor:
    """Mirrored by a coin's toss and shifted by up to 4 pixels, what comes in is reflected.

    (n, c, H, W) to (n K, c, H, W), the K views of an image one after another. The images are plain
    ones: blocks of encrypted ones would be torn apart.
    """
    n, height, width = len(images) * views, *images.shape[-2:]
    coin = torch.randint(2, (n, 1), dtype=torch.bool)
    rows, columns = _shifted(n, height), _shifted(n, width)  # (n, H), (n, W)
    columns = torch.where(coin, columns.flip(1), columns)
    image = torch.arange(len(images)).repeat_interleave(views)
    places = image[:, None, None], rows[:, :, None], columns[:, None, :]
    places = tuple(place.to(images.device) for place in places)
    return images.movedim(1, -1)[places].movedim(-1, 1)  # (n, H, W, c) to (n, c, H, W)


def _shifted(n: int, size: int) -> Tensor:
    """n times 0, 1 ... size - 1, moved at random, mirrored at both ends: (n, size)."""
    most = min(SHIFT, size - 1)
    places = torch.arange(size) + torch.randint(-most, most + 1, (n, 1))
    return (size - 1 - (size - 1 - places.abs()).abs()).abs()
