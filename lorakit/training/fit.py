"""Train a model on one split, and measure it on another."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from lorakit.data.dataset import Split, fingerprint, normalise
from lorakit.lora.lora import lora_layers
from lorakit.privacy.accountant import Privacy
from lorakit.runtime import pick_device, product_precision, seed_everything
from lorakit.training import distributed
from lorakit.training.checkpoint import load_checkpoint, save_checkpoint
from lorakit.training.evaluate import DivergenceError, Objective, evaluate
from lorakit.training.memory import largest_chunk
from lorakit.training.optimizer import SCHEDULES, make_optimizer, make_scheduler
from lorakit.training.private_step import PrivateSteps
from lorakit.training.step import PlainSteps


@dataclass(frozen=True)
class Step:
    """What a callback sees after each optimiser step; ``step`` counts from 1 to ``steps``.

    ``loss`` is the batch's mean, NaN if private sampling left the batch empty; ``accuracy`` that of
    the training images seen so far in this epoch. ``spent()`` gives the privacy spent so far, as
    ``{"epsilon": 1.2}``; it takes a moment to work out.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    accuracy: float = math.nan
    spent: Callable[[], dict[str, float]] = dict


def fit(
    model: nn.Module,
    train: Split,
    *,
    val: Split | None = None,
    epochs: int = 6,
    batch_size: int = 64,
    physical_batch: int | str | None = None,
    lr: float | Mapping[str, float] = 1e-3,
    optimizer: str = "adamw",
    weight_decay: float = 0.01,
    schedule: str = "one-cycle",
    warmup: float = 0.1,
    label_smoothing: float = 0.0,
    privacy: Privacy | None = None,
    seed: int | None = 0,
    device: str | torch.device | None = None,
    transform: Callable[[Tensor], Tensor] = normalise,
    precision: str | None = None,
    checkpoint: str | Path | None = None,
    callback: Callable[[Step], bool | None] | None = None,
    progress: bool = True,
) -> list[dict[str, float]]:
    """Train the trainable parameters, privately if asked to.

    The model is moved to the device and left there. Under ``torchrun`` all processes train one
    model, see ``training.distributed``.
    Under ``privacy`` the trained parameters keep the promise; the returned losses and the
    checkpoint do not, they are made from the examples themselves. Every call is a release of its
    own: the epsilons of several calls on the same data add up, tuning included. And a known seed is
    known noise; ``seed=None`` hides it, but PyTorch's generator is not a cryptographic one, so this
    is for lessons and experiments, not for deployment.

    Args:
        model: anything from images (N, 3, H, W) in [-1, 1] to logits (N, classes).
        train: images and labels to learn from.
        val: measured after every epoch, if given.
        epochs: passes over ``train``.
        batch_size: images a step (a smaller last batch is kept); under ``privacy`` the expected
            number, see ``training.private_step.PrivateSteps``.
        physical_batch: images in memory at a time; larger batches are summed up from several.
            ``"auto"``: as many as fit, by trying; None: "auto" on CUDA, elsewhere the whole batch,
            or under ``privacy`` what ``training.private_step.PrivateSteps`` says.
        lr: peak learning rate, one for all or one for each of ``lora.vit.PARTS``.
        optimizer: ``adamw`` (Loshchilov and Hutter 2019, arXiv 1711.05101) or ``sgd`` (momentum
            0.9).
        weight_decay: decoupled weight decay, not applied to biases and norms.
        schedule: ``one-cycle`` (cosine up and down, and momentum against it) or ``cosine``
            (linear warm-up, cosine to zero).
        warmup: share of all steps in which the rate rises, 0 to below 1.
        label_smoothing: probability spread over all classes, 0 to below 1.
        privacy: train with differential privacy (DP-SGD, or DP-Adam), or not.
        seed: of the order of the images, of dropout and of private noise; None takes a secret one
            from the system.
        device: see ``runtime.pick_device``.
        transform: from uint8 images to what the model sees, on the device, batch by batch.
        precision: see ``runtime.chosen_precision``.
        checkpoint: a file that keeps the state after every epoch. If it is there already, training
            goes on from it, to the same result as an unbroken run.
        callback: called after each step with a ``Step``; if it returns
            anything true, training stops there.
        progress: show a progress bar.

    Returns:
        One dict for each finished epoch: epoch, loss and accuracy while training, lr (of the
        first part, at the end), seconds; epsilon spent so far under ``privacy``; val_loss and
        val_accuracy if ``val`` is given. After a stop inside an epoch, more epsilon is spent than
        the last row says; ``Step.spent`` says how much.

    Raises:
        ValueError: an argument out of range, nothing to train, or merged LoRA.
        DivergenceError: the loss is not finite; the message names the step.
        PrivacyError: see ``training.private_step.PrivateSteps``.
    """
    if any(layer.merged for _, layer in lora_layers(model)):
        raise ValueError("model: its LoRA is merged and would not train; call unmerge_lora first")
    _check(train, epochs, batch_size, weight_decay, schedule, warmup, label_smoothing)
    if not (physical_batch in (None, "auto") or physical_batch >= 1):
        raise ValueError(f"physical_batch={physical_batch}: allowed: 1 or more, None or 'auto'")
    seed_everything(seed)
    device = pick_device(device)
    model.to(device)
    inner = make_optimizer(model, lr, weight_decay, optimizer)
    total = epochs * math.ceil(len(train) / batch_size)
    scheduler = make_scheduler(inner, schedule, total, warmup)
    objective = Objective(model, train, device, label_smoothing, transform, precision)
    settings = {"data": [len(train), fingerprint(train, transform)],
                "trains": [n for n, p in model.named_parameters() if p.requires_grad],
                "epochs": epochs, "batch_size": batch_size,
                "lr": dict(lr) if isinstance(lr, Mapping) else lr, "optimizer": optimizer,
                "weight_decay": weight_decay, "schedule": schedule, "warmup": warmup,
                "label_smoothing": label_smoothing, "seed": seed,
                "precision": objective.precision,
                "privacy": privacy and asdict(privacy)}  # fmt: skip
    automatic = physical_batch == "auto" or (physical_batch is None and device.type == "cuda")
    sizes = {"examples": len(train), "batch_size": batch_size,
             "physical_batch": None if automatic else physical_batch}  # fmt: skip
    if privacy is None:
        steps = PlainSteps(model, inner, **sizes)
    else:
        steps = PrivateSteps(model, inner, privacy, steps=total, **sizes)
    objective.model = steps.forward
    try:
        if automatic:
            most = -(-min(batch_size, len(train)) // distributed.world_size())
            steps.physical_batch = _largest_chunk(steps, objective, most)
        history: list[dict[str, float]] = []
        if checkpoint and Path(checkpoint).exists():
            history = load_checkpoint(
                checkpoint, model, inner, scheduler, steps, settings, total // epochs
            )
        done = len(history) * total // epochs
        with (
            product_precision(objective.precision),
            tqdm(total=total, initial=done, unit="step", leave=False,
                 disable=not (progress and distributed.is_main_process())) as bar,
        ):  # fmt: skip
            for epoch in range(len(history) + 1, epochs + 1):
                model.train()
                start = time.perf_counter()
                objective.begin()
                for batch in steps.batches():
                    done += 1
                    try:
                        loss = steps.step(distributed.broadcast(batch, device), objective)
                    except DivergenceError as error:
                        where = f"{error} at step {done} of {total} (epoch {epoch})"
                        raise DivergenceError(f"{where}; lr={lr}: try a smaller one") from None
                    scheduler.step()
                    bar.update()
                    seen = objective.means()["accuracy"]
                    moment = Step(epoch, done, total, loss, seen, steps.spent)
                    stop = callback is not None and bool(callback(moment))
                    if any(distributed.all_reduce([stop], device)):  # one process asks, all stop
                        return history
                row = {"epoch": epoch, **objective.means(), "lr": scheduler.get_last_lr()[0],
                       "seconds": time.perf_counter() - start, **steps.spent()}  # fmt: skip
                if val is not None:
                    measured = evaluate(model, val, device=device, transform=transform,
                                        precision=precision)  # fmt: skip
                    row |= {f"val_{name}": value for name, value in measured.items()}
                history.append(row)
                if checkpoint and distributed.is_main_process():
                    save_checkpoint(checkpoint, model, inner, scheduler, steps, settings, history)
                distributed.barrier()
                shown = {name: f"{row[name]:.3g}" for name in ("loss", "accuracy", *steps.spent())}
                bar.set_postfix(epoch=epoch, **shown)
        return history
    finally:
        steps.close()


def _largest_chunk(steps: PlainSteps | PrivateSteps, objective: Objective, most: int) -> int:
    """How many images of a batch fit into memory at a time; nothing is left of the trial."""
    device, model = objective.labels.device, steps.forward
    trained = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    model.train()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        return largest_chunk(
            lambda n: steps.dry_step(torch.arange(n, device=device), objective),
            most, device, later=4 * trained,  # the sum, the noise, Adam's two moments
        )  # fmt: skip


def _check(train, epochs, batch_size, weight_decay, schedule, warmup, label_smoothing) -> None:
    if len(train) < 1:
        raise ValueError("train: it has no images")
    if epochs < 1:
        raise ValueError(f"epochs={epochs}: allowed: 1 or more")
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: allowed: 1 or more")
    if not (math.isfinite(weight_decay) and weight_decay >= 0):
        raise ValueError(f"weight_decay={weight_decay}: allowed: a finite number, 0 or more")
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule={schedule!r}: allowed: one of {SCHEDULES}")
    for name, value in (("warmup", warmup), ("label_smoothing", label_smoothing)):
        if not 0 <= value < 1:
            raise ValueError(f"{name}={value}: allowed: 0 to below 1")
