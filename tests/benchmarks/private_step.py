"""What a private step costs: time and peak memory against a plain one, ratios within one run.

    python tests/benchmarks/private_step.py [--rounds 9]

Writes figures/benchmark.png, .pdf and figures/results/benchmark.csv, and benchmark_parts.csv: where
the time goes that privacy adds on ``vit_micro``. Takes about a quarter of an hour on the CPU; for
a GPU there is ``gpu.py``.
"""

import argparse
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from steps import make_step
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm
from turns import quartiles, timed

from lorakit.figures.style import save_figure, style, suptitle
from lorakit.runtime import device_name, one_thread, peak_memory_mb, reset_peak_memory, versions

FIGURES = Path(__file__).resolve().parents[2] / "figures"
BATCHES = {"vit_micro": 64, "vit_base_patch16_224": 8}
METHODS = ("probe", "lora", "lora+patch", "lora+patch+pos", "full")
OTHER_MODES = ("ghost", "functorch")  # of Opacus; ours is "hooks"
CPU = torch.device("cpu")
PARTS = {  # of a private step, and the operations of PyTorch that make them up
    "per-example gradients and their clipped sum": ("aten::bmm",),
    "Opacus' hooks on layers": ("BackwardHook",),
    "filling and copying tensors": ("aten::fill_", "aten::copy_", "aten::zero"),
}


def one_step(backbone: str, method: str, mode: str) -> Callable[[], None]:
    """One optimiser step on random images, as a function without arguments."""
    return partial(make_step(backbone, method, mode, BATCHES[backbone], CPU), "float32")


def measure_times(backbone: str, rounds: int) -> list[dict]:
    """Median seconds of a step, and quartiles of its ratio to the plain one of the same round.

    Plain and private steps take turns, so that what else the machine does hits both.
    """
    rows = []
    for method in tqdm(METHODS, desc=f"time, {backbone}", unit="method"):
        modes = ("plain", "hooks", *(OTHER_MODES if method == "lora+patch" else ()))
        steps = {mode: one_step(backbone, method, mode) for mode in modes}
        seconds: dict[str, list[float]] = {mode: [] for mode in modes}
        for number in range(rounds + 1):  # the first round warms up
            for mode, step in steps.items():
                seconds[mode].append(timed(step, CPU))
                if number == 0:
                    seconds[mode].clear()
        for mode in modes:
            setting = {"backbone": backbone, "method": method, "mode": mode}
            setting |= {"batch": BATCHES[backbone], "rounds": rounds}
            ratios = [one / plain for one, plain in zip(seconds[mode], seconds["plain"])]
            setting["seconds"] = quartiles("seconds", seconds[mode])["seconds"]
            rows.append(setting | quartiles("seconds_ratio", ratios))
    return rows


def measure_memory(backbone: str, method: str, mode: str) -> float:
    """Peak memory of two steps in MB, in a process of its own."""
    command = [sys.executable, __file__, "--memory-of", backbone, method, mode]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _memory_of(backbone: str, method: str, mode: str) -> None:
    reset_peak_memory(CPU)
    step = one_step(backbone, method, mode)
    for _ in range(2):
        step()
    print(json.dumps(peak_memory_mb(CPU)))


def add_memory_ratio(rows: pd.DataFrame) -> pd.DataFrame:
    """Memory against that of the plain step of the same backbone and method."""
    plain = rows[rows["mode"] == "plain"].set_index(["backbone", "method"])
    keys = pd.MultiIndex.from_frame(rows[["backbone", "method"]])
    ratio = rows["peak_memory_mb"].to_numpy() / plain.loc[keys, "peak_memory_mb"].to_numpy()
    return rows.assign(peak_memory_mb_ratio=ratio.round(3))


def where_the_time_goes(backbone: str, method: str, rounds: int = 40) -> pd.DataFrame:
    """What a private step does beyond a plain one, in milliseconds of processor time."""
    modes = {mode: one_step(backbone, method, mode) for mode in ("plain", "hooks")}
    found = dict.fromkeys([*PARTS, "the rest"], 0.0)
    for number in range(rounds + 1):  # the first round warms up
        for mode, step in modes.items():
            with profile(activities=[ProfilerActivity.CPU]) as profiled:
                step()
            for event in profiled.key_averages() if number else ():
                parts = (
                    part for part, names in PARTS.items() if any(n in event.key for n in names)
                )
                more = event.self_cpu_time_total / 1000 / rounds
                found[next(parts, "the rest")] += more if mode == "hooks" else -more
    table = pd.DataFrame({"part": found.keys(), "more_ms": found.values()})
    share = table["more_ms"] / table["more_ms"].sum()
    return table.assign(backbone=backbone, method=method, share=share)


def plot(rows: pd.DataFrame) -> plt.Figure:
    """Private over plain, time and memory, for each method and mode."""
    plain = rows[rows["mode"] == "plain"].set_index(["backbone", "method"])
    rows = rows[rows["mode"] != "plain"]
    names = [m if g == "hooks" else f"{m}\n({g})" for m, g in zip(rows["method"], rows["mode"])]
    order = list(dict.fromkeys(names))
    looks = {"vit_micro": ("#E69F00", "o", 0.17), "vit_base_patch16_224": ("#0072B2", "s", -0.17)}
    spread = "\n(median of the ratios within rounds, and their middle half)"
    columns = {f"time of a private step, plain = 1{spread}": ("seconds", 1000, "ms")}
    columns |= {"peak memory of a private step, plain = 1": ("peak_memory_mb", 1, "MB")}
    with style():
        figure, axes = plt.subplots(1, 2, figsize=(12, 5.2), sharey=True)
        for ax, (what, (column, factor, unit)) in zip(axes, columns.items()):
            for name, row in zip(names, rows.to_dict("records")):
                colour, marker, shift = looks[row["backbone"]]
                place, ratio = order.index(name) - shift, row[f"{column}_ratio"]
                low, high = (row.get(f"{column}_ratio_{end}", ratio) for end in ("q1", "q3"))
                label = f"{row['backbone']}, {row['batch']} pictures" if name == "probe" else None
                ax.plot(ratio, place, marker, color=colour, label=label)
                ax.plot([low, high], [place, place], color=colour, linewidth=2)
                before = factor * plain.loc[(row["backbone"], row["method"]), column]
                told = f"{ratio:.2f}   {before:,.0f} → {factor * row[column]:,.0f} {unit}"
                ax.text(max(high, 1) + 0.06, place, told, va="center", fontsize=9)
            ax.axvline(1, color="#555555", linewidth=1)
            ax.set_yticks(range(len(order)), order)
            ax.set_xlabel(what)
            ratios = rows[f"{column}_ratio"]
            ax.set_xlim(min(0.8, 0.95 * ratios.min()), 1.45 * ratios.max())
            ax.grid(False, axis="y")
        axes[0].invert_yaxis()
        suptitle(figure, "With Opacus' hooks, a private step is cheap where few numbers train")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncol=2)
    return figure


def write_parts(out: Path) -> pd.DataFrame:
    """Where the time goes on one thread, as a table."""
    with one_thread():
        more = where_the_time_goes("vit_micro", "lora+patch")
        more = more.assign(device=device_name(CPU), versions=versions())
    more.to_csv(out / "results" / "benchmark_parts.csv", index=False, float_format="%.3g")
    return more


def main(rounds: int, out: Path) -> pd.DataFrame:
    warnings.filterwarnings("ignore", "Full backward hook is firing")  # the input is data
    rows = []
    for backbone, count in (("vit_micro", 3 * rounds), ("vit_base_patch16_224", rounds)):
        rows += measure_times(backbone, count)
    for row in tqdm(rows, desc="memory", unit="process"):
        row["peak_memory_mb"] = measure_memory(row["backbone"], row["method"], row["mode"])
    table = add_memory_ratio(pd.DataFrame(rows)).assign(
        device=device_name(CPU), versions=versions()
    )
    (out / "results").mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "results" / "benchmark.csv", index=False)
    write_parts(out)
    save_figure(plot(table), out / "benchmark")
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="timed steps of ViT-B/16 each")
    parser.add_argument("--out", type=Path, default=FIGURES)
    parser.add_argument("--parts", action="store_true", help="only where the time goes")
    parser.add_argument("--memory-of", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        _memory_of(*options.memory_of)
    else:
        parts = options.parts
        found = write_parts(options.out) if parts else main(options.rounds, options.out)
        print(found.drop(columns=["device", "versions"]).to_string(index=False))
