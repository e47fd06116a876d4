"""Where and how a run happens: seed, device, versions, peak memory."""

from __future__ import annotations

import platform
import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

PRECISIONS = ("float32", "tf32", "bf16")
_PACKAGES = ("torch", "timm", "opacus", "numpy")


def seed_everything(seed: int | None) -> None:
    """Seed Python, NumPy and PyTorch. The one place where randomness is set.

    None takes a secret seed from the system's cryptographic generator.
    """
    seed = secrets.randbits(63) if seed is None else seed
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for, or CUDA, Apple MPS, CPU, whichever is found first.

    Raises ValueError if a CUDA device is asked for and none is there.
    """
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device={str(device)!r}: no CUDA device here; allowed: 'cpu' or None")
    return device


def chosen_precision(name: str | None, device: torch.device) -> str:
    """How matrix products are computed: a name of ``PRECISIONS``.

    ``float32``; ``tf32``: float32 with products of 10-bit mantissas, on CUDA; ``bf16``: as tf32,
    and the forward pass in bfloat16 where PyTorch's autocast finds that safe. None means bf16 on
    CUDA and float32 elsewhere. Raises ValueError for another name.
    """
    if name is not None and name not in PRECISIONS:
        raise ValueError(f"precision={name!r}: allowed: None or one of {PRECISIONS}")
    return name or ("bf16" if device.type == "cuda" else "float32")


@contextmanager
def product_precision(name: str) -> Iterator[None]:
    """Inside, products of float32 matrices are exact or in TF32; then as before."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest" if name == "float32" else "high")
    torch.backends.cudnn.allow_tf32 = name != "float32"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def device_name(device: torch.device) -> str:
    """A name a reader understands: the GPU's model, or the processor's architecture."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()}, {torch.get_num_threads()} threads)"


def versions() -> str:
    """The versions that decide a result, as one line for a result row."""
    import lorakit

    own = f"lorakit {lorakit.__version__}, python {platform.python_version()}"
    return ", ".join([own] + [f"{name} {version(name)}" for name in _PACKAGES])


def reset_peak_memory(device: torch.device) -> None:
    """Start a new peak-memory measurement (on Linux or CUDA; elsewhere a no-op)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory since the last reset, in MB: allocated on CUDA, resident set elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        status = Path("/proc/self/status").read_text()
        return float(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        import psutil

        return psutil.Process().memory_info().rss / 2**20
