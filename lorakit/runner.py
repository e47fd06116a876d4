"""Run one experiment: build, encrypt, train, measure, report one row."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict

import torch

from lorakit import data
from lorakit.cipher import Key, encrypt, make_key
from lorakit.data import Dataset, Split
from lorakit.experiment import Experiment
from lorakit.runtime import (
    device_name,
    peak_memory_mb,
    pick_device,
    reset_peak_memory,
    seed_everything,
    versions,
)
from lorakit.train import Step, evaluate, fit
from lorakit.vit import apply_method, count_parameters, create_backbone


def load_data(experiment: Experiment) -> Dataset:
    """The experiment's data set, plain, in the image size of its backbone."""
    e = experiment
    with torch.device("meta"):
        image_size = create_backbone(e.backbone, pretrained=False).patch_embed.img_size[0]
    return data.load(e.dataset, train=e.train, val=e.val, test=e.test, image_size=image_size)


def teaching_key(experiment: Experiment, image_size: int, patch_size: int) -> Key | None:
    """The key of an experiment, drawn from its seed so that a run can be repeated."""
    if experiment.cipher == "none":
        return None
    return make_key(image_size, patch_size, experiment.cipher.split("+"), seed=experiment.seed)


def encrypt_split(split: Split, key: Key | None) -> Split:
    """The same labels with encrypted images; without a key, the split itself."""
    return split if key is None else Split(encrypt(split.images, key), split.labels)


def train_model(
    experiment: Experiment,
    *,
    train: Split | None = None,
    device: str | torch.device | None = None,
    callback: Callable[[Step], bool | None] | None = None,
    progress: bool = False,
) -> tuple[torch.nn.Module, Key | None, list[dict[str, float]]]:
    """Build and train the model of an experiment: the model, its key, the history.

    ``train`` replaces the experiment's plain training split, if given.
    """
    e = experiment
    dataset = load_data(e)
    seed_everything(e.seed)
    model = create_backbone(e.backbone, len(dataset.classes))
    lora = {}
    if e.rank is not None:
        lora = {"rank": e.rank, "alpha": e.alpha, "targets": e.targets.split("+")}
    apply_method(model, e.method, private=e.private, **lora)
    key = teaching_key(e, dataset.image_size, model.patch_embed.patch_size[0])
    history = fit(
        model,
        encrypt_split(train or dataset.train, key),
        epochs=e.epochs,
        batch_size=e.batch_size,
        lr=e.learning_rates,
        optimizer=e.optimizer,
        weight_decay=e.weight_decay,
        schedule=e.schedule,
        warmup=e.warmup,
        label_smoothing=e.label_smoothing,
        privacy=e.privacy,
        seed=e.seed,
        device=device,
        callback=callback,
        progress=progress,
    )
    return model, key, history


def run(
    experiment: Experiment,
    *,
    device: str | torch.device | None = None,
    callback: Callable[[Step], bool | None] | None = None,
    progress: bool = False,
) -> dict[str, object]:
    """Train, measure, and report one row of the results table.

    Raises:
        RuntimeError: the callback stopped the run, so there is no result of this experiment.

    Returns:
        The experiment's id and settings, then: accuracy and loss on the measured split,
        train_loss, epsilon_spent (infinite without privacy), trainable and total parameters,
        seconds (wall time), peak_memory_mb, device, versions.
    """
    e = experiment
    device = pick_device(device)
    reset_peak_memory(device)
    start = time.perf_counter()
    model, key, history = train_model(e, device=device, callback=callback, progress=progress)
    if len(history) < e.epochs:
        raise RuntimeError(
            f"stopped after {len(history)} of {e.epochs} epochs: no result to report"
        )
    measured = evaluate(model, encrypt_split(getattr(load_data(e), e.measure), key), device=device)
    counts = count_parameters(model)
    return {
        "id": e.id,
        **asdict(e),
        **measured,
        "train_loss": history[-1]["loss"],
        "epsilon_spent": history[-1].get("epsilon", math.inf),
        "trainable": counts["trainable"],
        "total": counts["total"],
        "seconds": round(time.perf_counter() - start, 2),
        "peak_memory_mb": round(peak_memory_mb(device), 1),
        "device": device_name(device),
        "versions": versions(),
    }
