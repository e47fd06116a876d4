"""Shared by all tests: no network, no window, one thread, a small ViT, small data."""

import os
import re
import socket
import sys

os.environ.setdefault("MPLBACKEND", "agg")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"  # PyTorch's, here and in processes that tests start

import compose
import pandas as pd
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from lorakit import data

torch.set_num_threads(1)
# notebooks are compared as they were written: for the address in README, whatever git's remote is
_written = re.search(r"research\.google\.com/github/([\w.-]+/[\w.-]+)/", compose.README.read_text())
compose.REPOSITORY = f"https://github.com/{_written[1] if _written else 'OWNER/lorakit'}"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """A test that reaches for another machine fails; local sockets (kernels) still work."""
    connect = socket.socket.connect

    def guarded(self, address):
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "localhost", "::1"):
            raise OSError(f"network is blocked in tests: {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def made_up():
    """A made-up results table: every data set, plain and encrypted, three seeds.

    ``settings`` are method, rank and trainable parameters; ``accuracy`` is a function of method,
    rank, epsilon and seed.
    """

    def make(settings, accuracy, epsilons=(float("inf"),)):
        lines = [
            {"id": f"{d}{c}{m}{r}{e}{s}", "dataset": d, "cipher": c, "method": m, "rank": r,
             "seed": s, "targets": "q+v" if r else None, "backbone": "vit_micro", "epsilon": e,
             "epochs": 5, "accuracy": accuracy(m, r, e, s), "trainable": n,
             "total": 1_218_186 + (n if r else 0)}
            for d in ("street", "digits") for c in ("none", "shuffle+negative")
            for m, r, n in settings for e in epsilons for s in range(3)
        ]  # fmt: skip
        return pd.DataFrame(lines).astype({"rank": float})

    return make


@pytest.fixture
def make_vit():
    def make(**kwargs):
        shape = {"img_size": 16, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
        return VisionTransformer(**{**shape, "num_classes": 10, **kwargs}).eval()

    return make


@pytest.fixture(scope="session")
def digits():
    return data.load("digits", train=200, val=50, test=100)
