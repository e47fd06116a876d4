"""A secret key as a file of its own, which only its owner can read; never part of an adapter."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch

from lorakit.encryption.cipher import CHANNELS, STEPS, Key
from lorakit.runtime import write_atomic


def save_key(key: Key, path: str | Path) -> Path:
    """Write a key as JSON, readable by its owner alone (mode 0600); returns the path."""
    content = {
        "format": 1,
        "image_size": key.image_size,
        "block_size": key.block_size,
        "steps": key.steps,
        "blocks": key.blocks.tolist(),
        "pixels": key.pixels.tolist(),
        "flips": key.flips.int().tolist(),
    }
    write_atomic(json.dumps(content) + "\n", path, secret=True)
    return Path(path)


def load_key(path: str | Path) -> Key:
    """Read a key of ``save_key``; messages of errors never show what is in the file.

    Raises:
        FileNotFoundError: there is no such file.
        PermissionError: others than the owner may read it (on systems with such permissions).
        ValueError: it is not a whole key.
    """
    path = Path(path)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise PermissionError(f"path={str(path)!r}: others can read this key; run chmod 600 on it")
    try:
        content = json.loads(path.read_text())
        size, p, steps = (content[name] for name in ("image_size", "block_size", "steps"))
        right = content["format"] == 1 and type(size) is type(p) is int and size >= p >= 1
        right = right and size % p == 0 and [s for s in STEPS if s in steps] == steps
        counts = {"blocks": (size // p) ** 2, "pixels": CHANNELS * p**2}
        right = right and all(sorted(content[n]) == list(range(c)) for n, c in counts.items())
        flips = content["flips"]
        right = right and len(flips) == counts["pixels"] and set(flips) <= {0, 1}
    except (ValueError, KeyError, TypeError, ZeroDivisionError):
        right = False
    if not right:
        raise ValueError(f"path={str(path)!r}: not a whole key of lorakit")
    blocks, pixels = (torch.tensor(content[name]) for name in ("blocks", "pixels"))
    return Key(size, p, blocks, pixels, torch.tensor(flips, dtype=torch.bool), tuple(steps))
