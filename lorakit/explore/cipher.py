"""A picture through the cipher and back, under keys right and wrong."""

from io import BytesIO

import ipywidgets as widgets
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from lorakit import data
from lorakit.data.decode import open_picture
from lorakit.encryption.cipher import STEPS, decrypt, encrypt, key_bits, make_key
from lorakit.explore.explorer import Controls, Explorer, dropdown, number
from lorakit.explore.view import View, show_pictures

_UPLOAD_SIZE = 128  # pixels; a divisor of it and of 32 is a block size for every picture
_CLOTHES = ("ankle boot", "dress", "bag", "sneaker", "trouser", "shirt")
_INVITE = "Leave scramble alone, with blocks of 16. Can you still name it? Then add one step."
_BLOCK_SIZES = (2, 4, 8, 16, 32)
_MOST_BYTES = 8_000_000  # Jupyter takes no message above 10 MiB from a browser


def cipher_view(
    *, image: Tensor, block_size: int = 8, steps: tuple[str, ...] = STEPS, seed: int = 1
) -> View:
    """Plain, encrypted, decrypted, and decrypted with the next key; uint8 (3, H, H) all."""
    size = image.shape[-1]
    right, wrong = (make_key(size, block_size, steps, seed=s) for s in (seed, seed + 1))
    secret = encrypt(image, right)
    pictures = {
        "plain": image,
        "encrypted": secret,
        "decrypted": decrypt(secret, right),
        "wrong key": decrypt(secret, wrong),
    }
    alike = {name: f"{similarity(image, picture):.2f}" for name, picture in pictures.items()}
    titled = {f"{name}: similarity {alike[name]}": x for name, x in pictures.items()}
    finding = (
        f"{' + '.join(steps) or 'no step chosen'}: similarity to the plain picture "
        f"{alike['encrypted']} of 1; the right key restores it exactly"
    )
    bits = key_bits(size, block_size, steps)
    parts = ", ".join(f"{step} {count:,.0f}" for step, count in bits.items()) or "none"
    notes = [
        f"Key space in bits: {parts}; together {sum(bits.values()):,.0f}. A large key space "
        "proves nothing: one known picture opens this cipher.",
        f"Blocks of {block_size} × {block_size} pixels, {(size // block_size) ** 2:,} of them "
        f"in a picture of {size} × {size}.",
        "Similarity is SSIM (Wang et al. 2004): 1 for the same picture.",
    ]
    return show_pictures(titled, finding, notes)


def similarity(a: Tensor, b: Tensor) -> float:
    """Structural similarity (SSIM) of two pictures uint8 (3, H, W): 1 if they are the same."""
    from skimage.metrics import structural_similarity

    side = min(7, a.shape[-1] - 1 + a.shape[-1] % 2)  # of the window, odd
    options = {"channel_axis": 0, "win_size": side, "data_range": 255}
    return round(float(structural_similarity(a.numpy(), b.numpy(), **options)), 2) + 0.0  # no -0.0


def read_image(content: bytes) -> Tensor:
    """An image file as uint8 (3, 128, 128): upright, its middle square; ValueError if none."""
    size = (_UPLOAD_SIZE, _UPLOAD_SIZE)
    return pil_to_tensor(ImageOps.fit(open_picture(BytesIO(content)), size, Image.LANCZOS))


def samples() -> dict[str, Tensor]:
    """Pictures to begin with, by name: uint8 (3, 32, 32), photographs first."""
    clothes = data.load("fashion", train=100, val=0, test=1)
    labels = clothes.train.labels.tolist()
    named = {
        name: clothes.train.images[labels.index(clothes.classes.index(name))] for name in _CLOTHES
    }
    street = data.load("street", train=1, val=1, test=1).train.images
    return named | {"street digit, in colour": street[0]}


class CipherExplorer(Explorer):
    """Explore the cipher on a sample or on a picture of one's own."""

    def __init__(self) -> None:
        self.images = samples()
        self.upload = widgets.FileUpload(
            accept="image/*",
            description="Your own picture, up to 8 MB",
            tooltip="Stays in this notebook's kernel",
            layout={"width": "auto"},
        )
        self.upload.observe(self._uploaded, "value")
        controls = {
            "image": dropdown("picture", list(self.images), hint="Which picture is encrypted"),
            "block_size": dropdown("block size", _BLOCK_SIZES, 8, hint="Side of a block, pixels"),
            "seed": number("key number", 0, 99, 1, hint="A teaching key, drawn from this number"),
        }
        for step in STEPS:
            hint = f"The step {step}"
            controls[step] = widgets.Checkbox(True, description=step, tooltip=hint)
        extra = (self.upload,)
        super().__init__(self._view, controls, rules=self._rules, extra=extra, invite=_INVITE)

    def _view(self, image: str, block_size: int, seed: int, **chosen: bool) -> View:
        steps = tuple(step for step in STEPS if chosen[step])
        return cipher_view(image=self.images[image], block_size=block_size, steps=steps, seed=seed)

    def _rules(self, controls: Controls) -> str:
        if not any(controls[step].value for step in STEPS):
            return "With no step the picture stays plain."
        if controls["block_size"].value == self.images[controls["image"].value].shape[-1]:
            return "One block fills this picture: there is nothing to scramble."
        return ""

    def _uploaded(self, change: dict) -> None:
        for file in change["new"]:
            try:
                if file["size"] > _MOST_BYTES:
                    raise ValueError(f"{file['size']:,} bytes; allowed: {_MOST_BYTES:,}")
                self.images[file["name"]] = read_image(bytes(file["content"]))
            except ValueError as error:
                self.say(f"{file['name']}: {error}", alert=True)
                continue
            self.controls["image"].options = list(self.images)
            self.controls["image"].value = file["name"]
