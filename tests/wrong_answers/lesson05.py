"""Wrong answers to lesson 05 that people really give, and words of the message they should get."""

_STEAL = """
def steal(ask, p):
    place = torch.arange(3 * p * p)
    sent = torch.stack([place // 2, place % 2]).to(torch.uint8)
    got = ask(sent.view(2, 3, p, p)).view(2, -1).long()
    flips = got[0] > 127
    half, odd = torch.where(flips, 255 - got, got)
    pixels = 2 * half + odd
    {}
"""

_BORDER = """
def border_cost(blocks):
    x = blocks.double()
    return {}
"""

_BITS = """
from collections import Counter
def bits_left(columns):
    pairs = [(tuple(c), tuple(255 - x for x in c)) for c in columns.T.tolist()]
    tied = Counter({})
    return sum({} for g in tied.values()) {}
"""

WRONG = {
    "05.chosen": [
        ("is the inverse", _STEAL.format("return pixels.argsort(), flips")),
        ("nothing was flipped", _STEAL.format("return pixels, ~flips")),
        (
            "yours by plain place",
            _STEAL.format("return pixels, flips[pixels.argsort()]"),
        ),
        (
            "misses the flips",
            """
def steal(ask, p):
    sent = torch.arange(3 * p * p).to(torch.uint8).view(1, 3, p, p)
    got = ask(sent).flatten().long()
    return got, got > 127
""",
        ),
        (
            "v and 255 - v look alike",
            """
def steal(ask, p):
    sent = torch.arange(3 * p * p).to(torch.uint8).view(1, 3, p, p)
    got = ask(sent).flatten().long()
    return torch.minimum(got, 255 - got), got > 127
""",
        ),
        ("uint8 (M, 3, 8, 8)", "def steal(ask, p):\n    return ask(torch.arange(3 * p * p))"),
        ("return 2 values, pixels, flips", _STEAL.format("return pixels")),
    ],
    "05.fingerprint": [
        ("values are flipped", "def fingerprint(blocks):\n    return blocks.sort(dim=-1).values"),
        (
            "are shuffled",
            "def fingerprint(blocks):\n    return torch.minimum(blocks, 255 - blocks)",
        ),
        (
            "forgets too much",
            "def fingerprint(blocks):\n"
            "    return torch.minimum(blocks, 255 - blocks).float().mean(-1, keepdim=True)",
        ),
        (
            "forgets too much",
            "def fingerprint(blocks):\n"
            "    x = torch.minimum(blocks, 255 - blocks).float()\n"
            "    return torch.stack([x.mean(-1), x.amax(-1), x.amin(-1)], dim=-1)",
        ),
        (
            "forgets too much",
            "def fingerprint(blocks):\n    return ((blocks.double() - 127.5) ** 2).sum(1)",
        ),
        (
            "forgets too much",
            "def fingerprint(blocks):\n"
            "    x = torch.minimum(blocks, 255 - blocks).double()\n"
            "    return torch.stack([x.mean(1), x.std(1), x.amin(1), x.amax(1)], dim=1)",
        ),
        (
            "one row for each block",
            "def fingerprint(blocks):\n"
            "    return torch.minimum(blocks, 255 - blocks).flatten().sort().values",
        ),
    ],
    "05.bits": [
        (
            "that counts rows",
            _BITS.replace("columns.T", "columns").format(
                "map(min, pairs)", "math.lgamma(g + 1)", "/ math.log(2)"
            ),
        ),
        ("bits are log2", _BITS.format("map(min, pairs)", "math.lgamma(g + 1)", "")),
        ("not in g", _BITS.format("map(min, pairs)", "math.log2(g)", "")),
        (
            "its negative are tied",
            _BITS.format("c for c, _ in pairs", "math.lgamma(g + 1)", "/ math.log(2)"),
        ),
        (
            "a whole column",
            _BITS.format(
                "tuple(map(min, *p)) for p in pairs", "math.lgamma(g + 1)", "/ math.log(2)"
            ),
        ),
        (
            "flips are counted",
            _BITS.format("map(min, pairs)", "math.lgamma(g + 1)", "/ math.log(2) + len(pairs)"),
        ),
    ],
    "05.border": [
        (
            "and their squares too",
            """
def border_cost(blocks):
    steps = blocks[:, None, :, :, -1] - blocks[None, :, :, :, 0]
    return steps.square().sum(dim=(2, 3))
""",
        ),
        (
            "wrap around",
            """
def border_cost(blocks):
    steps = blocks[:, None, :, :, -1] - blocks[None, :, :, :, 0]
    return steps.double().square().sum(dim=(2, 3))
""",
        ),
        (
            "transposed",
            _BORDER.format("(x[None, ..., -1] - x[:, None, ..., 0]).square().sum(dim=(2, 3))"),
        ),
        (
            "the lower one",
            _BORDER.format("(x[:, None, :, -1] - x[None, :, :, 0]).square().sum(dim=(2, 3))"),
        ),
        (
            "begins with its first",
            _BORDER.format("(x[:, None, ..., -1] - x[None, ..., -1]).square().sum(dim=(2, 3))"),
        ),
        (
            "cancel",
            _BORDER.format("(x[:, None, ..., -1] - x[None, ..., 0]).sum(dim=(2, 3))"),
        ),
        (
            "not their squares",
            _BORDER.format("(x[:, None, ..., -1] - x[None, ..., 0]).abs().sum(dim=(2, 3))"),
        ),
        (
            "a sum was asked for",
            _BORDER.format("(x[:, None, ..., -1] - x[None, ..., 0]).square().mean(dim=(2, 3))"),
        ),
        (
            "hide a green one",
            _BORDER.format("(x[:, None, ..., -1] - x[None, ..., 0]).sum(2).square().sum(2)"),
        ),
    ],
}
