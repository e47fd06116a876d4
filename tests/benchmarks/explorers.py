"""How fast explorers answer, measured through a Jupyter kernel as a browser would see it.

    python tests/benchmarks/explorers.py [--moves 40]

A move is the message a control sends; the answer is the message that carries the new picture. Each
move changes the picture, to one not shown before as far as the control has that many values. Also:
what memory 500 moves leave behind. Charts that need no kernel answer inside the browser, where
tests/browser/test_saved.py measures them. Writes figures/results/explorers.csv; takes a minute.
"""

import argparse
import itertools
import json
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty

import pandas as pd
import psutil
import torch
from jupyter_client.manager import start_new_kernel
from tqdm import tqdm

from lorakit.runtime import device_name, versions

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "figures" / "results" / "explorers.csv"
MOVES = {  # explorer: control, and the states it would send
    "cipher": ("seed", [{"value": i} for i in range(60)]),
    "attack, known": ("seed", [{"value": i} for i in range(60)]),
    "attack, jigsaw": ("pictures", [{"value": 1 + i % 40} for i in range(60)]),
}
START = """\
import json, os
from lorakit.explore import *
made = {"cipher": CipherExplorer(), "attack": attack_explorer()}
jigsaw = attack_explorer()
jigsaw.controls["attack"].value = "jigsaw"
made["attack, jigsaw"] = jigsaw
print(json.dumps({"pid": os.getpid(), **{name: {
    "picture": e.picture.model_id, **{k: c.model_id for k, c in e.controls.items()}}
    for name, e in made.items()}}))
"""


class Page:
    """The browser's side of a kernel: sends moves, waits for pictures."""

    def __init__(self) -> None:
        self.manager, self.client = start_new_kernel(kernel_name="python3", cwd=str(ROOT))
        self.client.execute(START)
        while (message := self.client.get_iopub_msg(timeout=120))["msg_type"] != "stream":
            assert message["msg_type"] != "error", message["content"]
        self.models = json.loads(message["content"]["text"])
        self.kernel = psutil.Process(self.models.pop("pid"))
        self.drain(3)

    def move(self, explorer: str, control: str, state: dict) -> None:
        data = {"method": "update", "state": state, "buffer_paths": []}
        content = {"comm_id": self.models[explorer][control], "data": data}
        self.client.shell_channel.send(self.client.session.msg("comm_msg", content))

    def answer(self, explorer: str, timeout: float = 30) -> float:
        """When the next picture has arrived."""
        while True:
            content = self.client.get_iopub_msg(timeout=timeout)["content"]
            mine = content.get("comm_id") == self.models[explorer]["picture"]
            if mine and "value" in content["data"].get("state", {}):
                return time.perf_counter()

    def drain(self, quiet: float) -> None:
        """Read until nothing more comes."""
        with suppress(Empty):
            while True:
                self.client.get_iopub_msg(timeout=quiet)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def latencies(page: Page, name: str, moves: int) -> list[float]:
    """Milliseconds from each move to its picture."""
    explorer = name if name in page.models else name.split(",")[0]
    control, states = MOVES[name]
    took = []
    for state in itertools.islice(states, moves + 2):
        start = time.perf_counter()
        page.move(explorer, control, state)
        took.append(1000 * (page.answer(explorer) - start))
        page.drain(0.1)
    return took[2:]  # the first ones fill caches


def memory(page: Page, moves: int = 500) -> float:
    """Megabytes that moves leave behind, after as many again to warm up."""

    def go(count: int) -> float:
        for i in range(count):
            explorer = ("cipher", "attack")[i % 2]
            page.move(explorer, "seed", {"value": 2 + (i // 2) % 90})
            page.answer(explorer)
        page.drain(1)
        return page.kernel.memory_info().rss / 2**20

    before = go(100)
    return go(moves) - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=40, help="of each control")
    moves = parser.parse_args().moves
    page = Page()
    lines = []
    for name in tqdm(MOVES, unit="control"):
        took = pd.Series(latencies(page, name, moves))
        middle, slow = round(took.median()), round(took.quantile(0.95))
        lines.append({"explorer": name, "control": MOVES[name][0], "moves": len(took),
                      "median_ms": middle, "p95_ms": slow})  # fmt: skip
    left = memory(page)
    page.close()
    table = pd.DataFrame(lines).assign(
        memory_mb_after_500=round(left, 1),
        device=device_name(torch.device("cpu")), versions=versions(),
    )  # fmt: skip
    table.to_csv(OUT, index=False)
    print(table.drop(columns=["device", "versions"]).to_string(index=False))


if __name__ == "__main__":
    main()
