"""Run many experiments into one table on disk; stop and go on at any time."""

import os
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pandas as pd
import psutil
import torch
from joblib import Parallel, cpu_count, delayed, effective_n_jobs
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm.auto import tqdm

from lorakit.checks import check_number, checked
from lorakit.experiments.experiment import Experiment
from lorakit.experiments.run import run
from lorakit.experiments.table_file import append_row, read_table
from lorakit.runtime import one_thread
from lorakit.training import distributed

Row = dict[str, object]
_MOST_KILLED = 3  # workers one after the other, no run ending between


@checked
def sweep(
    experiments: Iterable[Experiment],
    table: str | Path,
    *,
    n_jobs: int | None = None,
    checkpoints: str | Path | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Run every experiment that is not in the table yet; returns the rows of all, in their order.

    A run uses one CPU thread, so that its result does not depend on ``n_jobs``. Workers are
    joblib's: inside ``joblib.parallel_config`` another backend can serve, Dask for example. Under
    ``torchrun`` all processes train each run together. If runs fail, the others are in the table,
    and a RuntimeError names the experiments and their errors.

    Args:
        experiments: what to run; doubles run once.
        table: a CSV file, made if missing, and whole whenever the process is killed.
        n_jobs: runs at a time. None: one for each core as far as memory reaches (``vit_micro``
            takes about 1.3 GB), or 1 with a GPU; -1: one for each core of joblib's backend.
        checkpoints: a folder that keeps the state of unfinished runs after every epoch.
        progress: show a bar.
    """
    wanted = {e.id: e for e in experiments}
    if not wanted:
        raise ValueError("experiments: the grid is empty; allowed: one experiment or more")
    table = Path(table)
    table.parent.mkdir(parents=True, exist_ok=True)
    done = set(read_table(table)["id"]) if table.exists() else set()
    open_ = [e for key, e in wanted.items() if key not in done]
    distributed.barrier()  # all have read the table before one writes to it
    leads, failed = distributed.is_main_process(), []
    n_jobs, finished = _workers(n_jobs, len(open_)), len(wanted) - len(open_)
    hidden = not (progress and leads)
    with tqdm(total=len(wanted), initial=finished, unit="run", disable=hidden) as bar:
        for row, error in _results(open_, checkpoints, n_jobs):
            bar.update()
            if error:
                failed.append(error)
                continue
            if leads:
                append_row(row, table)
                if checkpoints:
                    _state(checkpoints, wanted[row["id"]]).unlink(missing_ok=True)
            distributed.barrier()
            bar.set_postfix_str(f"{row['method']} on {row['dataset']}: {row['accuracy']:.1%}")
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(open_)} runs failed:\n" + "\n".join(failed))
    return read_table(table).set_index("id").loc[list(wanted)].reset_index()


def _state(folder: str | Path | None, experiment: Experiment) -> Path | None:
    return None if folder is None else Path(folder) / f"{experiment.id}.checkpoint"


def _results(
    experiments: list[Experiment], checkpoints: str | Path | None, n_jobs: int
) -> Iterator[tuple[Row | None, str | None]]:
    """A row or an error of each run, as it ends; runs of a worker that is killed start again."""
    # joblib replaces a worker that has grown, and warns; nothing is lost by it
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
    left, killed = {e.id: e for e in experiments}, 0
    while left and killed < _MOST_KILLED:
        workers = Parallel(n_jobs, return_as="generator_unordered", pre_dispatch="n_jobs")
        work = [delayed(_work)(e, _state(checkpoints, e), os.getpid()) for e in left.values()]
        try:
            for key, row, error in workers(work):
                del left[key]
                killed = 0
                yield row, error
        except TerminatedWorkerError:
            killed += 1
            tqdm.write(
                f"a worker was killed, for lack of memory? {len(left)} runs go on without it"
            )
    yield from ((None, f"{e}: its worker was killed {killed} times") for e in left.values())


def _work(
    experiment: Experiment, checkpoint: Path | None, sweeper: int
) -> tuple[str, Row | None, str | None]:
    """Id, row, error; under ``torchrun`` errors end all processes, which go on later."""
    _end_with(sweeper)
    with one_thread():
        try:
            return experiment.id, run(experiment, checkpoint=checkpoint), None
        except Exception as error:
            if distributed.world_size() > 1:
                raise
            return experiment.id, None, f"{experiment}: {type(error).__name__}: {error}"


@cache
def _end_with(sweeper: int) -> None:
    """A worker ends a second after the process that started it: nobody waits for its result."""

    def watch() -> None:
        while os.getppid() == sweeper:
            time.sleep(1)
        os._exit(1)

    if os.getppid() == sweeper:
        threading.Thread(target=watch, daemon=True).start()


def _workers(asked: int | None, runs: int) -> int:
    """By default one for each core this process may use, if there are 1.5 GB of free memory."""
    if distributed.world_size() > 1:
        return 1
    if asked is not None:
        most = max(2, 2 * effective_n_jobs(-1))
        check_number("n_jobs", asked, least=1 if asked != -1 else -1, most=most, whole=True)
        return asked
    if torch.cuda.is_available():
        return 1
    fitting = int(psutil.virtual_memory().available / 1.5e9)
    return max(1, min(cpu_count(), fitting, runs))
