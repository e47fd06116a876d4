"""Read a safetensors file, which holds numbers and text and never code."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor


def read_tensors(path: str | Path, *, finite: bool = True) -> tuple[dict[str, Tensor], dict]:
    """All tensors of a file, by name, and its metadata.

    Args:
        finite: refuse what is not made of finite floating-point numbers.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a safetensors file, a damaged one, or numbers that are not finite.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).exists():
        raise FileNotFoundError(f"path={str(path)!r}: no such file")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"path={str(path)!r}: not a safetensors file, or damaged ({error})"
        ) from None
    for name, tensor in tensors.items() if finite else ():
        if not (tensor.is_floating_point() and tensor.isfinite().all()):
            raise ValueError(
                f"path={str(path)!r}: tensor {name!r} holds something other than finite numbers"
            )
    return tensors, metadata
