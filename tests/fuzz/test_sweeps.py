"""A sweep outlives its workers, its workers do not outlive it, and errors name the file."""

import importlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from lorakit import Experiment, read_table, sweep
from lorakit.experiments.table_file import append_row

from .test_tables import row

module = importlib.import_module("lorakit.experiments.sweep")
SETTINGS = {"dataset": "digits", "method": "probe", "train": 64, "val": 16, "test": 32}


def runs(n, epochs=1):
    return [Experiment.from_settings(**SETTINGS, seed=seed, epochs=epochs) for seed in range(n)]


@pytest.mark.parametrize("n_jobs", [0, -2, 1.5, "2", True, 10_000, float("inf")])
def test_as_many_workers_as_make_sense(n_jobs, tmp_path):
    with pytest.raises(
        ValueError, match=r"n_jobs=.*allowed: (a whole number, -?1 or more, at most|int)"
    ):
        sweep(runs(1), tmp_path / "rows.csv", n_jobs=n_jobs, progress=False)


def test_a_file_size_limit_names_the_table(tmp_path, monkeypatch):
    table = tmp_path / "rows.csv"
    append_row(row(99), table)
    known = table.read_bytes()
    monkeypatch.setattr(module, "run", lambda e, checkpoint: {**row(e.seed), "id": e.id})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(known) + 50, hard))
    try:
        with pytest.raises(OSError, match=r"File too large.*rows\.csv"):
            sweep(runs(2), table, n_jobs=1, progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert table.read_bytes() == known


def workers_of(pid):
    """Processes of joblib that compute, not the one that cleans up after them."""
    return [
        child
        for child in psutil.Process(pid).children(recursive=True)
        if "popen_loky" in " ".join(child.cmdline())
    ]


def until(found, seconds=90):
    end = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return result


@pytest.mark.slow
def test_a_killed_worker_is_said_in_one_line_and_the_sweep_goes_on(tmp_path, capfd):
    def kill_one():
        until(lambda: table.exists())  # one run has ended, others are under way
        workers_of(os.getpid())[0].kill()

    table = tmp_path / "rows.csv"
    killer = threading.Thread(target=kill_one)
    killer.start()
    rows = sweep(runs(5, epochs=4), table, n_jobs=2, progress=False)
    killer.join()
    assert list(rows["seed"]) == list(range(5)) and len(read_table(table)) == 5
    said = "".join(capfd.readouterr()).splitlines()
    assert len([line for line in said if "a worker was killed" in line]) == 1 == len(said)


@pytest.mark.slow
def test_a_run_that_kills_its_workers_ends_the_others_in_words(tmp_path, capfd):
    with pytest.raises(RuntimeError, match=r"runs failed:\n.*its worker was killed 3 times"):
        killer = threading.Thread(target=kill_all, args=(tmp_path,), daemon=True)
        killer.start()
        try:
            sweep(runs(4, epochs=2000), tmp_path / "rows.csv", n_jobs=2, progress=False)
        finally:
            (tmp_path / "stop").touch()
            killer.join()


def kill_all(folder):
    while not (folder / "stop").exists():
        for worker in workers_of(os.getpid()):
            worker.kill()
        time.sleep(1)


SCRIPT = """
import sys
from lorakit import sweep
from tests.fuzz.test_sweeps import runs
sweep(runs(4, epochs=5000), sys.argv[1], n_jobs=2, checkpoints=sys.argv[2], progress=False)
"""


@pytest.mark.slow
def test_a_killed_sweep_leaves_no_worker_behind(tmp_path):
    states = tmp_path / "states"
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "rows.csv"), str(states)]
    process = subprocess.Popen(command)
    until(lambda: states.exists() and len(list(states.glob("*.checkpoint"))) == 2)
    workers = workers_of(process.pid)
    assert len(workers) == 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive
