"""Choose an experiment, press Train, watch it learn; Stop ends it within a step."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import ipywidgets as widgets

from lorakit.experiments.experiment import Experiment
from lorakit.experiments.sweep import append_row
from lorakit.explore.curves import curves_view
from lorakit.explore.explorer import Explorer, dropdown, slider
from lorakit.explore.view import View
from lorakit.figures.style import CIPHER_NAMES, DATASET_NAMES
from lorakit.figures.tables import epsilon_name
from lorakit.lora.lora import TARGETS
from lorakit.lora.vit import METHODS

_SIZES = {"street": (250, 500, 1000, 2000, 4000, 10_000), "digits": (100, 250, 500, 1097)}
_EVERY = 0.5  # seconds between two drawings of the curves


class LiveTraining(Explorer):
    """Train an experiment in a process of its own, and follow it.

    Args:
        table: a CSV file that gets a row for each finished training; made if missing.
        on_row: called with each new row, for example ``ResultsExplorer.add``.
    """

    def __init__(
        self, table: str | Path = "my_runs.csv", on_row: Callable[[dict], object] | None = None
    ) -> None:
        self.table, self.on_row = Path(table), on_row
        self.moments: list[dict] = []
        self.process: subprocess.Popen | None = None
        ciphers = [(name, cipher) for cipher, name in CIPHER_NAMES.items()]
        controls = {
            "dataset": dropdown("data set", [(DATASET_NAMES[d], d) for d in _SIZES], "digits",
                                hint="Which images"),
            "train": dropdown("images", _SIZES["digits"], 1097, hint="Training images"),
            "cipher": dropdown("cipher", ciphers, hint="Of all images"),
            "method": dropdown("method", METHODS, "lora+patch", hint="What trains"),
            "rank": dropdown("rank r", (1, 2, 4, 8, 16), 4, hint="Rank of LoRA"),
            "targets": dropdown("LoRA on", ["q+v", "q+k+v", "proj+fc1+fc2", "+".join(TARGETS)],
                                hint="Linear maps with LoRA"),
            "epochs": slider("epochs", 1, 20, 4, hint="Passes over the training images"),
            "epsilon": dropdown("privacy", [(epsilon_name(e), e) for e in
                                            (math.inf, 8.0, 4.0, 2.0, 1.0, 0.5)],
                                hint="Privacy budget epsilon"),
            "seed": slider("seed", 0, 9, 0, hint="Of the start, the order and the teaching key"),
        }  # fmt: skip
        self.train_button = widgets.Button(description="Train", button_style="primary",
                                           tooltip="Start this training")  # fmt: skip
        self.stop_button = widgets.Button(description="Stop", disabled=True,
                                          tooltip="End the training after this step")  # fmt: skip
        self.bar = widgets.FloatProgress(
            0, min=0, max=1, tooltip="Progress", layout={"width": "auto"}
        )
        self.left = widgets.HTML()
        self.train_button.on_click(lambda _: self.start())
        self.stop_button.on_click(lambda _: self.stop())
        buttons = widgets.HBox([self.train_button, self.stop_button])
        super().__init__(self._view, controls, rules=self._rules,
                         extra=(buttons, self.bar, self.left))  # fmt: skip

    @property
    def running(self) -> bool:
        """Whether a training is under way."""
        return self.process is not None

    def start(self) -> None:
        """Train what the controls say; returns at once."""
        if self.running:
            return
        settings = asdict(self.experiment())
        self.moments, self._since, self._drawn_at = [], time.monotonic(), 0.0
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lorakit.explore.worker"], stdin=pipe, stdout=pipe, stderr=pipe,
            text=True, cwd=Path(__file__).resolve().parents[2],
        )  # fmt: skip
        self.process.stdin.write(json.dumps(settings) + "\n")
        self.process.stdin.flush()
        self.bar.value = 0
        self._tell("starting a process of its own …")
        self._switch(running=True)
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """Ask the training to end after the present step."""
        if self.running:
            self._tell("stopping …")
            self.process.stdin.close()

    def wait(self) -> None:
        """Until the training has ended; for scripts, since a page would stand still."""
        if self.running:
            self._reader.join()

    def experiment(self) -> Experiment:
        """What the controls say now."""
        values = {name: control.value for name, control in self.controls.items()}
        batch = 256 if values["epsilon"] < math.inf else 32
        return Experiment(**values, batch_size=min(batch, values["train"]))

    def _view(self, **_values: object) -> View:
        return curves_view(self.moments, self.experiment())

    def _rules(self, controls: Mapping[str, widgets.Widget]) -> str:
        sizes = _SIZES[controls["dataset"].value]
        if controls["train"].options != sizes:
            controls["train"].options = sizes
            controls["train"].value = max(n for n in sizes if n <= 2000)
        lora = controls["method"].value.startswith("lora")
        for name in ("rank", "targets"):
            controls[name].disabled = self.running or not lora
        return "" if lora else f"{controls['method'].value} has no LoRA: no rank, no targets."

    def _read(self, process: subprocess.Popen) -> None:
        """In a thread: every line of the process, to the kernel's own thread."""
        hand = self._loop.call_soon_threadsafe if self._loop else (lambda f, *a: f(*a))
        errors: list[str] = []
        drain = threading.Thread(target=lambda: errors.append(process.stderr.read()), daemon=True)
        drain.start()
        for line in process.stdout:
            hand(self._receive, json.loads(line))
        code = process.wait()
        drain.join()
        hand(self._ended, code, "".join(errors)[-500:])

    def _receive(self, moment: dict) -> None:
        if "step" in moment:
            self.moments.append(moment)
            share = moment["step"] / moment["steps"]
            left = (time.monotonic() - self._since) * (1 / share - 1)
            self.bar.value = share
            epsilon = f", ε = {moment['epsilon']:.2f}" if "epsilon" in moment else ""
            self._tell(
                f"step {moment['step']} of {moment['steps']}, loss {moment['loss']:.3f}{epsilon}, "
                f"about {left:.0f} s left"
            )
            if time.monotonic() - self._drawn_at > _EVERY or share == 1:
                self.draw()
                self._drawn_at = time.monotonic()
        elif "row" in moment:
            row = moment["row"]
            append_row(row, self.table)
            self._tell(
                f"Finished: {row['accuracy']:.1%} on {row['test']} test images after "
                f"{row['seconds']:.0f} s; the row is in {self.table.name}"
            )
            if self.on_row:
                self.on_row(row)
        elif "stopped" in moment:
            spent = f"; ε = {moment['epsilon']:.2f} is spent" if "epsilon" in moment else ""
            self._tell(
                f"Stopped after step {moment['stopped']} of {moment['steps']}: no row{spent}"
            )
        else:
            self.left.value = ""
            self.say(f"The training ended with {moment['error']}", alert=True)

    def _ended(self, code: int, errors: str) -> None:
        self.process = None
        said = self.message.value
        self._switch(running=False)
        if code:
            self.left.value = ""
            self.say(f"The process ended with code {code}. {errors}", alert=True)
        elif 'role="alert"' in said:
            self.message.value = said

    def _tell(self, text: str) -> None:
        """How far it is, below the bar."""
        self.left.value = f'<div role="status" style="line-height:1.35">{text}</div>'

    def _switch(self, *, running: bool) -> None:
        """What can be pressed while a training runs, and what cannot."""
        for control in self.controls.values():
            control.disabled = running
        self.train_button.disabled, self.stop_button.disabled = running, not running
        self.draw()
