"""Wrong answers to lesson 03 that people really give, and words of the message they should get."""

_SPLIT = """
def image_to_blocks(images, p):
    n, c, h, w = images.shape
    x = images.reshape(n, c, h // p, p, w // p, p)
    return x.permute({}).reshape(n, (h // p) * (w // p), c * p * p)
"""

WRONG = {
    "03.blocks": [
        (
            "a reshape alone",
            """
def image_to_blocks(images, p):
    n, c, h, w = images.shape
    return images.reshape(n, (h // p) * (w // p), c * p * p)
""",
        ),
        ("column by column", _SPLIT.format("0, 4, 2, 1, 3, 5")),
        ("pixel by pixel", _SPLIT.format("0, 2, 4, 3, 5, 1")),
        ("transposed", _SPLIT.format("0, 2, 4, 1, 5, 3")),
        (
            "from all over the picture",
            """
def image_to_blocks(images, p):
    n, c, h, w = images.shape
    x = images.reshape(n, c, p, h // p, p, w // p)
    return x.permute(0, 3, 5, 1, 2, 4).reshape(n, -1, c * p * p)
""",
        ),
        (
            "blocks come first",
            """
def image_to_blocks(images, p):
    return torch.nn.functional.unfold(images, p, stride=p)
""",
        ),
    ],
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
