"""Read and write safetensors files, which hold numbers and text and never code."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lorakit.runtime import write_atomic

UNSEALED = "unsealed".center(64, "-")
_NUMBERS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """All tensors of a file, by name, and its metadata; ValueError unless they are finite."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"path={str(path)!r}: no such file")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
        raise refuse(path, f"not a safetensors file, or damaged ({error})") from None
    for name, tensor in tensors.items():
        if tensor.dtype not in _NUMBERS or not tensor.isfinite().all():
            raise refuse(path, f"tensor {name!r} holds something other than finite numbers")
    return tensors, metadata


def write_tensors(tensors: Mapping[str, Tensor], metadata: dict, path: str | Path) -> None:
    """Write tensors by name, and text by name, in one step.

    The first ``UNSEALED`` in the file becomes the digest of all that is in it.
    """
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(content, metadata)
    digest = hashlib.sha256(content).hexdigest()
    write_atomic(content.replace(UNSEALED.encode(), digest.encode(), 1), path)


def check_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> None:
    """Raise ValueError unless the names and shapes are those wanted."""
    shared = wanted.keys() & tensors.keys()
    problems = {
        "missing": wanted.keys() - shared,
        "not expected": tensors.keys() - shared,
        "of another shape": {n for n in shared if wanted[n].shape != tensors[n].shape},
    }
    for problem, names in problems.items():
        if names:
            raise refuse(path, f"tensors {problem}: {sorted(names)[:4]}")


def refuse(path: str | Path, reason: str) -> ValueError:
    """The error for a file that is not what it should be, to be raised."""
    return ValueError(f"path={str(path)!r}: {reason}")
