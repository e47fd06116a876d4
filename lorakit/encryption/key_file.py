"""A secret key as a file of its own, which only its owner can read; never part of an adapter."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path

import torch

from lorakit.checks import checked
from lorakit.encryption.cipher import CHANNELS, STEPS, Key
from lorakit.runtime import write_atomic


@checked
def save_key(key: Key, path: str | Path) -> Path:
    """Write a key as JSON, readable by its owner alone (mode 0600); returns the path."""
    content = {"format": 2, **vars(key)}
    content |= {n: v.int().tolist() for n, v in content.items() if isinstance(v, torch.Tensor)}
    write_atomic(json.dumps(content | {"digest": _digest(content)}) + "\n", path, secret=True)
    return Path(path)


@checked
def load_key(path: str | Path) -> Key:
    """Read a key of ``save_key``; messages of errors never show what is in the file.

    A key of the first edition, which has no digest, is read with a warning: nothing else opens its
    pictures. Raises ValueError if it is not a whole key, PermissionError if others than the owner
    may read it (on systems with such permissions).
    """
    path = Path(path)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise PermissionError(f"path={str(path)!r}: others can read this key; run chmod 600 on it")
    try:
        content = json.loads(path.read_text())
        digest = content.pop("digest", None)
        size, p, steps = (content[name] for name in ("image_size", "block_size", "steps"))
        blocks, pixels, flips = (content[name] for name in ("blocks", "pixels", "flips"))
        whole = (
            (content["format"], digest) in ((1, None), (2, _digest(content)))
            and type(size) is type(p) is int
            and size >= p >= 1
            and size % p == 0
            and [step for step in STEPS if step in steps] == steps
            and _permutes(blocks, (size // p) ** 2)
            and _permutes(pixels, CHANNELS * p**2)
            and len(flips) == len(pixels)
            and set(flips) <= {0, 1}
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        whole = False
    if not whole:
        raise ValueError(f"path={str(path)!r}: not a whole key of lorakit")
    if digest is None:
        warnings.warn(f"path={str(path)!r}: no digest; save_key again gives it one", stacklevel=2)
    blocks, pixels = (torch.tensor(x, dtype=torch.int64) for x in (blocks, pixels))
    return Key(size, p, blocks, pixels, torch.tensor(flips, dtype=torch.bool), tuple(steps))


def _digest(content: dict) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _permutes(values: list, n: int) -> bool:
    return len(values) == n and sorted(values) == list(range(n))
