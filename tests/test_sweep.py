import importlib
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from lorakit import Experiment, grid, read_table, run, sweep
from lorakit.experiments.run import load_data
from lorakit.experiments.table_file import REQUIRED, append_row
from lorakit.lora.vit import METHODS
from lorakit.privacy.meaning import what_it_means

TINY = {"dataset": "digits", "train": 64, "val": 16, "test": 32, "epochs": 1, "batch_size": 32}
MEASURED = ["seconds", "peak_memory_mb"]


def tiny(n=4):
    settings = {"cipher": "shuffle+negative", "rank": 2, **TINY}
    return [Experiment.from_settings(seed=s, **settings) for s in range(n)]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The rows of ``tiny(4)``, run one after the other and never stopped."""
    table = tmp_path_factory.mktemp("unbroken") / "rows.csv"
    return sweep(tiny(4), table, n_jobs=1, progress=False)


def same(rows, others):
    """All columns but what is measured."""
    rows, others = (t.drop(columns=MEASURED).reset_index(drop=True) for t in (rows, others))
    pd.testing.assert_frame_equal(rows, others)


def test_a_row_says_everything():
    experiment = tiny(1)[0]
    row = run(experiment, device="cpu")
    assert row["id"] == experiment.id and row["cipher"] == "shuffle+negative"
    assert row["trainable"] == 1290 + 24_704 + 6 * 2 * 2 * 256
    assert row["total"] == 1_218_186 + 6 * 2 * 2 * 256
    assert 0 <= row["accuracy"] <= 1 and row["loss"] > 0 and row["train_loss"] > 0
    assert row["seconds"] > 0 and 50 < row["peak_memory_mb"] < 4000
    assert "cpu" in row["device"] and "torch" in row["versions"] and row["seed"] == 0
    assert {"epochs", "lr_head", "lr_lora", "lr_patch_embed", "batch_size"} <= set(row)
    assert "tpr_at_1" not in row


def test_a_row_says_who_is_recognised():
    experiment = Experiment.from_settings(**TINY | {"epochs": 4, "test": 200})
    row = run(experiment, device="cpu")
    found = [float(share) for share in row["accuracy_by_class"].split()]
    labels = load_data(experiment).test.labels
    counts = [int((labels == c).sum()) for c in range(10)]
    whole = sum(share * n for share, n in zip(found, counts)) / sum(counts)
    assert len(found) == 10 and len(set(found)) > 3
    assert whole == pytest.approx(row["accuracy"], abs=1e-4)


def test_a_private_row_says_what_its_promise_means():
    private = Experiment.from_settings(**TINY, method="probe", noise_multiplier=1.3, delta=1e-3)
    row = run(private, device="cpu")
    meaning = what_it_means(1.3, 0.5, 2, 1e-3)
    assert {name: row[name] for name in meaning._fields} == meaning._asdict()
    assert row["tpr_at_0_1"] < row["tpr_at_1"] < 1 and 0.5 < row["posterior"] < 1


def test_a_stopped_run_reports_no_result():
    with pytest.raises(RuntimeError, match="stopped after 0 of 1 epochs"):
        run(tiny(1)[0], device="cpu", callback=lambda step: True)


def test_same_seed_same_row_other_seed_other_row():
    first, again, other = (run(e, device="cpu") for e in (*tiny(1) * 2, tiny(2)[1]))
    for name in MEASURED:
        first.pop(name), again.pop(name)
    assert first == again
    assert other["loss"] != first["loss"]


def test_table_resumes_skips_what_is_there_and_keeps_the_order(tmp_path, monkeypatch, unbroken):
    """In two processes, to the rows of one."""
    table = tmp_path / "rows.csv"
    experiments = tiny(3)
    first = sweep(experiments[1:2], table, progress=False)
    rows = sweep(experiments, table, progress=False, n_jobs=2)
    assert list(rows["id"]) == [e.id for e in experiments]
    assert rows.iloc[1]["seconds"] == first.iloc[0]["seconds"]  # not run again
    same(rows, unbroken[:3])
    module = importlib.import_module("lorakit.experiments.sweep")
    monkeypatch.setattr(module, "run", lambda e: pytest.fail("ran again"))
    again = sweep(experiments * 2, table, progress=False, n_jobs=1)
    pd.testing.assert_frame_equal(again, rows)
    assert len(read_table(table)) == 3


SCRIPT = """
import sys
from tests.test_sweep import tiny
from lorakit import sweep
sweep(tiny(4), sys.argv[1], n_jobs=int(sys.argv[2]), progress=False)
"""


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_at_any_moment_it_resumes_to_the_unbroken_table(tmp_path, n_jobs, unbroken):
    table = tmp_path / "killed.csv"
    command = [sys.executable, "-c", SCRIPT, str(table), str(n_jobs)]
    process = subprocess.Popen(command, start_new_session=True)
    deadline = time.monotonic() + 120
    while not table.exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    time.sleep(random.uniform(0, 1))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 1 <= len(read_table(table)) <= 4  # whole rows only
    same(sweep(tiny(4), table, n_jobs=1, progress=False), unbroken)


def test_a_write_that_fails_leaves_the_old_table(tmp_path, monkeypatch):
    table = tmp_path / "rows.csv"
    row = run(tiny(1)[0], device="cpu")
    append_row(row, table)
    before = table.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk is full")))
    with pytest.raises(OSError, match="disk is full"):
        append_row({**row, "id": "other"}, table)
    assert table.read_bytes() == before
    assert not [p for p in tmp_path.iterdir() if p.name not in ("rows.csv", ".rows.csv.lock")]


def test_a_failed_run_is_named_and_the_others_are_kept(tmp_path):
    bad = tiny(1)[0].replace(method="lora", rank=500)
    with pytest.raises(RuntimeError, match=r"1 of 2 runs failed(.|\n)*rank=500"):
        sweep([bad, tiny(1)[0]], tmp_path / "rows.csv", n_jobs=1, progress=False)
    assert len(read_table(tmp_path / "rows.csv")) == 1


def test_unreadable_tables_and_empty_grids_are_refused(tmp_path):
    with pytest.raises(ValueError, match="grid is empty"):
        sweep([], tmp_path / "rows.csv")
    with pytest.raises(FileNotFoundError, match="no such table"):
        read_table(tmp_path / "none.csv")
    bad = tmp_path / "bad.csv"
    for content, words in (
        (b"", "not a CSV table"),
        (b"\xff\xfe\x00\x01", "not a CSV table"),
        (b"a,b\n1,2\n", "not a results table.*accuracy"),
        (",".join(REQUIRED).encode() + b"\nx,street,none,,,,,,,,", "values are missing.*accuracy"),
        (",".join(REQUIRED).encode() + b"\nx,street,none", "row 1 has 3 values for 11 columns"),
    ):
        bad.write_bytes(content)
        with pytest.raises(ValueError, match=words):
            sweep(tiny(1), bad)
        assert bad.read_bytes() == content


def test_ids_follow_the_settings_that_matter():
    base = Experiment()
    assert base.id == Experiment.from_settings(alpha=8.0, lr_head=base.recipe.lr["head"]).id
    assert base.id != base.replace(rank=8).id != base.replace(seed=1).id
    probe = Experiment(method="probe", rank=4)
    assert probe == Experiment(method="probe", rank=8, targets="k")
    assert base.replace(rank=8).alpha == 16.0
    assert base.replace(freeze_a=False) == base != base.replace(freeze_a=True)
    assert Experiment(method="probe", freeze_a=True).freeze_a is None
    assert Experiment(cipher="negative+shuffle").cipher == "shuffle+negative"
    assert Experiment(alpha=8, train=10_000, targets="v+q", rank=4).id == Experiment().id
    explicit = base.replace(lr_lora=0.5)
    for e, rate in (
        (explicit, 0.5),
        (explicit.replace(seed=1), 0.5),
        (explicit.replace(rank=8), base.recipe.lr["lora"]),
    ):
        assert e.recipe.lr["lora"] == rate


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dataset": "cifar"}, ["cifar", "street"]),
        ({"method": "dora"}, ["dora", "lora+patch"]),
        ({"cipher": "shuffle+rot13"}, ["rot13", "scramble"]),
        ({"rank": 0}, ["rank=0"]),
        ({"targets": "q+w"}, ["'w'", "fc1"]),
        ({"epochs": 0}, ["epochs=0"]),
        ({"eval_split": "train"}, ["train", "val"]),
        ({"cipher": "none+shuffle"}, ["none", "scramble"]),
        ({"lr_lora": 0.0}, ["lr['lora']=0.0", "above 0"]),
        ({"seed": -1}, ["seed=-1"]),
        ({"val": 0, "eval_split": "val"}, ["val=0", "1"]),
        ({"dataset": "digits", "val": -1}, ["val=-1", "0"]),
        ({"dataset": "digits", "test": 0}, ["test=0", "1"]),
        ({"schedule": "step"}, ["step", "cosine"]),
    ],
)
def test_bad_experiments_are_named(settings, words):
    with pytest.raises(ValueError) as error:
        Experiment.from_settings(**settings)
    assert all(word in str(error.value) for word in words)


def test_grids():
    full = grid("full")
    assert len({e.id for e in full}) == len(full)
    ciphers = {"none", "shuffle", "shuffle+negative", "scramble+shuffle+negative"}
    assert {e.cipher for e in full} == ciphers
    assert {e.rank for e in full if e.method == "lora+patch"} == {1, 2, 4, 8, 16}
    assert {e.rank for e in full if e.method == "lora"} == {1, 2, 4, 8, 16}
    assert {e.method for e in full} == set(METHODS)
    assert {e.seed for e in full} == {0, 1, 2, 3, 4}
    assert {(e.dataset, e.test) for e in full} == {("fashion", 5000)}
    private = grid("full", study="privacy")
    assert {e.recipe.privacy.epsilon for e in private} == {0.5, 1, 2, 3, 8, math.inf}
    control = {
        e.recipe.privacy.noise_multiplier for e in private if e.recipe.privacy.epsilon == math.inf
    }
    assert control == {0.0} and {e.dataset for e in private} == {"fashion"}
    assert all(grid(preset, None, 1, "privacy") for preset in ("smoke", "quick", "full"))
    assert {e.seed for e in private} == {0, 1, 2, 3, 4}
    assert {e.dataset for e in grid("quick", datasets="fashion", seeds=2)} == {"fashion"}
    for arguments, words in (
        (("tiny",), "tiny.*smoke"),
        (("quick", ["cifar"]), "cifar.*fashion"),
        (("quick", []), "datasets"),
        (("quick", None, 0), "seeds=0"),
        (("quick", None, 1, "speed"), "study='speed'.*'privacy'"),
    ):
        with pytest.raises(ValueError, match=words):
            grid(*arguments)


@pytest.mark.parametrize("name", ["results", "privacy", "claim", "claim_trials"])
def test_a_row_read_from_a_table_is_its_experiment_again(name):
    root = Path(__file__).resolve().parent.parent
    rows = read_table(root / "figures" / "results" / f"{name}.csv")
    names = [setting for setting in Experiment().settings() if setting in rows]
    for row, key in zip(rows[names].to_dict("records"), rows["id"]):
        assert Experiment.from_settings(**row).id == key
