"""Exercises of lesson 06: clip, add noise, draw a Poisson batch, choose delta."""

import math

import torch
from torch import Tensor

from exercises.verdict import Answer, Mistake, ask, begun, exercise, same, wrong_if


@exercise("06.clip", (5, 1.0), (7, 0.3), (3, 4.0))
def clip_each(answer: Answer, n: int, C: float) -> str:
    size = C * torch.linspace(0.05, 4, n).view(-1, 1)  # short ones and long ones, alike
    flat = (1 + 0.5 * torch.randn(n, 28)) / 28**0.5 * size
    gradients = {"weight": flat[:, :24].reshape(n, 4, 6), "bias": flat[:, 24:]}
    norms, whole = flat.norm(dim=1), flat.sum(dim=0).norm()
    of_mean, of_sum = (n * C / whole).clamp(max=1), (C / whole).clamp(max=1)
    got = ask(answer, gradients, C)
    named = isinstance(got, dict) and set(got) == set(gradients)
    wrong_if(not named, "return a dict with the same names as the one you were given")
    for name, g in gradients.items():
        right, stretched = _scaled((C / norms).clamp(max=1), g), _scaled(C / norms, g)
        mean = g.mean(dim=0)
        apart = _scaled((C / g.flatten(1).norm(dim=1)).clamp(max=1), g)
        known = {
            "you scaled small gradients up to norm C: leave those below C alone": stretched,
            "each parameter was clipped on its own: together an example can exceed C": apart,
            "you return the gradients as they were": g,
            "you clipped by one norm, that of the mean: an example can still be long": g * of_mean,
            "you clipped all examples by one norm, that of their sum": g * of_sum,
            "you clipped the mean gradient: clip each example, before any mean": mean * of_mean,
            "you clamped every entry to [-C, C]: that bounds entries, not the norm": g.clamp(-C, C),
        }
        same(got[name], right, f"the clipped gradient of {name}", known)
    zero = {"weight": torch.zeros(2, 3)}
    same(ask(answer, zero, C)["weight"], zero["weight"], "the clipped gradient where it is 0")
    return "every example moves the sum by at most C, and short gradients stay as they are."


def _scaled(factors: Tensor, g: Tensor) -> Tensor:
    return torch.einsum("i,i...->i...", factors, g)


@exercise("06.noise")
def noisy_mean(answer: Answer) -> str:
    for n, d, L in ((7, 11, 10), (12, 5, 8)):
        clipped = torch.randn(n, d)
        total = clipped.sum(dim=0)
        known = {
            "divide by the expected batch size L, not by how many were drawn: that number depends "
            "on the data": total / n,
            "the sum was not divided by L": total,
        }
        what = "the result without noise (sigma = 0)"
        same(answer(clipped, 0.0, 1.5, L), total / L, what, known)
    for n, sigma, C, L in ((9, 1.5, 0.4, 5), (0, 0.7, 3.0, 4), (16, 2.0, 0.5, 25)):
        noise = [torch.as_tensor(answer(torch.zeros(n, 20_000), sigma, C, L)) for _ in "ab"]
        _check_noise(*noise, n, sigma, C, L)
    return "noise of standard deviation sigma C on the sum, then a fixed divisor."


def _check_noise(first: Tensor, again: Tensor, n: int, sigma: float, C: float, L: int) -> None:
    shape, want, std = tuple(first.shape), sigma * C / L, first.std().item()
    wrong_if(shape != (20_000,), f"the result has shape {shape}, it should be (20000,)")
    finite = torch.isfinite(first).all()
    wrong_if(not finite, f"the result is not finite for a batch of {n} examples")
    wrong_if(n == std == 0, "an empty batch got no noise: its sum, 0, is noised like any other")
    flat = std < 1e-4 * want and first.any()
    wrong_if(flat, "every coordinate got the same noise: draw one number for each")
    fixed = std > 0 and torch.equal(first, again)
    wrong_if(fixed, "the noise is the same each time: do not fix a seed, it could be subtracted")
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
            wrong_if(abs(std - wrong) <= 0.05 * wrong, words)
        raise Mistake(f"the noise has standard deviation {std:.3g}, it should be {want:.3g}")
    wrong_if(first.mean().abs() > 6 * want / math.sqrt(20_000), "the noise is not centred at 0")
    within = (first.abs() < want).float().mean().item()
    wrong_if(abs(within - 0.683) > 0.03, "the noise is not Gaussian")


@exercise("06.poisson", (40, 0.3, 2000), (25, 0.6, 2000), (3, 0.2, 500))
def poisson_batch(answer: Answer, N: int, q: float, draws: int) -> str:
    batches = [answer(N, q) for _ in range(draws)]
    begun(batches[0])
    batches = [torch.as_tensor(b).cpu() for b in batches]
    mask = any(b.dtype == torch.bool for b in batches)
    wrong_if(mask, "that is a mask, true or false for each example: return the indices")
    odd = any(b.ndim != 1 or (len(b) and b.is_floating_point()) for b in batches)
    wrong_if(odd, "return a one-dimensional tensor of integers")
    outside = any(len(b) and not 0 <= int(b.min()) <= int(b.max()) < N for b in batches)
    wrong_if(outside, "an index is out of range: allowed are 0 to N - 1")
    chosen = torch.stack([b.long().bincount(minlength=N) for b in batches]).double()
    wrong_if(chosen.max() > 1, "an example was drawn twice: its gradient would count double")
    sizes = chosen.sum(dim=1)
    wrong_if(sizes.std() == 0, "all batches have one fixed size: with a coin for each, sizes vary")
    margin = 6 * math.sqrt(q * (1 - q) / draws)  # six standard errors
    worst = (chosen.mean(dim=0) - q).abs().max().item()
    wrong_if(worst > margin, f"some example is in with a frequency {worst:.2f} away from q = {q}")
    uneven = abs(sizes.var().item() / (N * q * (1 - q)) - 1) > 0.4
    wrong_if(uneven, "the sizes vary too much or too little: every example needs its own coin")
    joint = (chosen.T @ chosen / draws).fill_diagonal_(q * q)
    tied = (joint - q * q).abs().max() > margin
    wrong_if(tied, "some examples come together too often or too rarely: coins are independent")
    return "a coin for every example; sizes vary, and empty batches happen."


@exercise("06.delta", (1_000, 50, 0.01), (50_000, 500, 0.05), (200, 64, 0.5))
def largest_delta(answer: Answer, N: int, L: int, risk: float) -> str:
    known = {
        "you counted batches: everybody has a delta, so count examples": 1 - (1 - risk) ** (L / N),
        "risk / N is safe (a union bound), but not the largest delta": risk / N,
        "batches do not matter here: everybody has a delta, so count examples": risk * L / N,
        "1/N is far too large: at that delta somebody is published with 63 %": 1 / N,
        "that is the risk for one example: with N of them it adds up": risk,
        "that is the probability that somebody is published at delta = risk": 1 - (1 - risk) ** N,
    }
    same(answer(N, L, risk), 1 - (1 - risk) ** (1 / N), f"delta for N = {N}, risk = {risk}", known)
    return "delta counts examples, and lies well below 1/N for any risk worth taking."
