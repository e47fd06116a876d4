"""Take turns: each mode of a step in each precision, timed one by one, so that drift hits all."""

import gc
import math
import time
from collections.abc import Callable, Sequence
from itertools import product
from typing import TypeVar

import numpy as np
import psutil
import torch
from steps import MODES, Take, make_step, matrix_product

from lorakit.runtime import PRECISIONS, peak_memory_mb, reset_peak_memory

WARM_UP = 2  # steps: the first one sets up, and the second needs all the memory
TIME_WAS_UP = "the time was up"

Result = TypeVar("Result")


class Turns:
    """Every mode in every precision, for one backbone and method.

    The precisions of a mode share its model. What fails is noted and drops out; the model is then
    made anew for the other precisions.
    """

    def __init__(self, backbone: str, method: str, batch: int, device: torch.device) -> None:
        self.what, self.batch, self.device = (backbone, method), batch, device
        pairs = list(product(MODES, PRECISIONS))
        self.seconds: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
        self.memory: dict[tuple[str, str], float] = {}
        self.notes: dict[tuple[str, str], str] = {}
        self._steps: dict[str, Take] = {}
        self._floors: dict[str, float] = {}

    def warm_up(self, mode: str, precision: str) -> None:
        """Take the first steps; their peak memory in MB is kept."""
        if mode not in self._steps:
            self._floors[mode] = memory_mb(self.device)
            self._steps[mode] = make_step(*self.what, mode, self.batch, self.device)
        reset_peak_memory(self.device)
        for _ in range(WARM_UP):
            self._steps[mode](precision)
        peak = peak_memory_mb(self.device) - self._floors[mode]
        self.memory[mode, precision] = max(0.0, peak)

    def take(self, mode: str, precision: str) -> None:
        """A step that puts away what its neighbour left in caches, and one that is timed."""
        if mode not in self._steps:
            self.warm_up(mode, precision)
        step = self._steps[mode]
        step(precision)
        self.seconds[mode, precision].append(timed(lambda: step(precision), self.device))

    def round(self, until: float, *, first: bool = False) -> bool:
        """One turn of each that has not failed; whether there was time for all."""
        turn = self.warm_up if first else self.take
        for pair in self.seconds:
            if pair in self.notes:
                continue
            if time.monotonic() > until:
                return False
            _, note = attempt(turn, *pair)
            if note:
                self.notes[pair] = note
                self._steps.pop(pair[0], None)
                free(self.device)
        return True

    def rows(self, work: float | None, rates: dict[str, float]) -> list[dict]:
        """What was measured so far, a row for each mode and precision.

        Args:
            work: of a plain step for one image, in floating-point operations, if it is known.
            rates: of matrix products in each precision, in 10^12 operations a second.
        """
        (backbone, method), rows = self.what, []
        for (mode, precision), seconds in self.seconds.items():
            row = {"part": "step", "backbone": backbone, "method": method, "mode": mode}
            row |= {"precision": precision, "batch": self.batch, "rounds": len(seconds)}
            row["note"] = self.notes.get((mode, precision), "" if seconds else TIME_WAS_UP)
            memory = self.memory.get((mode, precision), math.nan)
            row["peak_memory_mb"] = memory
            if self.device.type == "cuda":
                beside = self.memory.get(("plain", precision)) or math.nan
                row["memory_ratio"] = memory / beside
            if seconds:
                plain = self.seconds["plain", precision]
                row |= quartiles("seconds", seconds)
                row |= quartiles("ratio", [one / other for one, other in zip(seconds, plain)])
                row["images_per_second"] = self.batch / row["seconds"]
                row["tflops"] = row["images_per_second"] * (work or math.nan) / 1e12
                row["share_of_rate"] = row["tflops"] / rates.get(precision, math.nan)
            rows.append(row)
        return rows

    def close(self) -> None:
        """Free what the steps hold."""
        self._steps.clear()
        free(self.device)


def product_seconds(
    size: int, rounds: int, device: torch.device, until: float
) -> dict[str, list[float]]:
    """Seconds of a product of two square matrices, in each precision by turns."""
    multiply, seconds = matrix_product(size, device), {name: [] for name in PRECISIONS}
    for number in range(rounds + WARM_UP):
        for name, times in seconds.items():
            took = timed(lambda p=name: multiply(p), device)
            if number >= WARM_UP:
                times.append(took)
        if number >= WARM_UP and time.monotonic() > until:
            break
    return seconds


def quartiles(name: str, values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles as columns; none without values."""
    if not len(values):
        return {}
    low, middle, high = np.percentile(values, (25, 50, 75))
    return {name: middle, f"{name}_q1": low, f"{name}_q3": high}


def timed(call: Callable[[], None], device: torch.device) -> float:
    """Seconds of a call, with all it leaves to the GPU."""
    _synchronize(device)
    start = time.perf_counter()
    call()
    _synchronize(device)
    return time.perf_counter() - start


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def attempt(call: Callable[..., Result], *arguments: object) -> tuple[Result | None, str]:
    """What a call returns; or None and, in a few words, why it failed."""
    try:
        return call(*arguments), ""
    except (torch.OutOfMemoryError, MemoryError):
        return None, "out of memory"
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        return None, f"{type(error).__name__}: {lines[0][:100]}"


def free(device: torch.device) -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def memory_mb(device: torch.device) -> float:
    """Memory taken now, in MB, as ``peak_memory_mb`` counts it."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device) / 2**20
    return psutil.Process().memory_info().rss / 2**20
