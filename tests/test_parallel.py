"""Two processes train as one: the same batches, updates and epsilon."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

from .torchrun_job import RUNS, main

JOB = Path(__file__).with_name("torchrun_job.py")
ROOT = JOB.parents[1]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Where one and two processes have left their runs, made once for all workers of pytest."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder = folder / "torchrun"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            run_alone_and_in_two(folder)
    return folder


def run_alone_and_in_two(folder):
    quiet = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    torchrun = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"),
        *("--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1"),
    ]
    two = subprocess.Popen([*torchrun, str(JOB), str(folder)], env=quiet, stderr=subprocess.PIPE)
    main(folder)  # alone, meanwhile
    _, said = two.communicate(timeout=300)
    assert two.returncode == 0, said.decode()[-3000:]


@pytest.mark.parametrize("name", [*RUNS, "resumed"])
def test_two_processes_make_the_update_of_one(results, name):
    alone = load_file(results / f"of1/{name}0.safetensors")
    first, second = (load_file(results / f"of2/{name}{rank}.safetensors") for rank in (0, 1))
    tolerance = 5e-3 if name == "adamw" else 1e-5  # AdamW divides by gradients near zero
    for key, tensor in alone.items():
        assert (first[key] - tensor).abs().max() < tolerance, key
        assert (second[key] - tensor).abs().max() < tolerance, key
        assert (first[key] - tensor).abs().float().mean() < 2e-5, key


@pytest.mark.parametrize("name", [*RUNS, "resumed"])
def test_two_processes_report_the_numbers_of_one(results, name):
    alone, first, second = (
        json.loads((results / place).read_text())
        for place in (f"of1/{name}0.json", f"of2/{name}0.json", f"of2/{name}1.json")
    )
    assert len(alone) == len(first) == len(second) == 2
    for a, b, c in zip(alone, first, second):
        assert a.keys() == b.keys() == c.keys()
        for value in ("loss", "accuracy", "epsilon"):
            if value in a:
                assert b[value] == pytest.approx(a[value], rel=1e-4, nan_ok=True)
                assert c[value] == b[value] or a[value] != a[value]
    if name == "noisy":
        assert first[-1]["epsilon"] == alone[-1]["epsilon"]
        assert 2.5 < first[-1]["epsilon"] <= 3.0


def test_a_stopped_run_ends_where_an_unbroken_one_does(results):
    for number in (1, 2):
        whole, resumed = (
            load_file(results / f"of{number}/{name}0.safetensors") for name in ("noisy", "resumed")
        )
        assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_noise_is_added_once_and_reaches_both(results):
    """Without it the update would be that of ``quiet``; twice, it would not be that of one."""
    noisy, quiet = (load_file(results / f"of2/{name}0.safetensors") for name in ("noisy", "quiet"))
    assert (noisy["head.weight"] - quiet["head.weight"]).abs().max() > 1e-2


def test_a_sweep_in_two_processes_writes_each_row_once(results):
    alone, two = (pd.read_csv(results / f"of{n}/rows.csv") for n in (1, 2))
    assert sorted(two["id"]) == sorted(alone["id"]) and len(two) == 2
    both = alone.merge(two, on="id")
    assert (both["accuracy_x"] == both["accuracy_y"]).all()
