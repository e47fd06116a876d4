"""The benchmark of a GPU, in small on the CPU: what it writes, and what it does with failures."""

import importlib
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from lorakit import grid
from lorakit.runtime import PRECISIONS

FOLDER = Path(__file__).parent / "benchmarks"
CPU = torch.device("cpu")


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("gpu")


@pytest.fixture
def private_step(gpu):
    return importlib.import_module("private_step")


@pytest.fixture
def turns(gpu):
    return importlib.import_module("turns")


@pytest.fixture
def small(gpu, monkeypatch, tmp_path):
    """Run some parts in small; the file written, as a table."""
    monkeypatch.setattr(gpu, "METHODS", ("lora+patch",))
    monkeypatch.setattr(gpu, "grid", lambda *_, **__: grid("paper")[:1])

    def run(*parts, **settings):
        more = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        out = tmp_path / "results" / "gpu.csv"
        gpu.main(["--device", "cpu", "--tiny", "--out", str(out), *more, "--parts", *parts])
        table = pd.read_csv(out, keep_default_na=False, na_values=[""])
        assert list(table) == list(gpu.COLUMNS) and not table.duplicated(list(gpu.KEYS)).any()
        assert table["device"].str.startswith("cpu").all()
        assert table["versions"].str.contains("opacus").all()
        return table

    return run


def check_times(rows):
    """Positive, and the median between its quartiles."""
    for name in ("seconds", "ratio"):
        assert (rows[f"{name}_q1"] > 0).all() and (rows[f"{name}_q1"] <= rows[name]).all()
        assert (rows[name] <= rows[f"{name}_q3"]).all()


def test_every_mode_is_measured_in_every_precision(small):
    table = small("matrix", "step", backbones="vit_micro", minutes=60)
    matrix, steps = (table[table["part"] == part] for part in ("matrix", "step"))
    assert set(matrix["precision"]) == set(PRECISIONS) and (matrix["tflops"] > 0).all()
    assert set(steps["mode"]) == {"plain", "hooks", "ghost", "functorch", "ew"}
    assert (steps.groupby("mode")["precision"].nunique() == len(PRECISIONS)).all()
    # PyTorch's expanded weights ("ew") do not know all that a ViT does, and say so
    assert (steps["note"].notna() == (steps["mode"] == "ew")).all()
    done = steps[steps["note"].isna()]
    check_times(done)
    assert (done["rounds"] == 2).all() and (done["batch"] == 4).all()
    assert (done.loc[done["mode"] == "plain", ["ratio_q1", "ratio_q3"]] == 1).to_numpy().all()
    assert done["images_per_second"].to_list() == pytest.approx(4 / done["seconds"], rel=1e-3)
    assert (done["share_of_rate"] > 0).all()
    assert (done["peak_memory_mb"] >= 0).all()


def test_the_work_of_a_step_is_counted_whole(gpu):
    """Of vit_micro, by hand: 12 d^2 in each block, the products of attention, patches and head."""
    tokens, d, depth = 17, 128, 6
    block = 12 * d**2 * tokens + 2 * tokens**2 * d
    forward = 2 * (depth * block + 16 * 192 * d + 10 * d)
    patches = 2 * 16 * 192 * d  # whose input needs no gradient
    assert gpu.work_of_a_step("vit_micro", "full", CPU) == 3 * forward - patches


def test_a_ratio_is_that_of_two_steps_of_one_round(private_step, monkeypatch):
    """Rounds of 1, 2, 4 and 8 seconds for a plain step, of 9, 6, 4 and 24 for a private one."""
    monkeypatch.setattr(private_step, "METHODS", ("lora",))
    monkeypatch.setattr(private_step, "one_step", lambda *_: None)
    seconds = iter((1, 9, 2, 6, 4, 4, 8, 24))  # the first round is not counted
    monkeypatch.setattr(private_step, "timed", lambda step, device: next(seconds))
    plain, hooks = private_step.measure_times("vit_micro", rounds=3)
    assert (plain["seconds"], hooks["seconds"], hooks["rounds"]) == (4, 6, 3)
    names = ("seconds_ratio", "seconds_ratio_q1", "seconds_ratio_q3")
    assert [plain[name] for name in names] == [1, 1, 1]
    assert [hooks[name] for name in names] == [3, 2, 3]


def test_an_estimate_of_the_paper_is_a_row(small):
    (row,) = small("estimate").to_dict("records")
    assert (row["backbone"], row["mode"], row["method"]) == ("vit_micro", "plain", "lora")
    assert row["seconds"] == pytest.approx(row["batch"] / row["images_per_second"], rel=1e-3)
    assert row["hours"] > 0 and row["peak_memory_mb"] > 0 and pd.isna(row["note"])


def test_when_the_time_is_up_it_writes_what_it_has(small):
    table = small("step", "dry-run", "estimate", minutes=0)
    assert set(table["part"]) == {"step", "dry-run", "estimate"} and table["seconds"].isna().all()
    assert (table["note"] == "the time was up").all()
    more = small("matrix")  # the rows of other parts stay
    pd.testing.assert_frame_equal(more[more["part"] != "matrix"], table, check_dtype=False)
    assert small("step", minutes=0).query("part == 'matrix'")["tflops"].gt(0).all()


def test_a_dry_run_that_fails_is_noted(small, gpu, monkeypatch):
    def fail(command, **_):
        raise subprocess.CalledProcessError(1, command, stderr="Traceback\nlorakit.paper: no room")

    monkeypatch.setattr(gpu.subprocess, "run", fail)
    assert small("dry-run")["note"].to_list() == ["lorakit.paper: no room"]


def test_what_runs_out_of_memory_is_noted_and_the_others_go_on(turns, monkeypatch):
    """One fails at once, one in its third step: its model is made anew for other precisions."""
    made = []

    def make_step(backbone, method, mode, batch, device):
        taken = []

        def take(precision):
            taken.append(precision)
            if (mode, precision) == ("ghost", "tf32"):
                raise torch.OutOfMemoryError("CUDA out of memory")
            if (mode, precision) == ("hooks", "bf16") and taken.count(precision) == 3:
                raise RuntimeError("half a sum of gradients\nand more")

        made.append(mode)
        return take

    monkeypatch.setattr(turns, "make_step", make_step)
    taking = turns.Turns("vit_micro", "full", 4, CPU)
    assert all(taking.round(float("inf"), first=number == 0) for number in range(3))
    rows = {(row["mode"], row["precision"]): row for row in taking.rows(None, {})}
    notes = {pair: row["note"] for pair, row in rows.items() if row["note"]}
    assert notes == {
        ("ghost", "tf32"): "out of memory",
        ("hooks", "bf16"): "RuntimeError: half a sum of gradients",
    }
    assert all(row["rounds"] == (0 if pair in notes else 2) for pair, row in rows.items())
    assert made.count("ghost") == made.count("hooks") == 2 and len(made) == 7


def test_on_a_card_memory_is_what_a_step_takes_beyond_the_other_models(turns, monkeypatch):
    """A made-up card on which each model takes 10 MB for good, and a step as many as it likes."""
    held, needs = [0], {"plain": 90, "hooks": 190, "ghost": 95, "functorch": 140, "ew": 90}
    peak, waits = [0], []
    for name, call in {
        "memory_allocated": lambda _: held[0] * 2**20,
        "max_memory_allocated": lambda _: peak[0] * 2**20,
        "reset_peak_memory_stats": lambda _: peak.__setitem__(0, held[0]),
        "synchronize": waits.append,
        "init": lambda: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, call)

    def make_step(backbone, method, mode, batch, device):
        held[0] += 10
        return lambda precision: peak.__setitem__(0, max(peak[0], held[0] + needs[mode]))

    monkeypatch.setattr(turns, "make_step", make_step)
    taking = turns.Turns("vit_micro", "full", 4, torch.device("cuda"))
    assert taking.round(float("inf"), first=True) and taking.round(float("inf"))
    rows = {row["mode"]: row for row in taking.rows(1e9, {"bf16": 1e6})}
    assert {mode: row["peak_memory_mb"] for mode, row in rows.items()} == {
        mode: 10 + need for mode, need in needs.items()
    }
    assert rows["hooks"]["memory_ratio"] == 2 and rows["plain"]["memory_ratio"] == 1
    assert len(waits) == 2 * len(taking.seconds)  # before and after each timed step


@pytest.mark.slow
def test_the_command_tries_all_of_it_in_small(tmp_path):
    out = tmp_path / "gpu.csv"
    command = [
        sys.executable,
        str(FOLDER / "gpu.py"),
        "--device",
        "cpu",
        "--tiny",
        "--minutes",
        "60",
    ]
    subprocess.run([*command, "--out", str(out)], check=True, cwd=FOLDER.parents[1])
    table = pd.read_csv(out)
    assert set(table["part"]) == {"matrix", "step", "dry-run", "estimate"}
    assert table.loc[table["mode"] != "ew", "note"].isna().all()
    assert table.loc[table["part"] == "dry-run", "rounds"].item() == 9
    assert set(table.loc[table["part"] == "step", "method"]) == {"lora+patch", "full"}
