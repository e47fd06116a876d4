"""From pictures as they are stored to what the model sees."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from lorakit.data.dataset import normalise
from lorakit.encryption.cipher import Key, encrypt


@dataclass(frozen=True)
class Transform:
    """Normalise, enlarge and encrypt a batch, on the device it is on.

    ``image_size`` is what the model sees, in pixels. Encryption comes last, on values in [-1, 1],
    as an owner who holds the key would send them; ``key=None`` leaves pictures as they came.
    """

    image_size: int
    key: Key | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, 3, h, w) to float (N, 3, image_size, image_size)."""
        x = normalise(images)
        if x.shape[-1] != self.image_size:
            x = F.interpolate(x, (self.image_size,) * 2, mode="bicubic", antialias=True)
            x = x.clamp(-1, 1)  # bicubic overshoots at edges
        return x if self.key is None else encrypt(x, self.key)
