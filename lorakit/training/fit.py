"""Train a model: the loop over epochs, and over the batches of one."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from tqdm.auto import tqdm

from lorakit.checks import check_number, checked
from lorakit.data.dataset import Split, fingerprint, normalise
from lorakit.lora.lora import lora_layers
from lorakit.runtime import chosen_precision, pick_device, product_precision, seed_everything
from lorakit.training import distributed
from lorakit.training.checkpoint import Checkpoint
from lorakit.training.criterion import Criterion, DivergenceError, Transform
from lorakit.training.evaluate import evaluate
from lorakit.training.loader import Loader
from lorakit.training.memory import choose_physical_batch
from lorakit.training.optimizer import Average, make_optimizer, make_scheduler
from lorakit.training.private_step import PrivateStep
from lorakit.training.recipe import Recipe
from lorakit.training.step import PlainStep


@dataclass(frozen=True)
class Moment:
    """What a callback sees after each optimiser step."""

    epoch: int
    step: int  # from 1 to steps
    steps: int
    loss: float  # the batch's mean, NaN if private sampling left it empty
    accuracy: float  # on the images seen so far in this epoch
    spent: Callable[[], dict[str, float]]  # works out the privacy spent so far: {"epsilon": 1.2}


Callback = Callable[[Moment], bool | None]


@checked
def fit(
    model: nn.Module,
    train: Split,
    recipe: Recipe,
    *,
    seed: int | None = None,
    val: Split | None = None,
    transform: Transform = normalise,
    device: str | torch.device | None = None,
    checkpoint: str | Path | None = None,
    callback: Callback | None = None,
    progress: bool = True,
) -> list[dict[str, float]]:
    """Train the trainable parameters, privately if the recipe says so.

    Under privacy the trained parameters keep the promise; the returned losses and the checkpoint
    do not, they are made from the examples themselves. Every call is a release of its own: the
    epsilons of several calls on the same data add up, tuning included. PyTorch's generator is not
    a cryptographic one, so this is for lessons and experiments, not for deployment.

    Args:
        model: from images (N, 3, H, W) in [-1, 1] to logits (N, classes); it stays on the device.
        seed: of the order of the images, of dropout and of private noise. None: 0, or under
            privacy a secret one from the system, since known noise hides nothing.
        val: measured after every epoch.
        transform: from uint8 images to what the model sees, on the device, batch by batch.
        device: see ``runtime.pick_device``.
        checkpoint: a file that keeps the state after every epoch. If it is there already, training
            goes on from it, to the same result as an unbroken run.
        callback: called after each step; if it returns anything true, training stops there.

    Returns:
        One dict for each finished epoch: epoch, loss and accuracy while training, lr (of the
        first part, at the end), seconds; epsilon spent so far under privacy; val_loss and
        val_accuracy if ``val`` is given. After a stop inside an epoch, more epsilon is spent than
        the last row says; ``Moment.spent`` says how much.

    Raises:
        DivergenceError: the loss is not finite; the message names the step.
        PrivacyError: see ``training.private_step.PrivateStep``.
    """
    if any(layer.merged for _, layer in lora_layers(model)):
        raise ValueError("model: its LoRA is merged and would not train; call unmerge_lora first")
    recipe = recipe.for_examples(len(train))
    check_number("seed", seed, whole=True, none=True)
    seed = None if seed is None and recipe.privacy is not None else int(seed or 0)
    seed_everything(seed)
    device = pick_device(device)
    precision = chosen_precision(recipe.precision, device)
    model.to(device)
    measure = {"device": device, "transform": transform, "precision": precision}
    steps = recipe.steps(len(train))
    optimizer = make_optimizer(model, recipe)
    scheduler = make_scheduler(optimizer, recipe, steps)
    average = Average(optimizer, recipe.ema)
    criterion = Criterion(transform, precision)
    kind = PlainStep if recipe.privacy is None else PrivateStep
    stepper = kind(model, optimizer, recipe, len(train), criterion)
    try:
        loader = Loader(train, device)
        choose_physical_batch(stepper, loader, recipe)
        settings = _settings(model, train, transform, recipe)
        settings |= {"seed": seed, "precision": precision}
        path = Path(checkpoint) if checkpoint else None
        state = Checkpoint(path, model, optimizer, scheduler, average, stepper, settings)
        history = state.load(steps // recipe.epochs)
        done = len(history) * steps // recipe.epochs
        follow = _Progress(stepper, steps, done, callback, progress)
        with product_precision(precision), follow.bar:
            for epoch in range(len(history) + 1, recipe.epochs + 1):
                follow.epoch = epoch
                try:
                    row = train_one_epoch(stepper, loader, scheduler, follow)
                except DivergenceError as error:
                    where = f"{error} at step {follow.done + 1} of {steps} (epoch {epoch})"
                    raise DivergenceError(f"{where}; lr={recipe.lr}: try a smaller one") from None
                if row is None:
                    break
                if val is not None:
                    average.swap()
                    measured = evaluate(model, val, **measure)
                    average.swap()
                    row |= {f"val_{name}": value for name, value in measured.items()}
                history.append({"epoch": epoch, **row})
                state.save(history)
                follow.show(history[-1])
        average.swap()
        return history
    finally:
        stepper.close()


def train_one_epoch(
    stepper: PlainStep | PrivateStep,
    loader: Loader,
    scheduler: LRScheduler,
    after_step: Callable[[float], bool],
) -> dict[str, float] | None:
    """One pass over the data: means of loss and accuracy, lr, seconds, privacy spent so far.

    ``after_step`` hears the loss of each step; if it returns True, the epoch ends and gives None.
    """
    stepper.model.train()
    stepper.criterion.reset()
    start = time.perf_counter()
    for batch in loader.batches(stepper.sample()):
        loss = stepper.step(batch)
        scheduler.step()
        if after_step(loss):
            return None
    row = {"lr": scheduler.get_last_lr()[0], "seconds": time.perf_counter() - start}
    return {**stepper.criterion.means(), **row, **stepper.spent()}


@dataclass
class _Progress:
    """Counts the steps of a run, moves its bar, asks its callback whether to stop."""

    stepper: PlainStep | PrivateStep
    steps: int
    done: int
    callback: Callback | None
    visible: bool
    epoch: int = 0

    def __post_init__(self) -> None:
        look = {"unit": "step", "leave": False}
        look["disable"] = not (self.visible and distributed.is_main_process())
        self.bar = tqdm(total=self.steps, initial=self.done, **look)

    def __call__(self, loss: float) -> bool:
        self.done += 1
        self.bar.update()
        accuracy = self.stepper.criterion.means()["accuracy"]
        moment = Moment(self.epoch, self.done, self.steps, loss, accuracy, self.stepper.spent)
        stop = self.callback is not None and bool(self.callback(moment))
        return any(distributed.all_reduce([stop]))  # one asks, all stop

    def show(self, row: dict[str, float]) -> None:
        shown = {n: f"{row[n]:.3g}" for n in ("loss", "accuracy", "epsilon") if n in row}
        self.bar.set_postfix(epoch=self.epoch, **shown)


def _settings(model: nn.Module, train: Split, transform: Transform, recipe: Recipe) -> dict:
    """What a checkpoint must have been made with."""
    settings = asdict(recipe)
    del settings["physical_batch"]  # it may change on the way
    data = [len(train), fingerprint(train, transform)]
    trains = [name for name, p in model.named_parameters() if p.requires_grad]
    scales = [u.scale for _, layer in lora_layers(model) for u in layer.updates.values()]
    return settings | {"data": data, "trains": trains, "LoRA scales": scales}
