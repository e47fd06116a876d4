"""What a GPU makes of it: private against plain steps, in every precision, and the paper's preset.

    python tests/benchmarks/gpu.py [--minutes 9] [--backbones vit_base_patch16_224 vit_micro]

Nothing is downloaded: weights and images are random. Writes figures/results/gpu.csv, anew after
each round, so that a stop loses nothing; with ``--parts``, the rows of other parts stay.
``--device cpu --tiny --out FILE`` tries all of it in small, without a GPU. The column ``part``
says what a row is:

- ``matrix``: a product of two large matrices; ``batch`` is their side.
- ``step``: an optimiser step, plain, private (``hooks`` is lorakit's own) and in other modes of
  Opacus. Modes and precisions take turns, after two steps of each that also give the peak memory.
- ``dry-run``: the whole way of ``python -m lorakit.experiments.paper --dry-run``. ``rounds`` are
  its runs, the memory is that of the largest.
- ``estimate``: what the paper's preset will take, by ``lorakit.experiments.estimate``.

``seconds`` is a median, with its quartiles; ``ratio`` the median of a step's time over that of the
plain step in the same round and precision; ``memory_ratio`` that of the peaks. The work of a
plain step, in floating-point operations, gives ``tflops`` (10^12 a second) and ``share_of_rate``,
of the rate of ``matrix`` in that precision: what privacy adds counts as time and not as work.
Memory of a step is what it takes beyond what was taken before; on a CPU that is too rough for a
ratio. ``note`` says why something was not measured.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import timm
import torch
from steps import work_of_a_step
from tqdm import tqdm
from turns import TIME_WAS_UP, Turns, attempt, free, product_seconds, quartiles

from lorakit.experiments.estimate import estimate
from lorakit.experiments.experiment import Experiment
from lorakit.experiments.presets import grid
from lorakit.experiments.run import image_size_of
from lorakit.runtime import (
    PRECISIONS,
    chosen_precision,
    device_name,
    pick_device,
    versions,
    write_atomic,
)

ROOT = Path(__file__).resolve().parents[2]
BACKBONES = ("vit_base_patch16_224", "vit_micro", "vit_mini")  # as far as they are there
METHODS = ("lora+patch", "full")
PARTS = ("matrix", "step", "dry-run", "estimate")
KEYS = ("part", "backbone", "method", "mode", "precision")
COLUMNS = (
    *KEYS, "batch", "rounds", "seconds", "seconds_q1", "seconds_q3", "ratio", "ratio_q1",
    "ratio_q3", "images_per_second", "tflops", "share_of_rate", "peak_memory_mb", "memory_ratio",
    "hours", "note", "device", "versions",
)  # fmt: skip
_RESERVE = 0.1  # of the time, for what cannot be stopped in the middle
_ESTIMATE = 10  # seconds left without which an estimate is not begun

Part = Callable[[float], None]  # measures until a time of time.monotonic()


class Table:
    """The rows so far, and the file they are in."""

    def __init__(self, path: Path, device: torch.device, keep: bool = False) -> None:
        self.path, self.rows = path, {}
        self.rates: dict[str, float] = {}  # of matrix products in each precision
        if keep and path.exists():
            old = pd.read_csv(path).astype(object)
            for row in old.where(old.notna(), None).to_dict("records"):
                self.rows[tuple(row[key] for key in KEYS)] = row
                if row["part"] == "matrix" and row["tflops"]:
                    self.rates[row["precision"]] = row["tflops"]
        self.where = {"device": device_name(device), "versions": versions()}

    def put(self, *rows: dict) -> None:
        """Add rows, or replace those of the same keys; write the file."""
        for row in rows:
            self.rows[tuple(row.get(key) for key in KEYS)] = {"note": "", **row, **self.where}
        write_atomic(self.frame().to_csv(index=False, float_format="%.5g"), self.path)

    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows.values()).reindex(columns=COLUMNS)


def measure_matrices(
    table: Table, device: torch.device, size: int, rounds: int, until: float
) -> None:
    """The rate of matrix products in each precision."""
    seconds, note = attempt(product_seconds, size, rounds, device, until)
    for name in PRECISIONS:
        row = {"part": "matrix", "precision": name, "batch": size, "note": note}
        if seconds:
            row |= quartiles("seconds", seconds[name]) | {"rounds": len(seconds[name])}
            table.rates[name] = row["tflops"] = 2 * size**3 / row["seconds"] / 1e12
        table.put(row)


def measure_steps(
    table: Table,
    device: torch.device,
    backbone: str,
    method: str,
    batch: int,
    rounds: int,
    until: float,
) -> None:
    """Rows for every mode and precision, renewed after each round."""
    work, _ = attempt(work_of_a_step, backbone, method, device)
    free(device)
    turns = Turns(backbone, method, batch, device)
    for number in range(1 + rounds):
        in_time = turns.round(until, first=not number)
        table.put(*turns.rows(work, table.rates))
        if not in_time:
            break
    turns.close()


def measure_dry_run(table: Table, device: torch.device, backbone: str, until: float) -> None:
    """Seconds of the paper's dry run, in a process of its own, which is stopped in time."""
    row = {"part": "dry-run", "backbone": backbone, "precision": chosen_precision(None, device)}
    command = [sys.executable, "-m", "lorakit.experiments.paper", "--dry-run"]
    environment = os.environ | {"MPLBACKEND": "agg"}
    if device.type != "cuda":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    options = {"cwd": ROOT, "env": environment, "capture_output": True, "text": True}
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as out:
        command += ["--out", out, "--backbone", backbone]
        try:
            subprocess.run(command, check=True, timeout=max(0.1, until - start), **options)
            runs = pd.read_csv(Path(out) / "encryption.csv")
            row |= {"rounds": len(runs), "seconds": time.monotonic() - start}
            row["peak_memory_mb"] = runs["peak_memory_mb"].max()
        except subprocess.TimeoutExpired:
            row["note"] = TIME_WAS_UP
        except subprocess.CalledProcessError as error:
            row["note"] = (error.stderr.strip().splitlines() or ["failed"])[-1][:120]
    table.put(row)


def measure_estimate(
    table: Table, device: torch.device, experiments: list[Experiment], until: float
) -> None:
    """Speed, memory and hours of experiments that differ only in data, cipher and epsilon."""
    e, found, note = experiments[0], None, TIME_WAS_UP
    if until - time.monotonic() > _ESTIMATE:
        found, note = attempt(partial(estimate, experiments, 10, device=device))
        free(device)
    row = {"part": "estimate", "backbone": e.backbone, "method": e.method, "note": note}
    row |= {"mode": "hooks" if e.private else "plain", "precision": chosen_precision(None, device)}
    if found is not None:
        (line,) = found.to_dict("records")
        speed = line["images_per_second"]
        row |= {"batch": line["batch"], "seconds": line["batch"] / speed, "hours": line["hours"]}
        row |= {"images_per_second": speed, "peak_memory_mb": line["memory_gb"] * 1e9 / 2**20}
    table.put(row)


def plan(
    table: Table, device: torch.device, asked: argparse.Namespace
) -> dict[str, list[tuple[int, Part]]]:
    """The parts by name; of each, functions, with their weights when time is shared out."""
    size, rounds = (256, 2) if asked.tiny else (8192, asked.rounds)
    steps, kinds = [], {}
    for backbone in asked.backbones:
        large = image_size_of(backbone) > 100
        batch = asked.batch or (4 if asked.tiny else 64 if large else 512)
        for method in METHODS:
            step = partial(measure_steps, table, device, backbone, method, batch, rounds)
            steps.append((6 if large else 2, step))
    backbone = "vit_micro" if asked.tiny else "vit_base_patch16_224"
    for e in (*grid("paper"), *grid("paper", study="privacy")):
        kinds.setdefault((e.private, e.method), []).append(e.replace(backbone=backbone))
    return {
        "matrix": [(1, partial(measure_matrices, table, device, size, rounds))],
        "step": steps,
        "dry-run": [(6, partial(measure_dry_run, table, device, backbone))],
        "estimate": [(2, partial(measure_estimate, table, device, k)) for k in kinds.values()],
    }


def main(arguments: Sequence[str] | None = None) -> pd.DataFrame:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    say = parser.add_argument
    say("--minutes", type=float, default=9.0, help="for all of it (default: %(default)s)")
    say("--rounds", type=int, default=15, help="timed steps of each kind, at most")
    say("--backbones", nargs="+", metavar="NAME", help="whose steps are measured")
    say("--batch", type=int, help="images a step (default: 64 at 224 pixels, 512 at 32)")
    say("--parts", nargs="+", choices=PARTS, default=PARTS, help="default: all")
    say("--device", default="cuda", help="default: %(default)s")
    say("--tiny", action="store_true", help="small models and batches, two rounds")
    say("--out", type=Path, default=ROOT / "figures" / "results" / "gpu.csv")
    asked = parser.parse_args(arguments)
    named = BACKBONES[1:] if asked.tiny else BACKBONES
    asked.backbones = asked.backbones or [name for name in named if timm.is_model(name)]
    warnings.filterwarnings("ignore", "Full backward hook is firing")  # the input is data
    warnings.filterwarnings("ignore", "Secure RNG turned off")  # it is a benchmark
    end = time.monotonic() + 60 * asked.minutes * (1 - _RESERVE)
    device = pick_device(asked.device)
    table = Table(asked.out, device, keep=set(asked.parts) != set(PARTS))
    planned = plan(table, device, asked)
    parts = [part for name in PARTS if name in asked.parts for part in planned[name]]
    for number, (weight, measure) in enumerate(tqdm(parts, unit="part")):
        start = time.monotonic()
        share = weight / sum(others for others, _ in parts[number:])
        measure(start + max(0.0, end - start) * share)
    return table.frame()


if __name__ == "__main__":
    print(main().drop(columns=["device", "versions"]).to_string(index=False))
