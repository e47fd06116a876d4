"""For Colab: install what the course needs and is not there yet. The set-up cell calls this.

What is there stays as it is, torch above all: a constraint forbids pip to replace it. JupyterLab is
left out, for Colab stands in for it.
"""

import re
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEVER = ("torch", "jupyterlab")


def normal(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def missing() -> list[str]:
    """Lines of requirements.txt whose package is not installed."""
    there = {normal(d.metadata["Name"]) for d in distributions()}
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    names = [normal(re.split("[<>=~! ]", line)[0]) for line in wanted]
    return [w for w, name in zip(wanted, names) if name not in there and name not in NEVER]


def main() -> None:
    """Install the missing packages, and nothing if there are none."""
    if not (packages := missing()):
        return
    try:
        keep = f"torch=={version('torch')}\n"
    except PackageNotFoundError:
        sys.exit("torch is not installed: choose a runtime that has it, or follow the README")
    print("installing", ", ".join(packages))
    with tempfile.TemporaryDirectory() as folder:
        constraint = Path(folder) / "keep.txt"
        constraint.write_text(keep)
        pip = [sys.executable, "-m", "pip", "install", "-q", "-c", str(constraint)]
        subprocess.run([*pip, *packages], check=True)


if __name__ == "__main__":
    main()
