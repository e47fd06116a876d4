"""Wrong answers to lesson 03 that people really give, and words of the message they should get."""

_DECRYPT = """
def decrypt_by_hand(images, key):
    x = to_blocks(images, key.block_size)
    {}
    return from_blocks(x, key.block_size, key.image_size)
"""
_FLIPS = "x = torch.where(key.flips, 255 - x, x)"
_BACK = "x = x[..., key.pixels.argsort()][..., key.blocks.argsort(), :]"

WRONG = {
    "03.shuffle": [
        (
            "backwards",
            """
def shuffle(blocks, permutation):
    out = torch.empty_like(blocks)
    out[..., permutation] = blocks
    return out
""",
        ),
        (
            "whole blocks change places",
            """
def shuffle(blocks, permutation):
    return blocks[:, permutation]
""",
        ),
        (
            "what you were given was changed",
            """
def shuffle(blocks, permutation):
    blocks[:] = blocks[..., permutation]
    return blocks
""",
        ),
    ],
    "03.decrypt": [
        ("the negatives come too late", _DECRYPT.format(f"{_BACK}; {_FLIPS}")),
        ("the negatives are still there", _DECRYPT.format(_BACK)),
        ("off by one", _DECRYPT.format(f"x = torch.where(key.flips, -x, x); {_BACK}")),
        (
            "key.pixels needs its inverse",
            _DECRYPT.format(f"{_FLIPS}; x = x[..., key.pixels][..., key.blocks.argsort(), :]"),
        ),
        (
            "key.blocks needs its inverse",
            _DECRYPT.format(f"{_FLIPS}; x = x[..., key.pixels.argsort()][..., key.blocks, :]"),
        ),
        (
            "its argsort",
            _DECRYPT.format(f"{_FLIPS}; x = x[..., key.pixels][..., key.blocks, :]"),
        ),
        (
            "the blocks are still scrambled",
            _DECRYPT.format(f"{_FLIPS}; x = x[..., key.pixels.argsort()]"),
        ),
        (
            "encrypts once more",
            "def decrypt_by_hand(images, key):\n    return encrypt(images, key)",
        ),
        (
            "what you were given was changed",
            """
def decrypt_by_hand(images, key):
    images[:] = decrypt(images, key)
    return images
""",
        ),
    ],
    "03.embedding": [
        (
            "go by the inverse",
            """
def adapt(E, pixels, flips):
    return E[:, pixels.argsort()] * (1 - 2 * flips.float())
""",
        ),
        (
            "the sign is forgotten",
            """
def adapt(E, pixels, flips):
    return E[:, pixels]
""",
        ),
        (
            "wrong columns",
            """
def adapt(E, pixels, flips):
    return (E * (1 - 2 * flips.float()))[:, pixels]
""",
        ),
        (
            "wrong way round",
            """
def adapt(E, pixels, flips):
    return E[:, pixels] * (2 * flips.float() - 1)
""",
        ),
        (
            "rows of E",
            """
def adapt(E, pixels, flips):
    return E[pixels] * (1 - 2 * flips.float())
""",
        ),
    ],
}
