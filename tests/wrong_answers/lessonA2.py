"""Wrong answers to the exercises of lesson A2, and words that the verdict must hold."""

_BACK = """import torch
def take_back(z, c):
    n = torch.zeros_like(z)
    for t in range(len(z)):
        past = sum(c[j] * n[t - j] for j in range(1, min(len(c), t + 1)))
        n[t] = (z[t] - past) / c[0]
    return n
"""
_GHOST = "def ghost_norms(a, g):\n    return "

WRONG = {
    "A2.back": [
        ("what was drawn, z", _BACK.replace("c[j] * n[", "c[j] * z[")),
        ("by c[0], is missing", _BACK.replace(" / c[0]", "")),
        ("added once more", _BACK.replace("z[t] - past", "z[t] + past")),
        ("DP-SGD's own noise", "def take_back(z, c):\n    return z"),
    ],
    "A2.ghost": [
        ("root is missing", _GHOST + "((g @ g.mT) * (a @ a.mT)).sum(dim=(1, 2))"),
        (
            "products of different tokens",
            _GHOST + "(a.norm(dim=2) * g.norm(dim=2)).square().sum(dim=1).sqrt()",
        ),
        ("all point the same way", _GHOST + "(a.norm(dim=2) * g.norm(dim=2)).sum(dim=1)"),
        ("right for one token", _GHOST + "a.flatten(1).norm(dim=1) * g.flatten(1).norm(dim=1)"),
        ("numbers was made", _GHOST + "(g.mT @ a).flatten(1).norm(dim=1)"),
    ],
}
