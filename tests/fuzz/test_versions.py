"""Lesson 00 says OK to a version if and only if requirements.txt does."""

import importlib.metadata
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = (ROOT / "notebooks" / "source" / "00_start_here.py").read_text()
LINES = (ROOT / "requirements.txt").read_text().splitlines()
NEEDED = [line for line in LINES if not line.startswith("#")]


def said(monkeypatch, capsys, **found):
    """The lines of the check with these versions installed, and the others as they are here."""
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: found.get(name) or real(name))
    cell = next(c for c in SOURCE.split("# %%") if "def report" in c)
    cell = cell[: cell.index("device =")]
    imports = [line for line in SOURCE.splitlines() if re.match("from (importlib|packaging)", line)]
    exec("\n".join([*imports, cell]), {"sys": sys, "root": ROOT})
    return capsys.readouterr().out


@pytest.mark.parametrize("name", ["torch", "timm", "opacus", "scipy"])
def test_too_old_a_version_is_not_ok(name, monkeypatch, capsys):
    needed = next(r for r in map(Requirement, NEEDED) if r.name == name)
    least = str(needed.specifier).removeprefix(">=")
    assert f"NO  {name} 0.1, needs >={least}" in said(monkeypatch, capsys, **{name: "0.1"})
    out = said(monkeypatch, capsys, **{name: least})
    assert "NO" not in out
    out = said(monkeypatch, capsys, torch="2.4.0", timm="1.0.15", opacus="1.5")
    assert out.count("NO  ") == 3


def test_a_build_of_its_own_is_ok(monkeypatch, capsys):
    assert "OK  torch 2.14.1+cu130" in said(monkeypatch, capsys, torch="2.14.1+cu130")
