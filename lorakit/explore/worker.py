"""One experiment in a process of its own, in lines of JSON: the page stays free, and can stop it.

The first line on standard input holds an experiment's settings. Each line on standard output
holds a moment of the training, then the finished row or what went wrong. Anything more on standard
input, or its end, stops the training after the present step.
"""

from __future__ import annotations

import json
import sys
import threading
import time

from lorakit.experiments.experiment import Experiment

_EVERY = 0.25  # seconds between two reports
_page = sys.stdout


def report(**moment: object) -> None:
    """One line for the page."""
    print(json.dumps(moment), file=_page, flush=True)


def main(settings: dict) -> None:
    """Train, report and measure, on one CPU thread as ``sweep`` does, to the same row."""
    import torch

    from lorakit.experiments.run import run
    from lorakit.training.fit import Step

    torch.set_num_threads(1)
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(1), stop.set()), daemon=True).start()
    last = [0.0]

    def watch(step: Step) -> bool:
        if time.monotonic() - last[0] > _EVERY or step.step == step.steps:
            report(step=step.step, steps=step.steps, epoch=step.epoch, loss=step.loss,
                   accuracy=step.accuracy, **step.spent())  # fmt: skip
            last[0] = time.monotonic()
        if stop.is_set():
            report(stopped=step.step, steps=step.steps, **step.spent())
        return stop.is_set()

    try:
        row = run(Experiment(**settings), callback=watch)
        report(row=row)
    except Exception as error:
        if not stop.is_set():
            report(error=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    _page, sys.stdout = sys.stdout, sys.stderr  # whatever else prints does not disturb the lines
    main(json.loads(sys.stdin.readline()))
