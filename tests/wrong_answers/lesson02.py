"""Wrong answers to the exercises of lesson 02, with the words that should name the mistake."""

_PATCHES = """
def embed_patches(images, weight, bias):
    N, C, H, W = images.shape
    p = weight.shape[-1]
    x = images.reshape(N, C, H // p, p, W // p, p)
    {middle}
    return {end}
"""


def _patches(order="0, 2, 4, 1, 3, 5", end="x @ weight.flatten(1).T + bias"):
    middle = f"x = x.permute({order}).reshape(N, -1, C * p * p)"
    return _PATCHES.format(middle=middle, end=end)


_RULE = "def trains(name):\n    return "
_QKV = "def split_qkv(weight):\n    "

WRONG = {
    "02.patches": [
        ("bias is missing", _patches(end="x @ weight.flatten(1).T")),
        ("down the columns", _patches("0, 4, 2, 1, 3, 5")),
        ("(row, column, colour)", _patches("0, 2, 4, 3, 5, 1")),
        ("exchanged", _patches("0, 2, 4, 1, 5, 3")),
        ("tokens come first", _patches(end="(x @ weight.flatten(1).T + bias).mT")),
        ("of its own", _patches(end="(x @ weight.flatten(1).T + bias).flatten(0, 1)")),
        # a plain reshape tears the picture into runs of pixels
        (
            "axes have to change places",
            """
def embed_patches(images, weight, bias):
    return images.reshape(len(images), -1, weight[0].numel()) @ weight.flatten(1).T + bias
""",
        ),
    ],
    "02.qkv": [
        ("order is query, key, value", _QKV + "k, q, v = weight.chunk(3)\n    return q, k, v"),
        ("cut columns", _QKV + "return weight.chunk(3, dim=1)"),
        ("every third row", _QKV + "return weight[0::3], weight[1::3], weight[2::3]"),
        ("transposed", _QKV + "return [w.T for w in weight.chunk(3)]"),
        ("yours is a tuple of 1", _QKV + "return weight.chunk(1)"),
    ],
    "02.trainable": [
        ("head is new", _RULE + "'.updates.' in name or name.startswith('patch_embed')"),
        (
            "head.bias is frozen",
            _RULE + "'.updates.' in name or 'patch_embed' in name or name == 'head.weight'",
        ),
        (
            "patch_embed.proj.bias is frozen",
            _RULE + "'.updates.' in name or name == 'patch_embed.proj.weight' or 'head' in name",
        ),
        (
            "only sounds like",
            _RULE + "'.updates.' in name or 'embed' in name or name.startswith('head')",
        ),
        (
            "frozen map beside LoRA",
            _RULE + "'qkv' in name or name.startswith(('patch_embed', 'head'))",
        ),
        (
            "A and B have to learn",
            _RULE + "name.endswith('B.weight') or name.startswith(('patch_embed', 'head'))",
        ),
        (
            "another method (bitfit)",
            _RULE + "'.updates.' in name or name.startswith(('patch_embed', 'head')) "
            "or ('norm' in name and name.endswith('.bias'))",
        ),
    ],
}
