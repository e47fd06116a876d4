"""The plain functions behind the explorers at the ends of their ranges, and the explorers."""

import asyncio
import gc
import json
import math
import subprocess
import sys
import threading
import time
from base64 import b64decode
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lorakit import Experiment, read_table, run
from lorakit.encryption.cipher import STEPS, key_bits
from lorakit.explore import (
    CipherExplorer,
    LiveTraining,
    PrivacyExplorer,
    Results,
    attack_explorer,
    committed_rows,
    dashboard,
    rank_explorer,
    results_chart,
    singular_explorer,
)
from lorakit.explore.__main__ import write_page
from lorakit.explore.attack import jigsaw_view, known_view
from lorakit.explore.cipher import cipher_view, read_image, samples, similarity
from lorakit.explore.curves import curves_view
from lorakit.explore.dashboard import TABLES
from lorakit.explore.explorer import Explorer, slider
from lorakit.explore.points import points
from lorakit.explore.privacy import SHOWS, privacy_view
from lorakit.explore.rank import BACKBONES, rank_view, singular_view
from lorakit.explore.saved import MIME
from lorakit.explore.view import View, new_figure, to_png
from lorakit.lora.adapter_file import save_adapter
from lorakit.lora.budget import budget, singular_values
from lorakit.lora.lora import TARGETS
from lorakit.lora.vit import apply_method, count_parameters, create_backbone
from lorakit.privacy.accountant import compute_epsilon
from lorakit.privacy.curves import _ORDERS, Quick, quick_noise

SETTINGS = (("probe", None, 1290), ("lora", 1, 4362), ("lora", 4, 13578), ("lora+patch", 1, 29066),
            ("lora+patch", 4, 38282), ("full", None, 1218186))  # fmt: skip


@pytest.fixture
def table(made_up):
    order = ["probe", "lora", "lora+patch", "full"]

    def accuracy(method, rank, epsilon, seed):
        return 0.6 + 0.08 * order.index(method) + 0.01 * seed - (0.1 if epsilon < 9 else 0)

    return made_up(SETTINGS, accuracy, epsilons=(2.0, math.inf))


def size(view):
    """Of the drawn picture, which must not be blank."""
    image = Image.open(BytesIO(to_png(view.figure)))
    assert np.asarray(image).std() > 5
    return image.size


# --- budget: counted by formula, against models that are built


@pytest.mark.parametrize("backbone", ["vit_micro", "vit_base_patch16_224"])
@pytest.mark.parametrize("method", ["lora", "lora+patch"])
@pytest.mark.parametrize("targets", [("q", "v"), ("k", "fc1"), TARGETS])
@pytest.mark.parametrize("blocks, rank, freeze_a", [(1, 1, True), (5, 16, False), (None, 4, True)])
def test_the_budget_is_what_a_model_has(backbone, method, targets, blocks, rank, freeze_a):
    options = {"blocks": blocks, "freeze_a": freeze_a}
    cost = budget(backbone, rank, targets, patch_embed=method == "lora+patch", **options)
    with torch.device("meta"):
        model = create_backbone(backbone, pretrained=False)
        total = count_parameters(model)["total"]
        chosen = None if blocks is None else range(blocks)
        counts = count_parameters(
            apply_method(
                model, method, rank=rank, targets=targets, blocks=chosen, freeze_a=freeze_a
            )
        )
    assert (cost.trainable, cost.total) == (counts["trainable"], total)
    assert {n: getattr(cost, n) for n in ("lora", "patch_embed", "head")} == {
        n: counts[n] for n in ("lora", "patch_embed", "head")
    }


def test_the_budget_of_the_paper():
    cost = budget("vit_base_patch16_224", 4)
    assert cost.trainable == 745_738 and round(100 * cost.share, 2) == 0.87
    assert cost.private_bytes(64) == 64 * cost.adapter_bytes == 64 * 4 * 745_738


@pytest.mark.parametrize(
    "change, name",
    [({"rank": 0}, "rank"), ({"rank": 129}, "rank"), ({"targets": ()}, "targets"),
     ({"targets": "x"}, "targets"), ({"blocks": 7}, "blocks"), ({"classes": 1}, "classes")],
)  # fmt: skip
def test_a_budget_out_of_range(change, name):
    with pytest.raises(ValueError, match=name):
        budget(**{"backbone": "vit_micro", "rank": 4, **change})


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
    assert size(singular_view(adapter=path))[0] == 560


def test_singular_values_need_lora(tmp_path):
    path = save_adapter(apply_method(create_backbone("vit_micro"), "probe"), tmp_path / "p")
    with pytest.raises(ValueError, match="no LoRA"):
        singular_values(path)


# --- quick accounting


PROMISES = (st.floats(0.1, 30), st.floats(0.001, 1), st.integers(1, 3000), st.floats(-8, -2))


def noise_for(epsilon, rate, steps, delta):
    """None where no allowed noise reaches epsilon."""
    try:
        return quick_noise(epsilon, rate, steps, delta)
    except ValueError as error:
        assert "sigma from 0.2 to 1000" in str(error)


@given(*PROMISES)
@settings(max_examples=100, deadline=None)
def test_quick_noise_keeps_its_epsilon(epsilon, rate, steps, exponent):
    delta = 10**exponent
    if sigma := noise_for(epsilon, rate, steps, delta):
        assert 0.98 * epsilon < Quick(sigma, rate).rdp(steps, delta) <= epsilon


@given(*PROMISES)
@settings(max_examples=8, deadline=None)  # PRV takes up to two seconds
def test_quick_noise_is_enough_for_the_exact_accountant(epsilon, rate, steps, exponent):
    delta = 10**exponent
    if sigma := noise_for(epsilon, rate, steps, delta):
        exact = compute_epsilon(sigma, rate, steps, delta, accountant="prv")
        assert exact <= 1.01 * epsilon + 0.002  # RDP is an upper bound


@pytest.mark.parametrize(
    "sigma, rate", [(0.5, 0.01), (1.0, 0.2), (8.0, 0.9), (2.0, 1.0), (40, 1e-3)]
)
def test_quick_rdp_is_opacus_rdp(sigma, rate):
    from opacus.accountants.analysis.rdp import compute_rdp

    expected = compute_rdp(q=rate, noise_multiplier=sigma, steps=1, orders=list(_ORDERS))
    assert np.allclose(Quick(sigma, rate)._one_step, expected, rtol=1e-6, atol=1e-12)


# --- plain functions at the ends of their ranges


@pytest.mark.parametrize("rank", [1, 64])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_rank_view(backbone, rank):
    depth = 6 if backbone == "vit_micro" else 12
    for blocks, targets, patch in ((1, ["q"], False), (depth, TARGETS, True)):
        view = rank_view(backbone=backbone, rank=rank, alpha=1, targets=targets, blocks=blocks,
                         patch_embed=patch, classes=1000, batch=256)  # fmt: skip
        cost = budget(backbone, rank, targets, blocks=blocks, patch_embed=patch, classes=1000)
        assert f"{cost.trainable:,}" in view.finding and "on disk" in view.details()
        size(view)


@pytest.mark.parametrize("block_size", [2, 32])
@pytest.mark.parametrize("steps", [(), ("negative",), STEPS])
def test_cipher_view(block_size, steps):
    for image in (samples()["ankle boot"], samples()["ankle boot"].repeat(1, 4, 4)):
        view = cipher_view(image=image, block_size=block_size, steps=steps, seed=99)
        size(view)
        assert ("1.00 of 1" in view.finding) == (not steps)
        bits = sum(key_bits(image.shape[-1], block_size, steps).values())
        assert f"together {bits:,.0f}" in view.details()


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


@pytest.mark.parametrize("show", SHOWS)
@pytest.mark.parametrize("known", ["epsilon", "noise_multiplier"])
@pytest.mark.parametrize("examples, batch", [(100, 1), (100, 100), (10**6, 65_536)])
def test_privacy_view(show, known, examples, batch):
    for epochs, epsilon, sigma, delta in ((1, 0.1, 0.32, 1e-8), (100, 31.0, 31.0, 0.1)):
        view = privacy_view(examples=examples, batch=batch, epochs=epochs, known=known, show=show,
                            epsilon=epsilon, noise_multiplier=sigma, delta=delta)  # fmt: skip
        size(view)
        assert ("empty promise" in view.finding) == (delta >= 1 / examples)
        assert "trap" in view.details()


def test_privacy_view_says_what_the_tight_accountant_found():
    view = privacy_view(known="noise_multiplier", noise_multiplier=1.0, tight=2.5)
    assert "ε = 2.5 by PRV" in view.finding
    with pytest.raises(ValueError, match="batch=11"):
        privacy_view(examples=10, batch=11)


@pytest.mark.parametrize("dataset", ["fashion", "street"])
@pytest.mark.parametrize("block_size", [4, 16])
def test_attack_views(dataset, block_size):
    for known, levels in ((1, 2), (8, 256)):
        view = known_view(dataset=dataset, block_size=block_size, known=known, levels=levels)
        assert "%" in view.finding and size(view) == (560, 592)
    for pictures, starts in ((1, 1), (40, 8)):
        view = jigsaw_view(dataset=dataset, block_size=block_size, pictures=pictures, starts=starts)
        assert "put together right" in view.finding and size(view) == (560, 592)


@pytest.mark.parametrize("dataset", ["fashion", "street"])
def test_more_effort_opens_more(dataset):
    """One known picture of many values opens a secret one; of two values it does not."""
    assert "100%" in known_view(dataset=dataset, levels=256).finding
    assert "100%" not in known_view(dataset=dataset, levels=2).finding
    assert "100%" in jigsaw_view(dataset=dataset, pictures=40, starts=8).finding


def test_a_grey_picture_leaves_open_what_no_grey_picture_shows():
    """Three equal channels: 3! orders at each of 64 places; in colour nothing is left."""
    assert "About 165 bits" in known_view(dataset="fashion").details()
    assert "Nothing of the key" in known_view(dataset="street").details()


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
    assert not plt.get_fignums()
    assert Image.open(BytesIO(b64decode(data["image/png"]))).width > 500
    spec = json.dumps(data[MIME])
    assert spec.count("http") == 1 and "vega.github.io/schema/vega-lite/v5" in spec
    assert not metadata[MIME]["embed_options"]["actions"]
    menus = {p["name"]: p.get("value") for p in data[MIME]["params"]}
    assert menus.pop("budget") == 5 and menus["privacy"] == "no privacy"
    best = "best with at most 100,000 parameters is lora+patch, r = 1 on q+v, 77.0 ± 2.5 %"
    assert data["text/plain"] == f"{menus['dataset']}, shuffle + negative, no privacy: {best}"


def test_the_committed_chart_opens_on_clothes(request):
    rows = committed_rows(request.config.rootpath)
    assert results_chart(rows).finding.startswith("clothes (Fashion-MNIST), vit_micro, shuffle")
    with pytest.raises(ValueError, match="columns"):
        results_chart(rows.drop(columns="backbone"))


def test_curves():
    private = Experiment.from_settings(dataset="digits", method="probe", epsilon=2.0)
    moments = [{"step": i, "steps": 9, "loss": 1 / i, "accuracy": i / 9, "epsilon": i / 5}
               for i in range(1, 10)]  # fmt: skip
    assert len(curves_view(moments, private).figure.axes) == 3
    assert len(curves_view([], Experiment()).figure.axes) == 2


# --- the explorers


@pytest.fixture(scope="module")
def explorers():
    return {"rank": rank_explorer(), "cipher": CipherExplorer(),
            "privacy": PrivacyExplorer(), "attack": attack_explorer(), "train": LiveTraining(),
            "singular": singular_explorer()}  # fmt: skip


NAMES = ("rank", "cipher", "privacy", "attack", "train", "singular")


@pytest.mark.parametrize("name", NAMES)
def test_each_control_has_a_label_and_a_hint_and_answers(explorers, name):
    explorer = explorers[name]
    for control in explorer.controls.values():
        assert control.description and control.tooltip
    assert "alert" not in explorer.message.value and 'alt="' in explorer.picture.value
    assert not plt.get_fignums()


@pytest.mark.parametrize("name", NAMES)
def test_without_a_kernel_there_is_a_picture(explorers, name):
    bundle = explorers[name]._repr_mimebundle_()
    image = Image.open(BytesIO(b64decode(bundle["image/png"])))
    assert image.width >= 500 and "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == explorers[name].now.finding


def test_rules_hide_what_does_not_matter(explorers):
    rank, privacy = (explorers[name].controls for name in ("rank", "privacy"))
    rank["backbone"].value = "vit_large_patch16_224"
    assert rank["blocks"].max == rank["blocks"].value == 24
    privacy["examples"].value = 100
    assert privacy["batch"].value <= 100.001
    assert hidden(privacy) == {"noise_multiplier"}
    privacy["known"].value = "noise_multiplier"
    assert hidden(privacy) == {"epsilon"}


def hidden(controls):
    return {name for name, control in controls.items() if control.layout.display == "none"}


def test_what_cannot_be_drawn_is_said_and_leaves_no_old_picture(explorers):
    rank = explorers["rank"]
    rank.controls["targets"].value = ()
    assert "alert" in rank.message.value and not rank.picture.value
    rank.controls["targets"].value = ("q",)
    assert "alert" not in rank.message.value and rank.picture.value


def test_moves_in_one_moment_give_one_picture(explorers):
    cipher = explorers["cipher"]

    async def drag():
        before = cipher.drawn
        for seed in range(20, 50):
            cipher.controls["seed"].value = seed
        await asyncio.sleep(0.6)
        return cipher.drawn - before

    assert asyncio.run(drag()) == 1
    assert cipher.controls["seed"].value == 49


def test_the_tight_accountant_answers_after_a_rest():
    explorer = PrivacyExplorer()

    async def rest():
        explorer.controls["epsilon"].value = 4.0
        for _ in range(200):
            await asyncio.sleep(0.1)
            if "PRV" in explorer.finding.value:
                return

    asyncio.run(rest())
    assert "by PRV, which is tight" in explorer.finding.value


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


def test_a_run_with_no_committed_ones_is_shown_alone(table):
    results = Results(table)
    row = {**table.iloc[0].to_dict(), "id": "mine", "cipher": "negative", "epsilon": 5.0}
    results.add(row)
    spec = results.output.outputs[0]["data"][MIME]
    assert "committed" not in spec["title"]["subtitle"]
    assert {p["name"]: p.get("value") for p in spec["params"]}["privacy"] == "ε = 5"


def test_the_dashboard_holds_all_six(tmp_path, table):
    tabs = dashboard(table, tmp_path / "mine.csv")
    assert tabs.titles == ("Results", "Rank", "Cipher", "Privacy", "Attack", "Train")


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


def test_a_move_while_the_picture_is_drawn_is_not_lost():
    """JupyterLab delivers moves in another thread than cells: here one comes in mid-drawing."""
    shown = []

    def view(x):
        if x == 2 and 7 not in shown:
            mover = threading.Thread(target=lambda: setattr(control, "value", 7))
            mover.start()
            mover.join()
        shown.append(x)
        if x == 2:
            raise ValueError("two is refused")
        return View(new_figure(), f"x = {x}")

    control = slider("x", 0, 10, 1, hint="a number")
    explorer = Explorer(view, {"x": control})
    control.value = 2
    assert shown == [1, 2, 7] and "x = 7" in explorer.finding.value


def test_a_picture_that_was_planned_and_never_came_is_planned_again(monkeypatch):
    """The loop of a thread may end before its turn."""
    control = slider("x", 0, 10, 1, hint="a number")
    explorer = Explorer(lambda x: View(new_figure(), f"x = {x}"), {"x": control})

    async def move_and_end():
        control.value = 3

    asyncio.run(move_and_end())
    assert "x = 1" in explorer.finding.value
    time.sleep(0.6)
    control.value = 4
    assert "x = 4" in explorer.finding.value
