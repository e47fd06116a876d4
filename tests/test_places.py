"""The course elsewhere: on Colab, in a fresh environment with torch; on Binder."""

import base64
import hashlib
import os
import re
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution, version
from pathlib import Path

import compose
import pytest

ROOT = Path(__file__).resolve().parent.parent
ABSENT = ("timm", "opacus", "papermill")  # what Colab lacks
ADDRESS = "https://github.com/someone/lorakit"


def wheel_of(name: str, folder: Path) -> None:
    """An installed package as a wheel again, so that pip can install it without a network."""
    found = distribution(name)
    path = folder / f"{name}-{found.version}-py3-none-any.whl"
    record = []
    with zipfile.ZipFile(path, "w") as wheel:
        for file in found.files:
            if file.parts[0] == ".." or file.suffix == ".pyc" or file.name == "RECORD":
                continue
            content = file.locate().read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            record.append(f"{file},sha256={digest.decode()},{len(content)}")
            wheel.writestr(str(file), content)
        info = next(file.parts[0] for file in found.files if file.name == "METADATA")
        wheel.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,"]))


@pytest.fixture(scope="module")
def colab(tmp_path_factory):
    """A fresh environment with all that is installed here but lorakit and what Colab lacks; the
    repository as a clone of these files; pip without a network."""
    folder = tmp_path_factory.mktemp("colab")
    here = Path(next(p for p in map(Path, site.getsitepackages()) if (p / "torch").is_dir()))
    theirs = folder / "preinstalled"
    theirs.mkdir()
    lacking = {str(f).split("/")[0] for name in ABSENT for f in distribution(name).files}
    for entry in here.iterdir():
        kept = entry.name not in lacking and "lorakit" not in entry.name
        if kept and entry.suffix != ".pth" and entry.name != "__pycache__":
            (theirs / entry.name).symlink_to(entry)
    venv.create(folder / "env", with_pip=True)
    own = next((folder / "env" / "lib").glob("python*")) / "site-packages"
    for outdated in own.glob("setuptools*"):  # that of ensurepip, on Python 3.11 and older
        shutil.rmtree(outdated)
    (own / "preinstalled.pth").write_text(f"{theirs}\n")
    wheels = folder / "wheels"
    wheels.mkdir()
    for name in ABSENT:
        wheel_of(name, wheels)
    served = folder / "served"
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT)
    for name in listed.decode().splitlines():
        if (ROOT / name).is_file() and not name.startswith("figures/results"):
            (served / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, served / name)
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "all"]):
        subprocess.run(["git", *command], cwd=served, check=True)
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels), "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.file://{served}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS, "MPLBACKEND": "agg", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    content = folder / "content"
    content.mkdir()

    def run(code):
        return subprocess.run([folder / "env" / "bin" / "python", "-c", code], cwd=content,
                              env=environment, capture_output=True, text=True)  # fmt: skip

    return run, own


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_the_set_up_cell_on_colab(colab):
    """It fetches the package and installs what is missing, never torch; again, it does nothing."""
    run, own = colab
    assert run("import timm").returncode and run("import torch").returncode == 0
    use = "\nmodel = lorakit.create_backbone()\nprint(lorakit.__file__, sorted(map(str, places)))"
    first = run(compose.setup(ADDRESS) + use)
    assert first.returncode == 0, first.stderr
    assert f"torch {version('torch')}" in first.stdout and "lorakit-course" in first.stdout
    assert "installing timm" in first.stdout
    installed = {path.name.split("-")[0] for path in own.glob("*.dist-info")}
    assert set(ABSENT) <= installed and not installed & {"torch", "torchvision", "numpy"}
    again = run(compose.setup(ADDRESS) + use)
    assert again.returncode == 0 and "installing" not in again.stdout, again.stderr


@pytest.mark.parametrize(
    ("remote", "address"),
    [("https://github.com/someone/lorakit", ADDRESS), ("https://github.com/a/b.git", None),
     ("git@github.com:someone/lorakit.git", ADDRESS), ("/somewhere/else", None), (None, None)],
)  # fmt: skip
def test_the_address_is_that_of_gits_remote_or_of_pyproject(remote, address, tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text('Repository = "https://github.com/OWNER/lorakit"\n')
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(compose, "HERE", tmp_path / "notebooks")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    if remote:
        subprocess.run(["git", "-C", str(tmp_path), "remote", "add", "origin", remote], check=True)
    other = "https://github.com/a/b" if remote and "a/b" in remote else compose.PLACEHOLDER
    assert compose.repository().startswith(address or other)


def test_without_an_address_nothing_leads_to_a_placeholder(tmp_path):
    """No file but pyproject.toml holds it; elsewhere the set-up cell says what is missing."""
    for path in [
        ROOT / "README.md",
        *(ROOT / "notebooks").rglob("*.*"),
        *(ROOT / "binder").iterdir(),
    ]:
        if path.is_file() and path.name != "compose.py" and path.suffix != ".pyc":
            assert compose.PLACEHOLDER not in path.read_text() and "/OWNER/" not in path.read_text()
    cell = compose.setup(compose.PLACEHOLDER + "lorakit")
    done = subprocess.run(
        [sys.executable, "-c", cell], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode and "no public address yet" in done.stderr


def test_with_an_address_badges_lead_to_it_and_without_one_nothing_is_said(monkeypatch):
    source = compose.sources()[0]
    monkeypatch.setattr(compose, "REPOSITORY", compose.PLACEHOLDER + "lorakit")
    assert not compose.badges(source) and "| open |" not in compose.course_table()
    title, links, *_ = compose.compose(source).cells[0].source.split("\n\n")
    assert title.startswith("# 00") and "The course" in links
    monkeypatch.setattr(compose, "REPOSITORY", ADDRESS)
    first = compose.compose(source).cells[0].source
    path = "someone/lorakit/main?urlpath=lab%2Ftree%2Fnotebooks%2F00_start_here.ipynb"
    assert f"https://mybinder.org/v2/gh/{path}" in first and "| open |" in compose.course_table()
    assert "colab.research.google.com/github/someone/lorakit/blob/main/notebooks/00_start" in first


def test_binder_builds_from_binder_with_exact_versions(monkeypatch):
    """repo2docker's own detection; every requirement is pinned, and the start page is lesson 00."""
    pytest.importorskip("repo2docker")
    from repo2docker.app import Repo2Docker

    monkeypatch.chdir(ROOT)
    packs = (pack(base_image="ubuntu") for pack in Repo2Docker().buildpacks)
    chosen = next(pack for pack in packs if pack.detect())
    assert type(chosen).__name__ == "CondaBuildPack" and Path(chosen.binder_dir).name == "binder"
    assert chosen.python_version == "3.12" and chosen.get_post_build_scripts()
    pinned = dict(
        re.match(r"([\w-]+?)(?:-base|-cpu)?=([\d.]+)$", line).groups()
        for line in chosen.environment_yaml["dependencies"]
    )
    pinned["torch"] = pinned.pop("pytorch")
    after = (ROOT / "binder" / "postBuild").read_text()
    pinned |= dict(re.findall(r"([\w-]+)==([\d.]+)", after))
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, least = line.split(",")[0].split(">=")  # an upper bound may follow
            numbers = [tuple(map(int, text.split("."))) for text in (pinned[name], least)]
            assert numbers[0] >= numbers[1], line
