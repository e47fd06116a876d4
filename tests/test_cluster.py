"""A sweep on a real local Dask cluster, one of whose workers is killed in the middle."""

import importlib
import os
import signal

import pandas as pd
import pytest
from joblib import parallel_config

from lorakit import Experiment, read_table, run, sweep

distributed = pytest.importorskip("distributed")
TINY = {"dataset": "digits", "train": 64, "val": 16, "test": 64, "epochs": 2, "batch_size": 32}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_is_lost_or_doubled_when_a_worker_dies(tmp_path, monkeypatch):
    experiments = [Experiment.from_settings(method="probe", seed=s, **TINY) for s in range(8)]
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids = client.run(os.getpid)
        killed = []
        module = importlib.import_module("lorakit.experiments.sweep")
        append = module.append_row

        def append_and_kill(row, table):
            append(row, table)
            if len(read_table(table)) == 2 and not killed:
                killed.append(next(iter(pids.values())))
                os.kill(killed[0], signal.SIGKILL)

        monkeypatch.setattr(module, "append_row", append_and_kill)
        with parallel_config(backend="dask"):
            rows = sweep(experiments, tmp_path / "rows.csv", n_jobs=-1, progress=False)
        assert killed and killed[0] not in client.run(os.getpid).values()
    table = pd.read_csv(tmp_path / "rows.csv")
    assert sorted(table["id"]) == sorted(e.id for e in experiments)
    assert rows["id"].tolist() == [e.id for e in experiments]
    assert rows.loc[3, "accuracy"] == run(experiments[3], device="cpu")["accuracy"]
