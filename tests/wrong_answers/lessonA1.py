"""Wrong answers to the exercises of lesson A1, and words that the verdict must hold."""

WRONG = {
    "A1.chance": [
        ("natural logarithm", "def loss_at_chance(classes):\n    return math.log2(classes)"),
        ("accuracy at chance", "def loss_at_chance(classes):\n    return 1 / classes"),
        ("wrong sign", "def loss_at_chance(classes):\n    return math.log(1 / classes)"),
        ("base 10", "def loss_at_chance(classes):\n    return math.log10(classes)"),
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
            "whole number",
            "def total_steps(images, batch_size, epochs):\n    return epochs * images / batch_size",
        ),
        (
            "single epoch",
            "def total_steps(images, batch_size, epochs):\n"
            "    return math.ceil(images / batch_size)",
        ),
    ],
    "A1.half": [
        (
            "how many bytes",
            "def bytes_in_half(model):\n    return sum(p.numel() for p in model.parameters())",
        ),
        (
            "those are bits",
            "def bytes_in_half(model):\n    return 16 * sum(p.numel() for p in model.parameters())",
        ),
        (
            "frozen parameters",
            "def bytes_in_half(model):\n"
            "    return 2 * sum(p.numel() for p in model.parameters() if p.requires_grad)",
        ),
        (
            "biases",
            "def bytes_in_half(model):\n"
            "    return 2 * sum(p.numel() for p in model.parameters() if p.ndim > 1)",
        ),
    ],
}
