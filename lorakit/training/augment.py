"""Random views of images, for training."""

import torch
from torch import Tensor

SHIFT = 4  # pixels, at most, in each direction


def random_views(images: Tensor, views: int) -> Tensor:
    """Mirrored by a coin's toss and shifted by up to 4 pixels, what comes in is reflected.

    (n, c, H, W) to (n K, c, H, W), the K views of an image one after another. The images are plain
    ones: blocks of encrypted ones would be torn apart.
    """
    height, width = images.shape[-2:]
    down, along, coin = torch.rand(len(images) * views, 3, 1).unbind(1)  # chunk by chunk the same
    rows, columns = _shifted(down, height), _shifted(along, width)  # (n K, H), (n K, W)
    columns = torch.where(coin < 0.5, columns.flip(1), columns)
    image = torch.arange(len(images)).repeat_interleave(views)
    places = image[:, None, None], rows[:, :, None], columns[:, None, :]
    places = tuple(place.to(images.device) for place in places)
    return images.movedim(1, -1)[places].movedim(-1, 1)  # (n, H, W, c) to (n, c, H, W)


def _shifted(drawn: Tensor, size: int) -> Tensor:
    """0, 1 ... size - 1, moved as far as numbers (n, 1) below 1 say, mirrored at both ends."""
    most = min(SHIFT, size - 1)
    places = torch.arange(size) + (drawn * (2 * most + 1)).long() - most  # (n, size)
    return (size - 1 - (size - 1 - places.abs()).abs()).abs()
