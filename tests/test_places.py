"""The course elsewhere: on Colab, in a fresh environment with torch; on Binder."""

import base64
import hashlib
import os
import re
import shutil
import site
import subprocess
import venv
import zipfile
from importlib.metadata import distribution, version
from pathlib import Path

import pytest
from compose import REPOSITORY, SETUP

ROOT = Path(__file__).resolve().parent.parent
ABSENT = ("timm", "opacus", "papermill")  # what Colab lacks
ADDRESS = r"https://github\.com/[\w-]+/[\w-]+"


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
        "GIT_CONFIG_VALUE_0": REPOSITORY, "MPLBACKEND": "agg", "HF_HUB_OFFLINE": "1",
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
    first = run(SETUP + use)
    assert first.returncode == 0, first.stderr
    assert f"torch {version('torch')}" in first.stdout and "lorakit-course" in first.stdout
    assert "installing timm" in first.stdout
    installed = {path.name.split("-")[0] for path in own.glob("*.dist-info")}
    assert set(ABSENT) <= installed and not installed & {"torch", "torchvision", "numpy"}
    again = run(SETUP + use)
    assert again.returncode == 0 and "installing" not in again.stdout, again.stderr


def test_the_address_of_the_repository_lives_in_one_place():
    """pyproject.toml has it; notebooks and README, which repeat it, are written from there."""
    assert f'Repository = "{REPOSITORY}"' in (ROOT / "pyproject.toml").read_text()
    slug = REPOSITORY.removeprefix("https://github.com/")
    sources = [*(ROOT / "lorakit").rglob("*.py"), *(ROOT / "notebooks").rglob("*.py")]
    for path in [*sources, *(ROOT / "binder").iterdir()]:
        assert slug not in path.read_text(), path
    for path in [ROOT / "README.md", *(ROOT / "notebooks").glob("*.ipynb")]:
        links = re.findall(rf"(?:{ADDRESS}|(?:github|gh)/[\w-]+/[\w-]+)(?=[/\"])", path.read_text())
        owners = {link.split("/")[-2] for link in links if link.endswith("/lorakit")}
        assert owners <= {slug.split("/")[0]} and (owners or path.suffix == ".ipynb")


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
    readme = (ROOT / "README.md").read_text()
    slug = REPOSITORY.removeprefix("https://github.com/")
    start = f"https://mybinder.org/v2/gh/{slug}/main?urlpath=lab%2Ftree%2Fnotebooks%2F00_start_here"
    assert start in readme and (ROOT / "notebooks" / "00_start_here.ipynb").exists()
