"""The plain functions behind the explorers at the ends of their ranges, and the explorers."""

import gc
import json
import math
import subprocess
import sys
import threading
import time
from base64 import b64decode
from io import BytesIO
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from PIL import Image

from lorakit import Experiment, explore, read_table, run
from lorakit.encryption.cipher import STEPS, key_bits
from lorakit.explore import (
    CipherExplorer,
    LiveTraining,
    Results,
    attack_explorer,
    committed_rows,
    dashboard,
    privacy_chart,
    rank_chart,
    results_chart,
    spectrum_chart,
)
from lorakit.explore.__main__ import write_page
from lorakit.explore.attack import jigsaw_view, known_view
from lorakit.explore.cipher import cipher_view, read_image, samples, similarity
from lorakit.explore.curves import curves_view
from lorakit.explore.explorer import Explorer, number
from lorakit.explore.page import TABLES
from lorakit.explore.points import points
from lorakit.explore.privacy import TABLE
from lorakit.explore.saved import MIME
from lorakit.explore.view import View
from lorakit.lora.adapter_file import save_adapter
from lorakit.lora.budget import singular_values, trained_by_method
from lorakit.lora.lora import TARGETS
from lorakit.lora.vit import apply_method, count_parameters, create_backbone
from lorakit.privacy.accountant import compute_epsilon, default_delta
from lorakit.privacy.meaning import what_it_means

SETTINGS = (("probe", None, 1290), ("lora", 1, 4362), ("lora", 4, 13578), ("lora+patch", 1, 29066),
            ("lora+patch", 4, 38282), ("full", None, 1218186))  # fmt: skip


@pytest.fixture
def table(made_up):
    order = ["probe", "lora", "lora+patch", "full"]

    def accuracy(method, rank, epsilon, seed):
        return 0.6 + 0.08 * order.index(method) + 0.01 * seed - (0.1 if epsilon < 9 else 0)

    return made_up(SETTINGS, accuracy, epsilons=(2.0, math.inf))


def check_picture(png):
    """A PNG in base 64, of some size and not blank."""
    image = Image.open(BytesIO(b64decode(png)))
    assert image.width >= 500 and np.asarray(image).std() > 5


# --- counted by formula, against models that are built


@pytest.mark.parametrize("backbone", ["vit_micro", "vit_base_patch16_224"])
@pytest.mark.parametrize("method", ["probe", "patch", "bitfit", "lora", "lora+patch", "full"])
@pytest.mark.parametrize("targets", [("q", "v"), ("k", "fc1"), TARGETS])
def test_what_a_method_trains_is_what_a_model_has(backbone, method, targets):
    fixed, each = trained_by_method(backbone, targets)[method]
    for rank in (1, 64):
        with torch.device("meta"):
            model = create_backbone(backbone, pretrained=False)
            apply_method(model, method, rank=rank, targets=targets)
        assert fixed + each * rank == count_parameters(model)["trainable"]


def test_the_counts_of_the_paper():
    fixed, each = trained_by_method("vit_base_patch16_224", ["q", "v"])["lora+patch"]
    assert fixed + 4 * each == 745_738


@pytest.fixture
def adapter(tmp_path):
    model = apply_method(
        create_backbone("vit_micro"), "lora", rank=3, alpha=6, targets=["q", "fc1"]
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".B." in name:
                parameter.normal_()
    return model, save_adapter(model, tmp_path / "a.safetensors")


def test_singular_values_of_an_adapter(adapter):
    model, path = adapter
    values = singular_values(path)
    assert len(values) == 6 * 2 * 3
    for (block, target), mine in values.groupby(["block", "target"]):
        layer = model.get_submodule(
            f"blocks.{block}." + {"q": "attn.qkv", "fc1": "mlp.fc1"}[target]
        )
        expected = torch.linalg.svdvals(layer.updates[target].delta_weight())[:3]
        assert np.allclose(mine["value"], expected.detach(), rtol=1e-4)
    chart = spectrum_chart(path)
    squares = values.assign(value=values["value"] ** 2).groupby(["target", "index"])["value"].sum()
    first = squares.xs(1, level="index") / squares.groupby("target").sum()
    told = ", ".join(f"{t} {first[t]:.0%}" for t in ("q", "fc1"))
    words = f"{path.stem}: the first 1 of 3 directions hold {told} of ΔW (squared)"
    assert chart.finding == words
    check_picture(chart._repr_mimebundle_()[0]["image/png"])


def test_singular_values_need_lora(tmp_path):
    path = save_adapter(apply_method(create_backbone("vit_micro"), "probe"), tmp_path / "p")
    with pytest.raises(ValueError, match="no LoRA"):
        singular_values(path)


# --- charts of what was computed before


def test_the_privacy_table_is_what_the_accountants_say():
    """Two lines of it, computed again; and epsilon falls with noise in all."""
    table = pd.read_csv(TABLE)
    assert np.isfinite(table["epsilon"]).all() and (table["mu"] > 0).all()
    for line in table[(table["epochs"] == 1) & (table["noise"] == 2.2)].iloc[[0, -1]].itertuples():
        steps, delta = math.ceil(line.examples / line.batch), default_delta(line.examples)
        mechanism = line.noise, line.batch / line.examples, steps, delta
        assert line.epsilon == pytest.approx(compute_epsilon(*mechanism), abs=1e-3)
        assert line.mu == pytest.approx(what_it_means(*mechanism).mu, rel=0.02)
    for _, curve in table.groupby(["examples", "batch", "epochs"]):
        assert curve["noise"].is_monotonic_increasing
        assert curve["epsilon"].is_monotonic_decreasing


@pytest.mark.parametrize("make", [rank_chart, spectrum_chart, privacy_chart])
def test_a_chart_opens_with_a_sentence_menus_and_a_picture(make):
    data, _ = make()._repr_mimebundle_()
    check_picture(data["image/png"])
    assert any(digit in data["text/plain"] for digit in "123456789")


@pytest.mark.parametrize("make", [rank_chart, spectrum_chart, privacy_chart])
def test_the_picture_of_a_chart_is_light_and_black_on_white(make):
    """On a page its ink is ``currentColor``, and it has no ground of its own."""
    png = b64decode(make().still())
    pixels = np.asarray(Image.open(BytesIO(png)).convert("RGB")).reshape(-1, 3)
    assert (pixels == 255).all(axis=1).mean() > 0.5 and (pixels < 60).all(axis=1).mean() > 0.005
    assert len(png) < 80_000


def test_the_sentences_of_the_charts():
    assert rank_chart().finding == (
        "vit_base_patch16_224, rank 4 on q+v: lora+patch trains 745,738 of 85,806,346 parameters, "
        "0.87%"
    )
    line = pd.read_csv(TABLE).query("examples == 10000 & batch == 256 & epochs == 10 & noise == 1")
    assert f"ε = {line['epsilon'].item():.2f} at δ = 1e-05" in privacy_chart().finding


# --- plain functions at the ends of their ranges


@pytest.mark.parametrize("block_size", [2, 32])
@pytest.mark.parametrize("steps", [(), ("negative",), STEPS])
def test_cipher_view(block_size, steps):
    for image in (samples()["ankle boot"], samples()["ankle boot"].repeat(1, 4, 4)):
        view = cipher_view(image=image, block_size=block_size, steps=steps, seed=99)
        check_picture(view.still())
        assert view.html.count("<img") == 4
        assert ("1.00 of 1" in view.finding) == (not steps)
        bits = sum(key_bits(image.shape[-1], block_size, steps).values())
        assert f"together {bits:,.0f}" in view.notes[0]


def test_similarity():
    image = samples()["street digit, in colour"]
    assert similarity(image, image) == 1 and similarity(image, 255 - image) < 0.1


def test_the_cipher_opens_on_clothes_and_has_a_colour_picture():
    first, *_, last = samples().values()
    assert torch.equal(first[0], first[2]) and not torch.equal(last[0], last[2])
    assert all(image.shape == (3, 32, 32) and image.max() > 128 for image in samples().values())


@pytest.mark.parametrize("mode, extent", [("L", (1, 1)), ("RGBA", (300, 40)), ("P", (40, 300))])
def test_an_image_file_becomes_a_square(mode, extent):
    buffer = BytesIO()
    Image.new(mode, extent, 1).save(buffer, "png")
    assert read_image(buffer.getvalue()).shape == (3, 128, 128)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"0" * 50])
def test_what_is_no_image_is_refused(content):
    with pytest.raises(ValueError, match="not a picture"):
        read_image(content)


@pytest.mark.parametrize("dataset", ["fashion", "street"])
@pytest.mark.parametrize("block_size", [4, 16])
def test_attack_views(dataset, block_size):
    for known, levels in ((1, 2), (8, 256)):
        view = known_view(dataset=dataset, block_size=block_size, known=known, levels=levels)
        assert "%" in view.finding and view.html.count("<img") == 4
    for pictures, starts in ((1, 1), (40, 8)):
        view = jigsaw_view(dataset=dataset, block_size=block_size, pictures=pictures, starts=starts)
        assert "put together right" in view.finding and view.html.count("<img") == 4


@pytest.mark.parametrize("dataset", ["fashion", "street"])
def test_more_effort_opens_more(dataset):
    """One known picture of many values opens a secret one; of two values it does not."""
    assert "100%" in known_view(dataset=dataset, levels=256).finding
    assert "100%" not in known_view(dataset=dataset, levels=2).finding
    assert "100%" in jigsaw_view(dataset=dataset, pictures=40, starts=8).finding


def test_a_grey_picture_leaves_open_what_no_grey_picture_shows():
    """Three equal channels: 3! orders at each of 64 places; in colour nothing is left."""
    assert "About 165 bits" in known_view(dataset="fashion").notes[0]
    assert "Nothing of the key" in known_view(dataset="street").notes[0]


def test_points_are_means_over_seeds_alone(table):
    """Settings that differ in anything else, the backbone too, are points of their own."""
    other = table[table["method"] == "lora"].assign(backbone="vit_mini")
    longer = table[table["method"] == "lora"].assign(epochs=9)
    every = [
        frame.assign(id=frame["id"] + str(n)) for n, frame in enumerate((table, other, longer))
    ]
    found = points(pd.concat(every, ignore_index=True))
    assert set(found["seeds"]) == {3} and len(found) == len(pd.concat(every)) / 3
    lora = found[found["method"] == "lora"]
    assert {name.rsplit(", ")[-1] for name in lora["dataset"]} == {"vit_micro", "vit_mini"}
    assert {r for r in lora["recipe"] if "vit_micro" in r} == {
        "5 epochs, vit_micro",
        "9 epochs, vit_micro",
    }
    assert found["high"].max() <= 1 and (found["low"] < found["mean"]).all()


def test_a_chart_is_a_picture_too_and_needs_nothing_from_elsewhere(table):
    chart = results_chart(table)
    data, metadata = chart._repr_mimebundle_()
    assert Image.open(BytesIO(b64decode(data["image/png"]))).width > 500
    spec = json.dumps(data[MIME])
    assert spec.count("http") == 1 and "vega.github.io/schema/vega-lite/v5" in spec
    assert not metadata[MIME]["embed_options"]["actions"]
    menus = {p["name"]: p.get("value") for p in data[MIME]["params"]}
    assert menus.pop("budget") == 5 and menus["privacy"] == "no noise"
    best = "best with at most 100,000 parameters is lora+patch, r = 1 on q+v, 77.0 ± 2.5 %"
    assert data["text/plain"] == f"{menus['dataset']}, shuffle + negative, no noise: {best}"


def test_the_committed_chart_opens_on_clothes(request):
    rows = committed_rows(request.config.rootpath)
    assert results_chart(rows).finding.startswith("clothes, 10,000 images, vit_micro, shuffle")
    with pytest.raises(ValueError, match="columns"):
        results_chart(rows.drop(columns="backbone"))


def test_curves():
    private = Experiment.from_settings(dataset="digits", method="probe", epsilon=2.0)
    moments = [{"step": i, "steps": 9, "loss": 1 / i, "accuracy": i / 9, "epsilon": i / 5}
               for i in range(1, 10)]  # fmt: skip
    trained = curves_view(moments, private)
    assert trained.html.count("<svg") == 3
    plain, hidden = (curves_view([], Experiment(cipher=c)).html for c in ("none", "shuffle"))
    assert plain.count("<img") == 1 and hidden.count("<img") == 2  # what trains, and as encrypted
    assert hidden.startswith(plain)


# --- the explorers


@pytest.fixture(scope="module")
def explorers():
    return {"cipher": CipherExplorer(), "attack": attack_explorer(), "train": LiveTraining()}


NAMES = ("cipher", "attack", "train")


@pytest.mark.parametrize("name", NAMES)
def test_each_control_has_a_label_and_a_hint_and_answers(explorers, name):
    explorer = explorers[name]
    for control in explorer.controls.values():
        assert control.description and control.tooltip
    assert "alert" not in explorer.message.value and 'alt="' in explorer.picture.value
    assert not plt.get_fignums()


@pytest.mark.parametrize("name", NAMES[:2])
def test_without_a_kernel_there_is_a_picture(explorers, name):
    bundle = explorers[name]._repr_mimebundle_()
    check_picture(bundle["image/png"])
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == explorers[name].now.finding


def test_rules_hide_what_does_not_matter(explorers):
    attack = explorers["attack"].controls
    assert hidden(attack) == {"pictures", "starts"}
    attack["attack"].value = "jigsaw"
    assert hidden(attack) == {"known", "levels"}


def hidden(controls):
    return {name for name, control in controls.items() if control.layout.display == "none"}


def refuses_two(before=lambda x: None):
    """A control of one number, and an explorer that draws it, but not the number two."""

    def view(x):
        before(x)
        if x == 2:
            raise ValueError("two is refused")
        return View("", f"x = {x}")

    control = number("x", 0, 10, 1, hint="a number")
    return control, Explorer(view, {"x": control})


def test_what_cannot_be_drawn_is_said_and_leaves_no_old_picture():
    control, explorer = refuses_two()
    control.value = 2
    assert "alert" in explorer.message.value and not explorer.picture.value
    control.value = 3
    assert "alert" not in explorer.message.value and "x = 3" in explorer.picture.value


def test_a_training_gives_the_row_that_run_gives(tmp_path):
    rows = []
    live = LiveTraining(tmp_path / "mine.csv", rows.append)
    assert live.experiment().dataset == "fashion"
    small = {"dataset": "digits", "train": 100, "method": "lora", "rank": 2, "epochs": 1}
    for name, value in small.items():
        live.controls[name].value = value
    live.start()
    assert live.train_button.disabled and not live.stop_button.disabled
    live.wait()
    assert "Finished" in live.left.value and not live.running
    assert not live.train_button.disabled and live.stop_button.disabled
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    expected = run(live.experiment())
    torch.set_num_threads(threads)
    assert rows[0]["id"] == expected["id"] and rows[0]["accuracy"] == expected["accuracy"]
    assert read_table(live.table)["id"].tolist() == [expected["id"]]
    assert [m["step"] for m in live.moments][-1] == math.ceil(100 / 32)


def test_a_row_that_cannot_be_written_is_shown_and_said(tmp_path):
    table, rows = tmp_path / "mine.csv", []
    table.write_text("id,accuracy\n1,damaged\n")
    live = LiveTraining(table, rows.append)
    live._pipe = SimpleNamespace(close=lambda: None)
    row = {"id": "2", "accuracy": 0.5, "test": 100, "seconds": 1.0}
    live._ended("row", row)
    assert rows == [row] and "could not be written" in live.message.value
    assert "Finished" in live.left.value and "the row is in" not in live.left.value
    assert table.read_text() == "id,accuracy\n1,damaged\n"


def test_the_time_that_is_left_does_not_count_the_start(monkeypatch, tmp_path):
    live, now = LiveTraining(tmp_path / "mine.csv"), iter((100.0, 101.0))
    clock = SimpleNamespace(monotonic=lambda: next(now))
    monkeypatch.setattr("lorakit.explore.live.time", clock)
    for step in (1, 11):
        live._moment({"step": step, "steps": 31, "loss": 1.0, "accuracy": 0.5})
        assert ("left" in live.left.value) == (step > 1)
    assert "about 2 s left" in live.left.value


def test_stop_ends_a_training_within_a_step(tmp_path):
    live = LiveTraining(tmp_path / "mine.csv")
    for name, value in {"dataset": "digits", "method": "full", "epochs": 20}.items():
        live.controls[name].value = value
    live.start()
    while not live.moments and live.running:
        time.sleep(0.05)
    seen = live.moments[-1]["step"]
    live.stop()
    live.wait()
    stopped = int(live.left.value.split("after step ")[1].split()[0])
    assert seen <= stopped < seen + 25 and not live.table.exists()


def test_what_goes_wrong_in_a_training_is_said(tmp_path, monkeypatch):
    live = LiveTraining(tmp_path / "mine.csv")
    nowhere = Experiment(dataset="folder:nothing", train=1, val=1, test=1)
    monkeypatch.setattr(live, "experiment", lambda: nowhere)
    live.start()
    live.wait()
    assert "alert" in live.message.value and "name=&#x27;folder:nothing" in live.message.value
    assert "Traceback" not in live.message.value and "\n" not in live.message.value
    assert not live.running and not live.train_button.disabled


def test_a_process_that_dies_is_said(tmp_path):
    live = LiveTraining(tmp_path / "mine.csv")
    live.start()
    live.process.kill()
    live.wait()
    assert "alert" in live.message.value and "its process, code -9" in live.message.value
    assert not live.running and live.stop_button.disabled and not live.table.exists()


def test_a_training_ends_with_the_kernel(tmp_path):
    """However that ends: here at once, with no time to tidy up, and with no file as main."""
    code = f"""
import os, time
from lorakit.explore import LiveTraining
live = LiveTraining({str(tmp_path / "mine.csv")!r})
for name, value in {{"method": "full", "epochs": 20}}.items():
    live.controls[name].value = value
live.start()
while not live.moments and live.running:
    time.sleep(0.05)
print(live.process.pid, len(live.moments), flush=True)
os._exit(0)
"""
    pid, moments = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert int(moments)
    end = time.monotonic() + 30
    while psutil.pid_exists(int(pid)) and psutil.Process(int(pid)).status() != "zombie":
        assert time.monotonic() < end, "the training goes on without its page"
        time.sleep(0.1)


@pytest.mark.parametrize("method, rank", [("probe", None), ("lora", 4)])
def test_a_row_of_ones_own_joins_the_chart(table, method, rank):
    results = Results(table)
    here = {"dataset": "digits", "cipher": "none", "method": method, "rank": rank}
    row = table.iloc[0].to_dict() | here | {"targets": "q+v" if rank else None}
    for seed, accuracy in ((7, 0.2), (7, 0.3), (8, 0.91)):
        mine = {"id": f"mine {seed}", "seed": seed, "accuracy": accuracy, "epsilon": math.inf}
        results.add({**row, **mine})
    assert len(results.own) == 2
    spec = results.output.outputs[0]["data"][MIME]
    said = spec["title"]["subtitle"]
    assert "yours" in said and "committed" in said
    menus = {p["name"]: p.get("value") for p in spec["params"]}
    assert menus["dataset"].startswith("handwritten digits") and menus["cipher"] == "plain"
    data, _ = results.chart._repr_mimebundle_()
    assert data["image/png"]


def test_sizes_stay_apart_and_ones_own_run_stands_with_the_nearest(table):
    """More training images are another task; but a run alone in its picture says little."""
    sizes = [table.assign(train=n, id=table["id"] + f" {n}") for n in (1000, 4000)]
    own = table.iloc[[0]].assign(train=2000, id="mine")
    found = points(pd.concat(sizes), own)
    places = {n: f"{n:,} images" for n in (1000, 4000)}
    committed = found[~found["yours"]]
    assert all(committed["dataset"].str.contains(place).sum() == len(committed) // 2
               for place in places.values())  # fmt: skip
    assert places[1000] in found.loc[found["yours"], "dataset"].item()


def test_a_run_with_no_committed_ones_is_shown_alone(table):
    results = Results(table)
    row = {**table.iloc[0].to_dict(), "id": "mine", "cipher": "negative", "epsilon": 5.0}
    results.add(row)
    spec = results.output.outputs[0]["data"][MIME]
    assert "committed" not in spec["title"]["subtitle"]
    assert {p["name"]: p.get("value") for p in spec["params"]}["privacy"] == "ε = 5"
    data, _ = results.chart._repr_mimebundle_()
    assert {"image/png", "text/plain", MIME} <= data.keys()


def test_the_dashboard_holds_all_six(tmp_path, table):
    tabs = dashboard(table, tmp_path / "mine.csv")
    assert tabs.titles == ("Results", "Rank", "Cipher", "Privacy", "Attack", "Train")
    results, rank, cipher, privacy, attack, train = filled(tabs)
    charts = [len(tab.children[1].outputs) for tab in (results, rank, privacy)]
    assert charts == [1, 2, 1] and all("Try: " in tab.children[0].value for tab in (rank, privacy))
    assert isinstance(cipher.children[0], CipherExplorer)
    assert isinstance(train.children[0], LiveTraining)
    assert "attack" in attack.children[0].controls


def filled(tabs):
    """The tabs of a dashboard when its thread has made them all."""
    end = time.monotonic() + 60
    while any("getting ready" in getattr(tab.children[0], "value", "") for tab in tabs.children):
        assert time.monotonic() < end
        time.sleep(0.05)
    return tabs.children


def test_a_tab_that_cannot_be_made_says_so_and_the_others_are_there(tmp_path, table, monkeypatch):
    monkeypatch.setattr(explore, "CipherExplorer", lambda: 1 / 0)
    cipher, privacy = filled(dashboard(table, tmp_path / "mine.csv"))[2:4]
    assert "cannot be shown" in cipher.children[0].value and "Zero" in cipher.children[0].value
    assert privacy.children[1].outputs


def test_an_explorer_shows_signs_of_life():
    """Each is a new element, or the page would not start its clock anew."""
    explorer = Explorer(lambda: View("", "nothing"), {})
    sign = explorer.children[1].children[0].children[-1]
    first = sign.value
    assert "does not answer" in first and "animation" in first
    end = time.monotonic() + 20
    while sign.value == first:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_the_page_for_voila_finds_the_tables(tmp_path, monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    page = json.loads(write_page(tmp_path).read_text())
    code = "".join(page["cells"][1]["source"])
    assert repr(str(request.config.rootpath)) in code
    with pytest.raises(ValueError, match="not a results table"):
        (tmp_path / "figures" / "results").mkdir(parents=True)
        for name in TABLES:
            (tmp_path / "figures" / "results" / f"{name}.csv").write_text("a\n1\n")
        committed_rows(tmp_path)


def test_moves_leave_nothing_behind(explorers):
    """No figure stays open, and the number of objects does not grow with the moves."""
    cipher = explorers["cipher"]

    def count(moves):
        for seed in moves:
            cipher.controls["seed"].value = seed
        gc.collect()
        return len(gc.get_objects())

    first = count(range(10))
    assert count(range(10, 40)) < first + 2000 and not plt.get_fignums()


RANDOM_MOVES = """
import random, resource
from lorakit.explore import CipherExplorer, attack_explorer
draw, explorers = random.Random(0), [CipherExplorer(), attack_explorer()]
for _ in range(200):
    explorer = draw.choice(explorers)
    control = explorer.controls[draw.choice(list(explorer.controls))]
    if hasattr(control, "options"):
        control.index = draw.randrange(len(control.options))
    elif hasattr(control, "max"):
        control.value = draw.randint(control.min, control.max)
    else:
        control.value = not control.value
    assert explorer.now.finding and explorer.picture.value, explorer.message.value
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_no_state_needs_much_memory():
    """Two hundred random moves of what a kernel computes; the charts compute nothing there."""
    kilobytes = subprocess.check_output([sys.executable, "-c", RANDOM_MOVES], text=True)
    assert int(kilobytes) < 3e6


def test_a_move_while_the_picture_is_drawn_is_not_lost():
    """JupyterLab delivers moves in another thread than cells: here one comes in mid-drawing."""
    shown = []

    def move(x):
        if x == 2 and 7 not in shown:
            mover = threading.Thread(target=lambda: setattr(control, "value", 7))
            mover.start()
            mover.join()
        shown.append(x)

    control, explorer = refuses_two(before=move)
    control.value = 2
    assert shown == [1, 2, 7] and "x = 7" in explorer.picture.value
