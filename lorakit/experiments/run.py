"""Run one experiment: build, encrypt, train, evaluate, report one row."""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch

from lorakit.checks import checked
from lorakit.data.dataset import Dataset, Split
from lorakit.data.load import load
from lorakit.encryption.cipher import Key, encrypt, make_key
from lorakit.encryption.transform import Transform
from lorakit.experiments.experiment import Experiment
from lorakit.experiments.public import pretrain_on_public
from lorakit.experiments.statement import meaning_of
from lorakit.lora.budget import shapes
from lorakit.lora.vit import apply_method, count_parameters, create_backbone
from lorakit.runtime import (
    device_name,
    peak_memory_mb,
    pick_device,
    reset_peak_memory,
    seed_everything,
    versions,
)
from lorakit.training.evaluate import accuracy_by_class, loss_and_accuracy, predict
from lorakit.training.fit import Callback, fit


def load_data(experiment: Experiment) -> Dataset:
    """The experiment's data set, plain, in the image size of its backbone."""
    e, size = experiment, image_size_of(experiment.backbone)
    return load(e.dataset, train=e.train, val=e.val, test=e.test, image_size=size)


def image_size_of(backbone: str) -> int:
    """Height and width of the images a backbone takes, in pixels."""
    return shapes(backbone).patch_embed.img_size[0]


def build(experiment: Experiment, classes: int) -> torch.nn.Module:
    """The model of an experiment before training, with what trains chosen."""
    e = experiment
    model = create_backbone(e.backbone, classes, pretrained=e.pretrained)
    lora = {}
    if e.rank is not None:
        lora = {"rank": e.rank, "alpha": e.alpha, "targets": e.targets.split("+")}
        lora["freeze_a"] = bool(e.freeze_a)
    return apply_method(model, e.method, private=e.private, **lora)


def encrypt_split(split: Split, key: Key | None) -> Split:
    """The same labels with encrypted images; without a key, the split itself."""
    return split if key is None else Split(encrypt(split.images, key), split.labels)


@checked
def train_model(
    experiment: Experiment,
    *,
    dataset: Dataset | None = None,
    device: str | torch.device | None = None,
    checkpoint: str | Path | None = None,
    callback: Callback | None = None,
    progress: bool = False,
) -> tuple[torch.nn.Module, Key | None, list[dict[str, float]]]:
    """Build and train the model of an experiment: the model, its key, the history.

    The key is drawn from the seed, so that a run can be repeated. ``dataset``, plain
    images, takes the place of the experiment's own; for the others see ``training.fit``.
    """
    e = experiment
    dataset = load_data(e) if dataset is None else dataset
    seed_everything(e.seed)
    model, key = build(e, len(dataset.classes)), None
    image_size, patch_size = model.patch_embed.img_size[0], model.patch_embed.patch_size[0]
    if e.cipher != "none":
        of_key = e.seed if e.key_seed is None else e.key_seed
        key = make_key(image_size, patch_size, e.cipher.split("+"), seed=of_key)
    if e.public is not None:
        pretrain_on_public(model, key, e.public, seed=e.seed, device=device, progress=progress)
    options = {"seed": e.seed, "transform": Transform(image_size, key), "device": device}
    options |= {"checkpoint": checkpoint, "callback": callback, "progress": progress}
    return model, key, fit(model, dataset.train, e.recipe, **options)


@checked
def run(
    experiment: Experiment,
    *,
    device: str | torch.device | None = None,
    checkpoint: str | Path | None = None,
    callback: Callback | None = None,
    progress: bool = False,
) -> dict[str, object]:
    """Train, evaluate, and report one row of the results table; arguments as ``training.fit``.

    The row: the experiment's id and settings; accuracy and loss on the split evaluated,
    accuracy_by_class (in the order of the labels), train_loss, epsilon_spent (infinite without
    privacy) and under privacy what it means (``privacy.meaning``), trainable and total parameters,
    seconds (wall time), peak_memory_mb, device, versions. RuntimeError if the callback stopped it.
    """
    e, epochs = experiment, experiment.recipe.epochs
    device = pick_device(device)
    reset_peak_memory(device)
    start = time.perf_counter()
    dataset = load_data(e)
    options = {"device": device, "callback": callback, "progress": progress}
    model, key, history = train_model(e, dataset=dataset, checkpoint=checkpoint, **options)
    if len(history) < epochs:
        raise RuntimeError(f"stopped after {len(history)} of {epochs} epochs: no result to report")
    split = getattr(dataset, e.eval_split)
    transform = Transform(model.patch_embed.img_size[0], key)
    options = {"transform": transform, "precision": e.recipe.precision, "batch_size": 100}
    logits, labels = predict(model, split, device=device, **options), split.labels
    counts = count_parameters(model)
    seconds = time.perf_counter() - start
    return {
        "id": e.id,
        **e.settings(),
        **loss_and_accuracy(logits, labels),
        "accuracy_by_class": " ".join(f"{a:.4g}" for a in accuracy_by_class(logits, labels)),
        "train_loss": history[-1]["loss"],
        "epsilon_spent": history[-1].get("epsilon", math.inf),
        **(meaning_of(e)._asdict() if e.private else {}),
        "trainable": counts["trainable"],
        "total": counts["total"],
        # after a stop, what was trained before it counts too
        "seconds": round(max(seconds, sum(epoch["seconds"] for epoch in history)), 2),
        "peak_memory_mb": round(peak_memory_mb(device), 1),
        "device": device_name(device),
        "versions": versions(),
    }
