"""Checks of lesson 06, differential privacy from scratch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from exercises.verdict import Mistake, begun, exercise, same


@exercise("06.clip")
def clip_each(answer) -> str:
    generator = torch.Generator().manual_seed(0)
    for n, C in ((5, 1.0), (7, 0.3), (3, 4.0)):
        size = C * torch.linspace(0.05, 4, n).view(-1, 1)  # short ones and long ones, alike
        flat = (1 + 0.5 * torch.randn(n, 28, generator=generator)) / 28**0.5 * size
        weight, bias = flat[:, :24].reshape(n, 4, 6), flat[:, 24:]
        gradients = {"weight": weight, "bias": bias}
        norms = flat.norm(dim=1)
        factors, long = (C / norms).clamp(max=1), C / norms
        whole = sum(g.sum(dim=0).square().sum() for g in gradients.values()).sqrt()
        got = begun(answer({name: g.clone() for name, g in gradients.items()}, C))
        if not isinstance(got, dict) or set(got) != set(gradients):
            raise Mistake("return a dict with the same names as the one you were given")
        for name, g in gradients.items():
            alone = (C / g.flatten(1).norm(dim=1)).clamp(max=1)
            mean = whole / n
            same(got[name], _scaled(factors, g), f"the clipped gradient of {name}", {
                "you scaled small gradients up to norm C: those below C must stay as they are":
                    _scaled(long, g),
                "each parameter was clipped on its own: together an example can exceed C":
                    _scaled(alone, g),
                "you return the gradients as they were": g,
                "you clipped all examples by one norm, that of the mean: one example can still "
                "be as long as it likes": g * (C / mean).clamp(max=1),
                "you clipped all examples by one norm, that of their sum":
                    g * (C / whole).clamp(max=1),
                "you return the clipped mean gradient: clip each example, before any mean":
                    g.mean(dim=0) * (C / mean).clamp(max=1),
                "you clamped every entry to [-C, C]: that bounds entries, not the norm":
                    g.clamp(-C, C),
            })  # fmt: skip
    zero = answer({"weight": torch.zeros(2, 3)}, 1.0)["weight"]
    same(zero, torch.zeros(2, 3), "the clipped gradient of an example whose gradient is 0")
    return "every example moves the sum by at most C, and short gradients stay as they are."


def _scaled(factors: Tensor, g: Tensor) -> Tensor:
    return torch.einsum("i,i...->i...", factors, g)


@exercise("06.noise")
def noisy_mean(answer) -> str:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for n, d, L in ((7, 11, 10), (12, 5, 8)):
            clipped = torch.randn(n, d)
            total = clipped.sum(dim=0)
            same(answer(clipped, 0.0, 1.5, L), total / L, "the result without noise (sigma = 0)", {
                "divide by the expected batch size L, not by how many were drawn: that number "
                "depends on the data": total / n,
                "the sum was not divided by L": total,
            })  # fmt: skip
        for n, sigma, C, L in ((9, 1.5, 0.4, 5), (0, 0.7, 3.0, 4), (16, 2.0, 0.5, 25)):
            noise = [torch.as_tensor(answer(torch.zeros(n, 20_000), sigma, C, L)) for _ in "ab"]
            _check_noise(noise, n, sigma, C, L)
    return "noise of standard deviation sigma C on the sum, then a fixed divisor."


def _check_noise(noise: list[Tensor], n: int, sigma: float, C: float, L: int) -> None:
    first, again = noise
    if first.shape != (20_000,):
        raise Mistake(f"the result has shape {tuple(first.shape)}, it should be (20000,)")
    if not torch.isfinite(first).all():
        raise Mistake(f"the result is not finite for a batch of {n} examples")
    want, std = sigma * C / L, first.std().item()
    if n == 0 and std == 0:
        raise Mistake("an empty batch got no noise: its sum is 0, and is noised like any other")
    if std < 1e-4 * want and first.abs().max() > 0:
        raise Mistake("every coordinate got the same noise: draw one number for each")
    if std > 0 and torch.equal(first, again):
        raise Mistake("the noise is the same each time: do not fix a seed, it could be subtracted")
    known = {
        "C is missing: the sum has sensitivity C, so the noise is sigma times C": sigma / L,
        "the noise was added after dividing, too large by L: add it to the sum": sigma * C,
        "noise was added for each example: the sum gets it only once": want * math.sqrt(n),
        "the noise was divided by the number drawn, not by L": sigma * C / max(n, 1),
        "sigma is missing in the noise": C / L,
        "sigma C is the standard deviation, not the variance": math.sqrt(sigma * C) / L,
        "there is no noise": 0.0,
    }
    if abs(std / want - 1) > 0.05:
        for words, wrong in known.items():
            if abs(std - wrong) <= 0.05 * wrong:
                raise Mistake(words)
        raise Mistake(f"the noise has standard deviation {std:.3g}, it should be {want:.3g}")
    if first.mean().abs() > 6 * want / math.sqrt(20_000):
        raise Mistake("the noise is not centred at 0")
    if abs((first.abs() < want).float().mean().item() - 0.683) > 0.03:
        raise Mistake("the noise is not Gaussian")


@exercise("06.poisson")
def poisson_batch(answer) -> str:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for N, q, draws in ((40, 0.3, 2000), (25, 0.6, 2000), (3, 0.2, 500)):
            batches = [answer(N, q) for _ in range(draws)]
            begun(batches[0])
            _check_batches([torch.as_tensor(b).cpu() for b in batches], N, q)
    return "a coin for every example; sizes vary, and empty batches happen."


def _check_batches(batches: list[Tensor], N: int, q: float) -> None:
    if any(b.dtype == torch.bool for b in batches):
        raise Mistake("that is a mask, true or false for each example: return the indices")
    if any(b.ndim != 1 or (len(b) and b.is_floating_point()) for b in batches):
        raise Mistake("return a one-dimensional tensor of integers")
    if any(len(b) and not 0 <= int(b.min()) <= int(b.max()) < N for b in batches):
        raise Mistake("an index is out of range: allowed are 0 to N - 1")
    if any(len(b.unique()) < len(b) for b in batches):
        raise Mistake("an example was drawn twice: with replacement, its gradient counts double")
    sizes = torch.tensor([float(len(b)) for b in batches])
    if sizes.std() == 0:
        raise Mistake("all batches have one fixed size: with a coin for each example sizes vary")
    chosen = torch.zeros(len(batches), N)
    for row, batch in zip(chosen, batches):
        row[batch.long()] = 1
    margin = 6 * math.sqrt(q * (1 - q) / len(batches))  # six standard errors
    worst = (chosen.mean(dim=0) - q).abs().max().item()
    if worst > margin:
        raise Mistake(f"some example is in with a frequency {worst:.2f} away from q = {q}")
    if abs(sizes.var().item() / (N * q * (1 - q)) - 1) > 0.4:
        raise Mistake("the sizes vary too much or too little: every example needs its own coin")
    joint = (chosen.T @ chosen / len(batches)).fill_diagonal_(q * q)
    if (joint - q * q).abs().max() > margin:
        raise Mistake("some examples come together too often or too rarely: coins are independent")


@exercise("06.delta")
def largest_delta(answer) -> str:
    for N, L, risk in ((1_000, 50, 0.01), (50_000, 500, 0.05), (200, 64, 0.5)):
        batches = N / L
        same(answer(N, L, risk), 1 - (1 - risk) ** (1 / N), f"delta for N = {N}, risk = {risk}", {
            "you counted batches: everybody has a delta of their own, so count examples":
                1 - (1 - risk) ** (1 / batches),
            "risk / N is safe (a union bound), but not the largest delta": risk / N,
            "1/N is far too large: at that delta somebody is published with 63 %": 1 / N,
            "that is the risk for one example: with N of them it adds up": risk,
            "that is the probability that somebody is published at delta = risk":
                1 - (1 - risk) ** N,
        })  # fmt: skip
    return "delta counts examples, and lies well below 1/N for any risk worth taking."
