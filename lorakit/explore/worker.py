"""One experiment in a process of its own: the page stays free, and can stop it."""

from __future__ import annotations

import io
import sys
import time
from multiprocessing.connection import Connection

import torch

from lorakit.experiments.experiment import Experiment
from lorakit.experiments.run import run
from lorakit.training.fit import Moment

_EVERY = 0.4  # seconds between two moments


def train(experiment: Experiment, page: Connection) -> None:
    """Train on one CPU thread as ``sweep`` does, to the same row, in a process that ends then.

    Args:
        experiment: what to train.
        page: gets pairs: ``moment`` a few times a second, with numbers of ``fit.Moment`` and the
            privacy spent; at the end ``row``, ``stopped``, or ``error`` in words. Anything that
            comes from it, or its end, stops the training after the present step.
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
