"""Public data sets, in small files of the same formats: whole, missing and damaged ones.

CIFAR's files are pickles: they are written here, and opened by torchvision after their MD5 sum.
"""

import hashlib
import io
import tarfile
from pickle import dumps

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from lorakit import Experiment, Recipe, data, run
from lorakit.data import public

EACH = 40  # pictures in one of CIFAR's files


@pytest.fixture(autouse=True)
def fresh():
    public.cifar.cache_clear()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.fixture(params=["cifar10", "cifar100"])
def cifar_archive(request, tmp_path, monkeypatch):
    """A small CIFAR as its authors packed it; torchvision is told the MD5 sums of these files."""
    name, rng = request.param, np.random.default_rng(0)
    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    label, names = ("labels", 10) if name == "cifar10" else ("fine_labels", 100)
    lists, files = {}, {}
    for part in ("train_list", "test_list"):
        lists[part] = []
        for filename, _ in getattr(kind, part):
            pixels = rng.integers(0, 256, (EACH, 3072), dtype=np.uint8)
            labels = rng.integers(0, names, EACH).tolist()
            pixels[:, 0] = labels  # to recognise them by
            files[filename] = dumps({"data": pixels, label: labels})
            lists[part].append([filename, md5(files[filename])])
    meta = kind.meta["filename"]
    files[meta] = dumps({kind.meta["key"]: [f"class {i}" for i in range(names)]})
    archive = tmp_path / "elsewhere" / kind.filename
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        for filename, content in files.items():
            info = tarfile.TarInfo(f"{kind.base_folder}/{filename}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    for part, entries in lists.items():
        monkeypatch.setattr(kind, part, entries)
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5(files[meta])})
    monkeypatch.setattr(kind, "tgz_md5", md5(archive.read_bytes()))
    return name, kind, archive


def test_cifar_is_unpacked_checked_and_split(cifar_archive, tmp_path):
    name, kind, archive = cifar_archive
    root = tmp_path / "data"
    root.mkdir()
    (root / kind.filename).write_bytes(archive.read_bytes())
    files = len(kind.train_list)
    sizes = {"train": EACH * files - 10, "val": 10, "test": EACH}
    found = data.load(name, root=root, image_size=224, **sizes)
    assert [len(s) for s in (found.train, found.val, found.test)] == list(sizes.values())
    assert found.image_size == 32 and found.classes[3] == "class 3"
    for split in (found.train, found.val, found.test):
        assert split.images.dtype == torch.uint8
        assert torch.equal(split.images[:, 0, 0, 0].long(), split.labels)  # each with its own
    together = torch.cat([found.train.images, found.val.images]).flatten(1)
    assert len(together.unique(dim=0)) == EACH * files  # nothing twice, nothing lost
    again = data.load(name, root=root, download=False, seed=1, **sizes)
    assert not torch.equal(again.val.images, found.val.images)
    with pytest.raises(ValueError, match="ask for fewer"):
        data.load(name, root=root, train=EACH * files, val=1, test=1)
    with pytest.raises(ValueError, match="test images"):
        data.load(name, root=root, train=1, val=1, test=EACH + 1)


def test_a_missing_or_damaged_cifar_is_told_with_advice(cifar_archive, tmp_path):
    name, kind, archive = cifar_archive
    root = tmp_path / "data"
    with pytest.raises(RuntimeError, match=r"Without a network: fetch https"):
        data.load(name, root=root)  # the tests have no network
    with pytest.raises(RuntimeError, match="not in"):
        data.load(name, root=root, download=False)
    (root / kind.filename).write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(RuntimeError, match="A damaged"):
        data.load(name, root=root)
    (root / kind.filename).write_bytes(archive.read_bytes())
    data.load(name, root=root, train=9, val=1, test=1)
    public.cifar.cache_clear()
    batch = root / kind.base_folder / kind.test_list[0][0]
    batch.write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")  # not opened: its sum is wrong
    (root / kind.filename).unlink()
    with pytest.raises(RuntimeError, match="damaged"):
        data.load(name, root=root, train=9, val=1, test=1)


def picture(path, colour, size=(50, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def animals(tmp_path):
    """As ImageNet-1K is kept: train and val, class folders; pictures of different sizes."""
    for part, count in (("train", 10), ("val", 4)):
        for place, name in enumerate(("cat", "dog", "owl")):
            for n in range(count):
                picture(tmp_path / "animals" / part / name / f"{n}.png", (80 * place, n, 7),
                        (40 + 5 * n, 60))  # fmt: skip
    return tmp_path


def test_a_folder_of_class_folders(animals):
    found = data.load("folder:animals", root=animals, image_size=24)
    assert found.classes == ("cat", "dog", "owl") and found.image_size == 24
    assert [len(s) for s in (found.train, found.val, found.test)] == [27, 3, 12]
    for split in (found.train, found.val, found.test):
        assert torch.equal(split.images[:, 0, 5, 5].long(), 80 * split.labels)
        assert (split.images[:, 2] == 7).all()
    some = data.load("folder:animals", root=animals, image_size=24, classes=["owl", "cat"])
    assert some.classes == ("owl", "cat") and len(some.test) == 8
    assert torch.equal(some.test.images[:, 0, 5, 5].long(), 160 * (some.test.labels == 0).long())


def test_a_folder_without_parts_is_split_at_random(tmp_path):
    for name in ("a", "b"):
        for n in range(20):
            picture(tmp_path / "plain" / name / f"{n}.jpg", (n, 0, 0))
    found = data.load("folder:plain", root=tmp_path, image_size=16)
    assert [len(s) for s in (found.train, found.val, found.test)] == [32, 4, 4]
    names = {name.name for name in (tmp_path / ".decoded").iterdir()}
    assert len(names) == 3 and all(name.endswith(".npy") for name in names)


def test_pictures_are_read_once_and_anew_when_a_file_changes(animals, monkeypatch):
    sizes = {"root": animals, "image_size": 16}
    first = data.load("folder:animals", **sizes)
    monkeypatch.setattr("lorakit.data.decode._read", None)  # would raise
    again = data.load("folder:animals", **sizes)
    assert torch.equal(first.test.images, again.test.images)
    monkeypatch.undo()
    for n in range(4):
        picture(animals / "animals/val/cat" / f"{n}.png", (33, 0, 7), (99, 99))
    changed = data.load("folder:animals", **sizes).test
    assert (changed.images[changed.labels == 0][:, 0] == 33).all()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / "val/cat/0.png").write_bytes(b"GIF89a"), "0.png: not a picture"),
        (lambda f: (f / "train/dog/3.png").write_bytes((f / "train/dog/3.png").read_bytes()[:60]),
         "3.png: not a picture"),
        (lambda f: [p.unlink() for p in (f / "train/owl").iterdir()], "owl"),
    ],
)  # fmt: skip
def test_damaged_folders_name_what_is_wrong_and_leave_nothing_behind(animals, damage, words):
    damage(animals / "animals")
    with pytest.raises(ValueError, match=words):
        data.load("folder:animals", root=animals, image_size=16)
    left = list((animals / ".decoded").glob("*")) if (animals / ".decoded").exists() else []
    assert all(path.suffix == ".npy" and np.load(path).any() for path in left)


@pytest.mark.parametrize(
    ("name", "more", "error", "words"),
    [
        ("folder:zoo", {}, RuntimeError, "CLASS"),
        ("folder:animals", {"classes": ["cat", "fox"]}, ValueError, "'fox'"),
        ("folder:animals", {"classes": ["cat"]}, ValueError, "two or more"),
        ("folder:animals", {"train": 100}, ValueError, "ask for fewer"),
        ("folder:", {}, ValueError, "folder:NAME"),
        ("digits", {"classes": ["1", "2"]}, ValueError, "folder:NAME"),
        ("cifar11", {}, ValueError, "unknown data set"),
    ],
)
def test_wrong_requests(animals, name, more, error, words):
    with pytest.raises(error, match=words):
        data.load(name, root=animals, **more)


def test_imagenette_whole_and_broken_off(tmp_path, monkeypatch):
    kind = datasets.Imagenette
    top = tmp_path / "made" / "imagenette2-320"
    for part, count in (("train", 6), ("val", 3)):
        for place, wnid in enumerate(kind._WNID_TO_CLASS):
            for n in range(count):
                picture(top / part / wnid / f"{n}.JPEG", (20 * place, 0, 0), (64, 48))
    root = tmp_path / "data"
    root.mkdir()
    with tarfile.open(root / "imagenette2-320.tgz", "w:gz") as tar:
        tar.add(top, "imagenette2-320")
    url = kind._ARCHIVES["320px"][0]
    monkeypatch.setitem(
        kind._ARCHIVES, "320px", (url, md5((root / "imagenette2-320.tgz").read_bytes()))
    )
    monkeypatch.setattr(public, "IMAGENETTE", (60, 30))
    found = data.load("imagenette", root=root, train=50, val=10, test=30, image_size=32)
    assert found.classes[0] == "tench" and found.image_size == 32
    near = (found.test.images[:, 0, 9, 9].long() - 20 * found.test.labels).abs()
    assert near.max() <= 3  # JPEG
    next((root / "imagenette2-320/val/n01440764").iterdir()).unlink()
    with pytest.raises(RuntimeError, match="broken off"):
        data.load("imagenette", root=root, train=50, val=10, test=30)


def test_an_experiment_on_public_images_encrypts_on_the_way(animals, monkeypatch):
    monkeypatch.setenv("LORAKIT_DATA", str(animals))
    sizes = {"train": 27, "val": 3, "test": 12}
    recipe = Recipe(epochs=2, batch_size=9)
    e = Experiment("folder:animals", **sizes, cipher="scramble+shuffle+negative", recipe=recipe)
    row = run(e, device="cpu")
    assert row["dataset"] == "folder:animals" and 0 <= row["accuracy"] <= 1
    assert row["accuracy"] == run(e, device="cpu")["accuracy"]
    with pytest.raises(ValueError, match="a folder has no default"):
        Experiment(dataset="folder:animals")
