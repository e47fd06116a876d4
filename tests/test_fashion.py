"""Fashion-MNIST: the shipped part, and the whole from wherever it is first."""

import gzip
import hashlib

import numpy as np
import pytest
import torch

from lorakit import data
from lorakit.data import fashion

EACH = 30  # images of each class in the small set, for training and for test


def idx(array):
    """A file in the IDX format, as the authors of the set publish it."""
    shape = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.tobytes()


@pytest.fixture
def published(monkeypatch, tmp_path):
    """A small set in the format of the real one: the bytes of its files by name."""
    rng = np.random.default_rng(0)
    labels = [rng.permutation(np.repeat(np.arange(10, dtype=np.uint8), EACH)) for _ in range(2)]
    images = [rng.integers(0, 256, (10 * EACH, 28, 28), dtype=np.uint8) for _ in range(2)]
    arrays = [images[0], labels[0], images[1], labels[1]]
    for pixels, kinds in zip(images, labels):
        pixels[:, 14, 14] = kinds  # to recognise them by
    content = dict(zip(fashion._SHA256, map(idx, arrays)))
    sums = {name: hashlib.sha256(raw).hexdigest() for name, raw in content.items()}
    monkeypatch.setattr(fashion, "_SHA256", sums)
    monkeypatch.setattr(fashion, "_SHAPES", tuple(a.shape for a in arrays))
    monkeypatch.setattr(fashion, "_PART_SIZE", (20, 10))
    monkeypatch.setattr(fashion, "_DEBIAN", tmp_path / "debian")
    fashion.whole.cache_clear()
    yield content
    fashion.whole.cache_clear()


def put(content, folder, packed=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in content.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(raw))
        else:
            (folder / name).write_bytes(raw)


def test_painted_clothes_are_the_same_ones_in_two_colours_each():
    sizes = {"train": 300, "val": 20, "test": 50}
    plain, painted = data.load("fashion", **sizes), data.load("painted", **sizes)
    assert painted.name == "painted" and painted.classes == plain.classes
    assert data.load("painted", train=9, val=0, test=9).val is None
    for split in ("train", "val", "test"):
        grey, coloured = (getattr(d, split) for d in (plain, painted))
        assert torch.equal(grey.labels, coloured.labels)
        share = grey.images[:, :1].double() / 255  # 0 is the first colour, 1 the second
        ends = coloured.images.double()[:, :, :1, :1]  # the margin is black, and so the first one
        slope = ((coloured.images - ends) * share).sum((2, 3)) / (share**2).sum((2, 3))
        again = ends + slope[..., None, None] * share
        assert (again - coloured.images).abs().max() <= 2  # roundings, of a line's two ends
    colours = painted.train.images[:, :, 0, 0].float()
    assert len(colours.unique(dim=0)) == 300 and (colours.mean(0) - 127.5).abs().max() < 15
    assert torch.corrcoef(colours.T).fill_diagonal_(0).abs().max() < 0.2  # channels by themselves
    (greys,) = fashion.paint(plain.val, torch.Generator().manual_seed(0), 1).images[None]
    assert torch.equal(greys[:, 0], greys[:, 2])
    again = data.load("painted", **sizes)
    assert torch.equal(again.test.images, painted.test.images)
    assert not torch.equal(data.load("painted", seed=1, **sizes).test.images, again.test.images)


def test_the_shipped_part_is_balanced_and_needs_nothing_else(tmp_path):
    found = data.load("fashion", train=12_000, val=0, test=5000, root=tmp_path, download=False)
    assert found.val is None and found.classes[1] == "trouser" and found.image_size == 32
    assert found.train.labels.bincount().tolist() == [1200] * 10
    assert found.test.labels.bincount().tolist() == [500] * 10
    images = found.train.images
    assert torch.equal(images[:, 0], images[:, 1]) and torch.equal(images[:, 0], images[:, 2])
    assert not images[:, :, [0, 1, 30, 31]].any() and not images[..., [0, 1, 30, 31]].any()
    trousers = images[found.train.labels == 1, 0].float().mean(0)
    assert trousers[26, 16] < 0.5 * trousers[26, 12]  # two legs, and a gap between them
    boots = images[found.train.labels == 9, 0].float().mean(0)
    assert boots[24].mean() > 2 * boots[6].mean()  # heavy below


def test_splits_share_no_image_and_follow_the_seed():
    found = data.load("fashion", train=600, val=200, test=300)
    again = data.load("fashion", train=600, val=200, test=300)
    other = data.load("fashion", train=600, val=200, test=300, seed=1)
    assert torch.equal(found.train.images, again.train.images)
    assert not torch.equal(found.train.images, other.train.images)
    rows = [{i.numpy().tobytes() for i in s.images} for s in (found.train, found.val, found.test)]
    assert not (rows[0] & rows[1] or rows[0] & rows[2] or rows[1] & rows[2])


@pytest.mark.parametrize("where", ["", "FashionMNIST/raw", "debian"])
@pytest.mark.parametrize("packed", [True, False])
def test_the_whole_set_is_found_in_each_place(published, tmp_path, where, packed):
    root = tmp_path / "data"
    put(published, tmp_path / where if where == "debian" else root / where, packed)
    found = data.load("fashion", train=250, val=50, test=250, root=root, download=False)
    assert [len(s) for s in (found.train, found.val, found.test)] == [250, 50, 250]
    for split in (found.train, found.val, found.test):
        assert torch.equal(split.images[:, 0, 16, 16].long(), split.labels)
    alone = data.load("fashion", train=300, val=0, test=300, root=root, download=False)
    assert len(alone.train) == 300 and alone.val is None
    with pytest.raises(ValueError, match="ask for fewer"):
        data.load("fashion", train=300, val=1, test=1, root=root)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: gzip.compress(raw)[:-30],
        lambda raw: gzip.compress(raw[:-1]),
        lambda raw: gzip.compress(raw + b"\0"),
        lambda raw: gzip.compress(raw[:99] + bytes([raw[99] ^ 1]) + raw[100:]),
        lambda raw: b"not a gzip file",
        lambda raw: b"",
        None,
    ],
)
def test_a_wrong_file_is_named(published, tmp_path, spoil):
    put(published, tmp_path)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    if spoil is None:
        path.unlink()
    else:
        path.write_bytes(spoil(published["t10k-images-idx3-ubyte"]))
    with pytest.raises(RuntimeError, match=r"t10k-images-idx3-ubyte\.gz: (not|missing)"):
        data.load("fashion", train=250, val=50, test=250, root=tmp_path)


def test_without_the_whole_set_the_message_says_how_to_get_it(published, tmp_path):
    for download in (True, False):  # the tests have no network
        with pytest.raises(RuntimeError, match="apt-get install dataset-fashion-mnist"):
            data.load("fashion", train=250, val=50, test=250, root=tmp_path, download=download)


def test_the_part_is_made_from_the_whole(published, tmp_path, monkeypatch):
    put(published, tmp_path)
    monkeypatch.setenv("LORAKIT_DATA", str(tmp_path))
    fashion.make_part(tmp_path / "part.npz")
    made = np.load(tmp_path / "part.npz", allow_pickle=False)
    images, labels, _, test_labels = (made[name] for name in fashion._SHA256)
    assert np.bincount(labels).tolist() == [20] * 10
    assert np.bincount(test_labels).tolist() == [10] * 10
    assert (images[:, 14, 14] == labels).all()


@pytest.mark.skipif(not fashion._DEBIAN.exists(), reason="needs Debian's dataset-fashion-mnist")
def test_the_shipped_part_is_what_the_command_makes(tmp_path):
    fashion.make_part(tmp_path / "part.npz")
    made, shipped = (np.load(p, allow_pickle=False) for p in (tmp_path / "part.npz", fashion.PART))
    assert all(np.array_equal(made[name], shipped[name]) for name in fashion._SHA256)
