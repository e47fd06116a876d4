"""Exercises of lesson A2: noise taken back, the length of a gradient that was never made."""

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from exercises.verdict import Answer, ask, exercise, same, wrong_if
from lorakit.privacy.banded import band_weights


@exercise("A2.back", (6, 3, 2), (5, 4, 3), (3, 2, 6))
def back(answer: Answer, steps: int, size: int, bands: int) -> str:
    c = torch.tensor(band_weights(bands), dtype=torch.float32)
    z = torch.randn(steps, size)

    def noise(sign: float = 1.0, first: float = c[0].item(), of_drawn: bool = False) -> Tensor:
        n = []
        for t in range(steps):
            past = z if of_drawn else n
            taken = sum(c[j] * past[t - j] for j in range(1, min(bands, t + 1)))
            n.append((z[t] - sign * taken) / first)
        return torch.stack(n)

    known = {
        "that takes back a part of what was drawn, z; what is in the weights is what was added, "
        "n": noise(of_drawn=True),
        "the last division, by c[0], is missing": noise(first=1.0),
        "the noise of the steps before was added once more, not taken back": noise(sign=-1.0),
        "that is z as it was drawn, DP-SGD's own noise": z,
    }
    same(answer(z, c), noise(), f"the noise of {steps} steps with {bands} weights", known)
    return "a line or two more than DP-SGD's noise, and the sum of it stays much smaller."


class Largest(TorchDispatchMode):
    """While it is on, remembers how many numbers the largest tensor made has."""

    size = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if isinstance(made, Tensor):
            self.size = max(self.size, made.numel())
        return made


@exercise("A2.ghost", (3, 1, 40, 30), (4, 5, 40, 30), (2, 7, 30, 60))
def ghost(answer: Answer, n: int, tokens: int, inputs: int, outputs: int) -> str:
    a, g = torch.randn(n, tokens, inputs), torch.randn(n, tokens, outputs)
    lengths = torch.einsum("nto,nti->noi", g, a).flatten(1).norm(dim=1)
    of_a, of_g = a.norm(dim=2), g.norm(dim=2)  # (n, T)
    with Largest() as largest:
        got = ask(answer, a, g)
    known = {
        "that is the squared length; the root is missing": lengths**2,
        "each token's gradient has that length alone; the products of different tokens are "
        "missing": (of_a * of_g).square().sum(dim=1).sqrt(),
        "the lengths of the tokens' gradients add up only if all point the same way": (
            (of_a * of_g).sum(dim=1)
        ),
        "that is the length of all inputs times the length of all output gradients: right for one "
        "token, an upper bound for more": of_a.norm(dim=1) * of_g.norm(dim=1),
    }
    same(got, lengths, f"the lengths for {n} pictures of {tokens} tokens", known)
    made = f"a tensor of {largest.size:,} numbers was made on the way"
    words = f"right, but {made}: that is the gradient, {inputs} × {outputs}, of each picture"
    wrong_if(largest.size >= n * inputs * outputs, words)
    return "the length of a matrix that nobody made: that is all clipping needs."
