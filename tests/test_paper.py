"""The paper's experiment, from pictures on disk to figures: in small, with random weights."""

import importlib
import os

import pandas as pd
import pytest
import torch
from PIL import Image

from lorakit import Experiment, grid, read_table, run
from lorakit.experiments.estimate import estimate
from lorakit.experiments.paper import main
from lorakit.experiments.run import build
from lorakit.lora.vit import count_parameters

TINY = "vit_micro"
SMALL = "vit_tiny_patch16_224"  # takes so long that an estimate is above zero


@pytest.fixture(autouse=True)
def own_data(monkeypatch, tmp_path):
    monkeypatch.setenv("LORAKIT_DATA", str(tmp_path / "data"))


def test_the_preset_is_the_papers_setting():
    found = grid("paper")
    assert {e.method for e in found} == {"lora", "lora+patch", "full"} and len(found) == 9
    assert {e.cipher for e in found} == {"none", "shuffle", "scramble+shuffle"}
    for e in found:
        assert (e.dataset, e.backbone, e.pretrained) == ("cifar10", "vit_base_patch16_224", True)
        recipe = (e.recipe.optimizer, e.recipe.schedule, e.recipe.weight_decay)
        assert recipe == ("adamw", "cosine", 0.01)
        assert e.rank is None or (e.rank, e.alpha, e.targets) == (4, 8.0, "q+v")
    private = grid("paper", "cifar100", study="privacy")
    assert all(e.private and e.dataset == "cifar100" for e in private)
    assert all(e.recipe.privacy.delta < 1 / 45_000 for e in private)
    with pytest.raises(ValueError, match="imagenette"):
        grid("paper", "street")


def test_on_vit_b16_methods_train_as_many_parameters_as_the_paper_says():
    with torch.device("meta"):
        models = {e.method: build(e.replace(pretrained=False), 10) for e in grid("paper")}
    counts = {method: count_parameters(model)["trainable"] for method, model in models.items()}
    assert counts == {"lora": 155_146, "lora+patch": 745_738, "full": 85_806_346}


def dry_run(folder, capsys, *more):
    """The rows and the words of the command."""
    main(["--dry-run", "--out", str(folder), *more])
    rows = read_table(folder / "encryption.csv")
    assert not rows["pretrained"].any() and rows["accuracy"].between(0, 1).all()
    with Image.open(folder / "encryption.png") as figure:
        assert figure.width > 300
    assert not list((folder / "checkpoints").glob("*"))  # finished runs need none
    return rows, capsys.readouterr().out


def test_a_dry_run_goes_the_whole_way(tmp_path, capsys):
    rows, said = dry_run(tmp_path, capsys, "--backbone", TINY)
    assert len(rows) == 9 and set(rows["backbone"]) == {TINY}
    assert (rows.groupby("cipher")["method"].nunique() == 3).all()
    assert "images_per_second" in said and "9 runs" in said and "shuffle" in said


def test_one_of_the_nine_runs_with_vit_b16_at_224(tmp_path):
    """On pictures from disk, encrypted on the way: trained, evaluated, measured."""
    for number in range(20):
        path = tmp_path / "data" / "mine" / f"class {number % 10}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80, 60), (number, 99, 0)).save(path)
    nine = paper_module()._experiments("folder:mine", None, "encryption")
    asked = ("lora+patch", "scramble+shuffle")
    (one,) = (e for e in nine if (e.method, e.cipher) == asked)
    assert (len(nine), one.train, one.val, one.test) == (9, 16, 2, 2)
    few = {"train": 2, "val": 1, "test": 1, "epochs": 1, "batch_size": 2, "pretrained": False}
    row = run(one.replace(**few), device="cpu")
    assert row["backbone"] == "vit_base_patch16_224" and row["trainable"] == 745_738
    assert row["dataset"] == "folder:mine" and not row["pretrained"]
    assert 0 <= row["accuracy"] <= 1 and 0 < row["loss"] < 100 and 0 < row["train_loss"] < 100


def test_a_stopped_run_goes_on_after_its_last_epoch(tmp_path, monkeypatch):
    monkeypatch.setattr(paper_module(), "_DRY", {**paper_module()._DRY, "epochs": 2})
    plain = [e for e in grid("paper") if e.cipher == "none"]
    monkeypatch.setattr(paper_module(), "grid", lambda *_: plain)
    arguments = ["--dry-run", "--backbone", TINY, "--out"]
    epochs, stopped = [], []
    runner = importlib.import_module("lorakit.experiments.run")
    fit = runner.fit

    def stop_in_the_second_epoch(*args, **settings):
        def callback(step):
            epochs.append(step.epoch)
            if step.epoch == 2 and not stopped:
                stopped.append(step)
                raise KeyboardInterrupt

        return fit(*args, **{**settings, "callback": callback})

    monkeypatch.setattr(runner, "fit", stop_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        main([*arguments, str(tmp_path)])
    assert epochs == [1, 1, 2] and len(list((tmp_path / "checkpoints").glob("*"))) == 1
    epochs.clear()
    rows = main([*arguments, str(tmp_path)])
    assert epochs[:2] == [2, 2] and epochs.count(1) == 2 * 2  # the first run only went on
    again = main([*arguments, str(tmp_path / "unbroken")])
    assert rows["accuracy"].tolist() == again["accuracy"].tolist()
    assert rows["loss"].tolist() == pytest.approx(again["loss"].tolist(), rel=1e-5)


def paper_module():
    return importlib.import_module("lorakit.experiments.paper")


def test_the_private_study_runs_too(tmp_path, capsys):
    rows = main(["--dry-run", "--private", "--backbone", TINY, "--out", str(tmp_path)])
    assert (rows["epsilon_spent"] <= rows["epsilon"]).all() and 8.0 in set(rows["epsilon"])
    assert set(rows.loc[rows["noise_multiplier"] == 0, "method"]) == {"lora+patch", "full"}
    assert (tmp_path / "privacy.png").exists()


def test_what_takes_too_long_is_not_begun(tmp_path, capsys, monkeypatch):
    one = grid("paper")[:1]
    monkeypatch.setattr(paper_module(), "grid", lambda *_: one)
    with pytest.raises(SystemExit, match=r"hours=1e-06: it would take .* --hours"):
        main(["--dry-run", "--out", str(tmp_path), "--backbone", SMALL, "--hours", "1e-6"])
    assert not (tmp_path / "encryption.csv").exists()
    assert "hours" in capsys.readouterr().out


def test_an_estimate_alone_trains_nothing(tmp_path):
    found = main(["--dry-run", "--estimate", "--backbone", TINY, "--out", str(tmp_path)])
    assert isinstance(found, pd.DataFrame) and found["method"].tolist() == [
        "lora", "lora+patch", "full",
    ]  # fmt: skip
    assert (found["images_per_second"] > 0).all() and (found["memory_gb"] > 0).all()
    assert found["runs"].tolist() == [3, 3, 3] and not (tmp_path / "encryption.csv").exists()


def test_experiments_whose_steps_differ_are_measured_apart():
    e = Experiment("digits", train=100, val=1, test=1, method="lora")
    changes = {"views": 2, "batch_size": 8, "precision": "tf32", "freeze_a": True}
    others = [e.replace(**{name: value}) for name, value in changes.items()]
    found = estimate([e, *others, e.replace(cipher="shuffle")], 10)
    assert found["runs"].tolist() == [2, 1, 1, 1, 1]


def test_without_the_data_it_says_where_to_get_them(tmp_path):
    with pytest.raises(SystemExit, match=r"cifar-10-python\.tar\.gz"):
        main(["--root", str(tmp_path / "nothing"), "--out", str(tmp_path)])
    assert os.environ["LORAKIT_DATA"] == str(tmp_path / "nothing")
