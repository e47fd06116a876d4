"""Wrong answers to lesson 06, and words that the message must hold."""

NORMS = "torch.cat([g.flatten(1) for g in gradients.values()], 1).norm(dim=1)"
SCALE = 'return {n: torch.einsum("i,i...->i...", f, g) for n, g in gradients.items()}'

WRONG = {
    "06.clip": [
        (
            "each parameter was clipped on its own",
            """
def clip_each(gradients, C):
    def one(g):
        f = (C / g.flatten(1).norm(dim=1)).clamp(max=1)
        return torch.einsum("i,i...->i...", f, g)
    return {n: one(g) for n, g in gradients.items()}
""",
        ),
        (
            "scaled small gradients up",
            f"""
def clip_each(gradients, C):
    f = C / {NORMS}
    {SCALE}
""",
        ),
        (
            "clipped the mean gradient",
            """
def clip_each(gradients, C):
    means = {n: g.mean(0) for n, g in gradients.items()}
    norm = torch.cat([g.flatten() for g in means.values()]).norm()
    return {n: g * min(1, C / norm) for n, g in means.items()}
""",
        ),
        (
            "that of the mean",
            """
def clip_each(gradients, C):
    norm = torch.cat([g.mean(0).flatten() for g in gradients.values()]).norm()
    return {n: g * min(1, C / norm) for n, g in gradients.items()}
""",
        ),
        (
            "clamped every entry",
            "def clip_each(gradients, C):\n"
            "    return {n: g.clamp(-C, C) for n, g in gradients.items()}",
        ),
    ],
    "06.noise": [
        (
            "C is missing",
            """
def noisy_mean(clipped, sigma, C, L):
    total = clipped.sum(0)
    return (total + sigma * torch.randn_like(total)) / L
""",
        ),
        (
            "after dividing",
            """
def noisy_mean(clipped, sigma, C, L):
    mean = clipped.sum(0) / L
    return mean + sigma * C * torch.randn_like(mean)
""",
        ),
        (
            "for each example",
            """
def noisy_mean(clipped, sigma, C, L):
    return (clipped + sigma * C * torch.randn_like(clipped)).sum(0) / L
""",
        ),
        (
            "not by how many were drawn",
            """
def noisy_mean(clipped, sigma, C, L):
    total = clipped.sum(0)
    return (total + sigma * C * torch.randn_like(total)) / len(clipped)
""",
        ),
        (
            "the same noise",
            """
def noisy_mean(clipped, sigma, C, L):
    return (clipped.sum(0) + sigma * C * torch.randn(1)) / L
""",
        ),
        (
            "the same each time",
            """
def noisy_mean(clipped, sigma, C, L):
    torch.manual_seed(0)
    total = clipped.sum(0)
    return (total + sigma * C * torch.randn_like(total)) / L
""",
        ),
        (
            "there is no noise",
            "def noisy_mean(clipped, sigma, C, L):\n    return clipped.sum(0) / L",
        ),
    ],
    "06.poisson": [
        (
            "one fixed size",
            "def poisson_batch(N, q):\n    return torch.randperm(N)[: round(q * N)]",
        ),
        ("drawn twice", "def poisson_batch(N, q):\n    return torch.randint(N, (round(q * N),))"),
        ("a mask", "def poisson_batch(N, q):\n    return torch.rand(N) < q"),
        (
            "every example needs its own coin",
            "def poisson_batch(N, q):\n    return torch.arange(N if torch.rand(1) < q else 0)",
        ),
        (
            "vary too much",
            """
def poisson_batch(N, q):
    size = int(torch.poisson(torch.tensor(q * N)).clamp(max=N))
    return torch.randperm(N)[:size]
""",
        ),
    ],
    "06.delta": [
        ("counted batches", "def largest_delta(N, L, risk):\n    return 1 - (1 - risk) ** (L / N)"),
        ("63 %", "def largest_delta(N, L, risk):\n    return 1 / N"),
        ("union bound", "def largest_delta(N, L, risk):\n    return risk / N"),
        ("batches do not matter", "def largest_delta(N, L, risk):\n    return risk * L / N"),
        ("for one example", "def largest_delta(N, L, risk):\n    return risk"),
    ],
}
