"""A secret key as a file of its own, which only its owner can read; never part of an adapter."""

import hashlib
import json
import os
from pathlib import Path

import torch

from lorakit.checks import checked
from lorakit.encryption.cipher import STEPS, Key
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

    ValueError if it is not a whole key; PermissionError if others may read it.
    """
    path = Path(path)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise PermissionError(f"path={str(path)!r}: others can read this key; run chmod 600 on it")
    try:
        content = json.loads(path.read_text())
        digest = content.pop("digest", None)
        blocks, pixels = (torch.tensor(content[name]).long() for name in ("blocks", "pixels"))
        flips, steps = torch.tensor(content["flips"]).bool(), tuple(content["steps"])
        key = Key(content["image_size"], content["block_size"], blocks, pixels, flips, steps)
        whole = (
            (content["format"], digest) == (2, _digest(content))
            and steps == tuple(step for step in STEPS if step in steps)
            and all(sorted(content[n]) == [*range(len(content[n]))] for n in ("blocks", "pixels"))
            and set(content["flips"]) <= {0, 1}
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RuntimeError):
        whole = False
    if not whole:
        raise ValueError(f"path={str(path)!r}: not a whole key of lorakit")
    return key


def _digest(content: dict) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
