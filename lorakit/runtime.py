"""Where and how a run happens: seed, device, precision, versions, peak memory, atomic writes."""

from __future__ import annotations

import os
import platform
import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import lazy_loader
import numpy as np

from lorakit.checks import check_choice

torch = lazy_loader.load("torch")  # what only writes files or draws is not to wait for it

PRECISIONS = ("float32", "tf32", "bf16")
_PACKAGES = ("torch", "timm", "opacus", "numpy")


def seed_everything(seed: int | None) -> None:
    """Seed Python, NumPy and PyTorch; None takes secret seeds from the system, each its own."""
    random.seed(seed)
    np.random.seed(None if seed is None else seed % 2**32)
    torch.manual_seed(secrets.randbits(63) if seed is None else seed)
    if seed is None:  # of a seed the generator of the CPU keeps 32 bits, which one can try out
        words = np.frombuffer(secrets.token_bytes(4 * 624), np.uint32).astype(np.uint64)
        state = torch.get_rng_state()
        state[24 : 24 + 8 * 624] = torch.from_numpy(words.view(np.uint8))  # of its MT19937
        torch.set_rng_state(state)


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for, or CUDA, Apple MPS, CPU, whichever is there first."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0  # one may not work
    counts = {"cuda": gpus, "mps": torch.backends.mps.is_available(), "cpu": 1}
    there = [name for name, count in counts.items() if count]
    with suppress(RuntimeError):  # of a name that PyTorch does not know
        found = torch.device(there[0] if device is None else device)
        if (found.index or 0) < counts.get(found.type, 0):
            return found
    raise ValueError(f"device={str(device)!r}: not here; allowed: None or one of {there}")


def chosen_precision(name: str | None, device: torch.device) -> str:
    """How matrix products are computed: a name of ``PRECISIONS``.

    ``float32``; ``tf32``: float32 with products of 10-bit mantissas, on CUDA; ``bf16``: as tf32,
    and the forward pass in bfloat16 where PyTorch's autocast finds that safe. None means bf16 on
    CUDA and float32 elsewhere.
    """
    check_choice("precision", name, (None, *PRECISIONS))
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


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, PyTorch computes on one CPU thread; then on as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
        torch.cuda.init()  # a device by number is not known before
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


def write_atomic(content: str | bytes, path: str | Path, *, secret: bool = False) -> None:
    """Write a file in one step: readers, and crashes, find the old or the new one, never a part."""
    with replacing(path, secret=secret) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing(path: str | Path, *, secret: bool = False) -> Iterator[BinaryIO]:
    """A file to write in, which takes the place of ``path`` in one step at the end.

    After an error nothing has changed, and an OSError names the path. Links are followed. The
    mode stays as it is there, a new file's follows the umask; ``secret`` is for the owner alone.
    """
    path = Path(path).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    mode = 0o600 if secret else path.stat().st_mode & 0o777 if path.exists() else None
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        handle = os.open(temporary, flags, 0o666 if mode is None else mode)  # less the umask
        with os.fdopen(handle, "wb") as file:
            if mode is not None:
                os.chmod(temporary, mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary)):
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise
