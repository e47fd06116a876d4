"""Choose an experiment, press Train, watch it learn; Stop ends it within a step.

It trains in a process of its own, so that the page stays free.
"""

import asyncio
import io
import math
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import ipywidgets as widgets
import torch

from lorakit.checks import checked
from lorakit.experiments.experiment import Experiment
from lorakit.experiments.run import run
from lorakit.experiments.table_file import append_row
from lorakit.explore.curves import curves_view
from lorakit.explore.explorer import Controls, Explorer, dropdown, hide, number
from lorakit.explore.view import View
from lorakit.figures.style import CIPHER_NAMES, CIPHER_SHOWN, DATASET_NAMES
from lorakit.figures.tables import epsilon_name
from lorakit.lora.lora import TARGETS
from lorakit.lora.vit import METHODS
from lorakit.training.fit import Moment

_SIZES = dict.fromkeys(("fashion", "painted", "street"), (250, 500, 1000, 2000, 5000, 10_000))
_SIZES |= {"digits": (100, 250, 500, 1097)}
_TARGETS = ("q+v", "q+k+v", "proj+fc1+fc2", "+".join(TARGETS))
_EPSILONS = (math.inf, 8.0, 4.0, 2.0, 1.0, 0.5)
_EVERY = 0.4  # seconds between two moments
_INVITE = "Press Train, then set privacy to ε = 2 and train again. What does the promise cost?"


class LiveTraining(Explorer):
    """Train an experiment in a process of its own, and follow it.

    Args:
        table: a CSV file that gets a row for each finished training; made if missing.
        on_row: called with each new row, for example ``Results.add``.
    """

    @checked
    def __init__(
        self, table: str | Path = "my_runs.csv", on_row: Callable[[dict], object] | None = None
    ) -> None:
        self.table, self.on_row = Path(table), on_row
        self.moments: list[dict] = []
        self.process = None
        datasets = [(DATASET_NAMES[name], name) for name in _SIZES]
        ciphers = [(name, cipher) for cipher, name in CIPHER_NAMES.items()]
        epsilons = [("none" if math.isinf(e) else epsilon_name(e), e) for e in _EPSILONS]
        controls = {
            "dataset": dropdown("data set", datasets, hint="Which images"),
            "train": dropdown("images", _SIZES["fashion"], 2000, hint="Training images"),
            "cipher": dropdown("cipher", ciphers, CIPHER_SHOWN, hint="Of all images"),
            "method": dropdown("method", METHODS, "lora+patch", hint="What trains"),
            "rank": dropdown("rank r", (1, 2, 4, 8, 16), 4, hint="Rank of LoRA"),
            "targets": dropdown("LoRA on", _TARGETS, hint="Linear maps with LoRA"),
            "epochs": number("epochs", 1, 20, 3, hint="Passes over the training images"),
            "epsilon": dropdown("privacy", epsilons, hint="Privacy budget epsilon"),
            "seed": number("seed", 0, 9, 0, hint="Of the start, the order and the teaching key"),
        }
        hints = {"Train": "Start this training", "Stop": "End the training after this step"}
        self.train_button, self.stop_button = buttons = [
            widgets.Button(description=name, tooltip=hint) for name, hint in hints.items()
        ]
        self.train_button.button_style = "primary"
        self.train_button.on_click(lambda _: self.start())
        self.stop_button.on_click(lambda _: self.stop())
        self.bar = widgets.FloatProgress(0, max=1, tooltip="Progress", layout={"width": "auto"})
        self.left = widgets.HTML()
        extra = (widgets.HBox(buttons), self.bar, self.left)
        super().__init__(self._view, controls, rules=self._rules, extra=extra, invite=_INVITE)

    @property
    def running(self) -> bool:
        """Whether a training is under way."""
        return self.process is not None

    def start(self) -> None:
        """Train what the controls say; returns at once."""
        if self.running:
            return
        self.moments, self.bar.value = [], 0
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_train, args=(self.experiment(), theirs), daemon=True)
        self.process.start()
        theirs.close()  # so that the pipe ends with the process
        self._tell("starting a process of its own …")
        self.draw()
        self._reader = threading.Thread(target=self._read, args=(_by_this_thread(),), daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """Ask the training to end after the present step."""
        if self.running:
            self._tell("stopping …")
            with suppress(OSError):  # it has just ended
                self._pipe.send("stop")

    def wait(self) -> None:
        """Until the training has ended; for scripts, since a page would stand still."""
        if self.running:
            self._reader.join()

    def experiment(self) -> Experiment:
        """What the controls say now."""
        values = self._values()
        batch = 256 if values["epsilon"] < math.inf else 32
        return Experiment.from_settings(**values, batch_size=min(batch, values["train"]))

    def _view(self, **_values: object) -> View:
        return curves_view(self.moments, self.experiment())

    def _rules(self, controls: Controls) -> None:
        sizes, method = _SIZES[controls["dataset"].value], controls["method"].value
        if controls["train"].options != sizes:
            controls["train"].options = sizes
            controls["train"].value = max(n for n in sizes if n <= 2000)
        self.train_button.disabled, self.stop_button.disabled = self.running, not self.running
        hide(controls, *(() if method.startswith("lora") else ("rank", "targets")))
        for control in controls.values():
            control.disabled = self.running

    def _read(self, hand: Callable[..., object]) -> None:
        """In a thread: what the process says, for the thread that started it."""
        said = ("moment", None)
        with suppress(EOFError, OSError):  # the process has ended, or was ended
            while (said := self._pipe.recv())[0] == "moment":
                hand(self._moment, said[1])
        self.process.join()
        if said[0] == "moment":
            said = ("error", f"its process, code {self.process.exitcode}")
        hand(self._ended, *said)

    def _moment(self, moment: dict) -> None:
        self.moments.append(moment | {"time": time.monotonic()})
        self.bar.value = moment["step"] / moment["steps"]
        first, last = self.moments[0], self.moments[-1]  # before the first one it only starts up
        pace = (last["time"] - first["time"]) / max(1, last["step"] - first["step"])
        left = f", about {pace * (last['steps'] - last['step']):.0f} s left" if pace else ""
        epsilon = f", ε = {moment['epsilon']:.2f}" if "epsilon" in moment else ""
        self._tell(
            f"step {moment['step']} of {moment['steps']}, loss {moment['loss']:.3f}{epsilon}{left}"
        )
        self.draw()

    def _ended(self, kind: str, result: dict | str | None) -> None:
        self.process = None
        self._pipe.close()
        self.draw()
        if kind == "row":
            where = f"; the row is in {self.table.name}"
            try:
                append_row(result, self.table)
            except (OSError, ValueError) as error:
                where = ""
                self.say(f"The row could not be written. {error}", alert=True)
            self._tell(
                f"Finished: {result['accuracy']:.1%} on {result['test']} test images after "
                f"{result['seconds']:.0f} s{where}"
            )
            if self.on_row:
                self.on_row(result)
        elif kind == "stopped":
            last = self.moments[-1]
            spent = f"; ε = {last['epsilon']:.2f} is spent" if "epsilon" in last else ""
            self._tell(f"Stopped after step {last['step']} of {last['steps']}: no row{spent}")
        else:
            self.left.value = ""
            self.say(f"The training ended with {result}", alert=True)

    def _tell(self, text: str) -> None:
        """How far it is, below the bar."""
        self.left.value = f'<div role="status" style="line-height:1.35">{text}</div>'


def _by_this_thread() -> Callable[..., object]:
    """What makes calls of other threads run in this one's loop; at once where none runs."""
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        return lambda act, *given: act(*given)


def _train(experiment: Experiment, page: Connection) -> None:
    """The process: trains on one CPU thread as ``sweep`` does, to the same row.

    The page gets pairs: ``moment`` a few times a second; at the end ``row``, ``stopped``, or
    ``error`` in words. Anything that comes from it, or its end, stops the training after the step.
    """
    sys.stdout = sys.stderr = io.StringIO()  # warnings are not for the page
    torch.set_num_threads(1)
    sent, stop = 0.0, False

    def watch(step: Moment) -> bool:
        nonlocal sent, stop
        stop = page.poll()
        if stop or step.step == step.steps or time.monotonic() - sent > _EVERY:
            moment = {name: getattr(step, name) for name in ("step", "steps", "loss", "accuracy")}
            page.send(("moment", moment | step.spent()))
            sent = time.monotonic()
        return stop

    try:
        end = ("row", run(experiment, callback=watch))
    except Exception as error:
        end = ("stopped", None) if stop else ("error", f"{type(error).__name__}: {error}")
    page.send(end)
