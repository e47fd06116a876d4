"""Wrong answers to the exercises of lesson A1, and words that the verdict must hold."""

WRONG = {
    "A1.votes": [
        (
            "atan knows no quadrant",
            """
def votes(dx, dy):
    turn = torch.atan(dy / dx) - (torch.arange(8) * math.pi / 4)[:, None, None]
    return torch.hypot(dx, dy) * turn.cos().clamp(min=0) ** 4
""",
        ),
        (
            "length is missing",
            """
def votes(dx, dy):
    turn = torch.atan2(dy, dx) - (torch.arange(8) * math.pi / 4)[:, None, None]
    return turn.cos().clamp(min=0) ** 4
""",
        ),
        (
            "opposite direction",
            """
def votes(dx, dy):
    turn = torch.atan2(dy, dx) - (torch.arange(8) * math.pi / 4)[:, None, None]
    return torch.hypot(dx, dy) * turn.cos() ** 4
""",
        ),
        (
            "half a turn",
            """
def votes(dx, dy):
    turn = torch.atan2(dy, dx) - (torch.arange(8) * math.pi / 8)[:, None, None]
    return torch.hypot(dx, dy) * turn.cos().clamp(min=0) ** 4
""",
        ),
        (
            "45° is π / 4",
            """
def votes(dx, dy):
    turn = torch.atan2(dy, dx) - (torch.arange(8) * 45)[:, None, None]
    return torch.hypot(dx, dy) * turn.cos().clamp(min=0) ** 4
""",
        ),
        (
            "yours are degrees",
            """
def votes(dx, dy):
    turn = torch.rad2deg(torch.atan2(dy, dx)) - (torch.arange(8) * 45)[:, None, None]
    return torch.hypot(dx, dy) * turn.cos().clamp(min=0) ** 4
""",
        ),
        (
            "length counts once",
            """
def votes(dx, dy):
    thetas = (torch.arange(8) * math.pi / 4)[:, None, None]
    return (dx * thetas.cos() + dy * thetas.sin()).clamp(min=0) ** 4
""",
        ),
    ],
    "A1.blind": [
        ("guesses 0", "def blind_error(targets):\n    return targets.square().mean()"),
        (
            "one guess for all columns",
            "def blind_error(targets):\n    return targets.var(correction=0)",
        ),
        ("N T - 1", "def blind_error(targets):\n    return targets.var()"),
        ("N - 1", "def blind_error(targets):\n    return targets.var(dim=0).mean()"),
        (
            "standard deviation",
            "def blind_error(targets):\n    return targets.std(dim=0, correction=0).mean()",
        ),
    ],
    "A1.steps": [
        (
            "last batch of each epoch is missing",
            "def total_steps(images, batch_size, epochs):\n"
            "    return epochs * (images // batch_size)",
        ),
        (
            "rounded up too late",
            "def total_steps(images, batch_size, epochs):\n"
            "    return math.ceil(epochs * images / batch_size)",
        ),
        (
            "rounded down, and only at the end",
            "def total_steps(images, batch_size, epochs):\n"
            "    return epochs * images // batch_size",
        ),
        (
            "whole number",
            "def total_steps(images, batch_size, epochs):\n    return epochs * images / batch_size",
        ),
        (
            "single epoch",
            "def total_steps(images, batch_size, epochs):\n"
            "    return math.ceil(images / batch_size)",
        ),
    ],
}
