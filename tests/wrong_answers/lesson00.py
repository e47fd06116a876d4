"""Wrong answers to the exercises of lesson 00, and words that the verdict must hold."""

_RIGHT = """\
helps = {
    "curious trainer": "encryption",
    "published model": "dp",
    "company publishes": "both",
    "labels": "neither",
    "leaked pair": "neither",
}
"""

WRONG = {
    "00.who": [
        ("sees every picture", _RIGHT + 'helps["curious trainer"] = "dp"'),
        ("finished model", _RIGHT + 'helps["published model"] = "encryption"'),
        ("two who look", _RIGHT + 'helps["company publishes"] = "encryption"'),
        ("sent as they are", _RIGHT + 'helps["labels"] = "encryption"'),
        ("gives the key away", _RIGHT + 'helps["leaked pair"] = "both"'),
        ("allowed: 'encryption'", _RIGHT + 'helps["labels"] = "none"'),
        ("no answer yet", _RIGHT + 'helps["labels"] = ...'),
    ],
    "00.encrypt": [
        ("still plain", "def encrypted(split, key):\n    return Split(split.images, split.labels)"),
        (
            "not the whole split",
            "def encrypted(split, key):\n    return encrypt(split, key)",
        ),
        (
            "of type Split, yours is a Tensor",
            "def encrypted(split, key):\n    return encrypt(split.images, key)",
        ),
        (
            "tensor of labels",
            "def encrypted(split, key):\n"
            "    return Split(encrypt(split.images, key), split.labels.flip(0))",
        ),
        (
            "tensor of images",
            "def encrypted(split, key):\n"
            "    other = make_key(key.image_size, key.block_size)\n"
            "    return Split(encrypt(split.images, other), split.labels)",
        ),
    ],
    "00.share": [
        (
            "LoRA alone",
            'def share(model):\n    c = count_parameters(model)\n    return c["lora"] / c["total"]',
        ),
        (
            "in per cent",
            "def share(model):\n"
            "    c = count_parameters(model)\n"
            '    return 100 * c["trainable"] / c["total"]',
        ),
        (
            "upside down",
            "def share(model):\n"
            "    c = count_parameters(model)\n"
            '    return c["total"] / c["trainable"]',
        ),
        (
            "not only the frozen",
            "def share(model):\n"
            "    c = count_parameters(model)\n"
            '    return c["trainable"] / (c["total"] - c["trainable"])',
        ),
        (
            "counts tensors",
            "def share(model):\n"
            "    trains = [p.requires_grad for p in model.parameters()]\n"
            "    return sum(trains) / len(trains)",
        ),
        (
            "number of parameters",
            'def share(model):\n    return count_parameters(model)["trainable"]',
        ),
    ],
}
