import pytest
import torch

from lorakit import data
from lorakit.data import embedded
from lorakit.data.street import DIGITS, LETTERS, Look, atlas, draw


def fingerprints(split):
    return {bytes(image.flatten().tolist()) for image in split.images}


@pytest.mark.parametrize("name", ["street", "digits"])
def test_form_ranges_and_disjoint_splits(name):
    found = data.load(name, train=300, val=60, test=200)
    sizes = [len(s) for s in (found.train, found.val, found.test)]
    assert sizes == [300, 60, 200] and found.image_size == 32
    for split in (found.train, found.val, found.test):
        assert split.images.dtype == torch.uint8 and split.images.shape[1:] == (3, 32, 32)
        assert split.labels.dtype == torch.int64
        assert split.labels.min() >= 0 and split.labels.max() < len(found.classes)
    a, b, c = map(fingerprints, (found.train, found.val, found.test))
    assert not (a & b or a & c or b & c)
    assert data.load(name, train=9, val=0, test=9).val is None


def test_digits_are_the_real_ones():
    from sklearn.datasets import load_digits

    found = data.load("digits", train=1097, val=200, test=500)
    labels = torch.cat([found.train.labels, found.val.labels, found.test.labels])
    real, targets = load_digits(return_X_y=True)
    assert sorted(labels.tolist()) == sorted(targets.tolist())
    # averaged back to 8 x 8, every picture is one of scikit-learn's with its label
    small = found.test.images[:20, 0].float().view(-1, 8, 4, 8, 4).mean((2, 4)) / 255 * 16
    distance = torch.cdist(small.flatten(1), torch.from_numpy(real).float())
    assert torch.equal(torch.from_numpy(targets)[distance.argmin(1)], found.test.labels[:20])


def test_seeds_repeat_and_differ():
    first = data.load("street", train=50, val=1, test=1, seed=1)
    embedded.street.cache_clear()
    again = data.load("street", train=50, val=1, test=1, seed=1)
    other = data.load("street", train=50, val=1, test=1, seed=2)
    assert torch.equal(first.train.images, again.train.images)
    assert not torch.equal(first.train.images, other.train.images)
    assert data.load("street", train=50, val=1, test=1, seed=2) is other  # cached


def test_letters_hold_no_digit_and_every_glyph_is_drawn():
    assert len(set(LETTERS)) == len(LETTERS) == 96
    assert not any(c.isdigit() or c.isnumeric() for c in LETTERS)
    for characters in (LETTERS, DIGITS):
        ink = atlas(characters).flatten(2)
        assert (ink.sum(2) > 20).all()
    for font in atlas(LETTERS + DIGITS).flatten(2).unbind(dim=1):  # none looks like another
        assert torch.cdist(font, font).fill_diagonal_(9).min() > 1


def test_a_drawn_digit_is_the_one_its_label_says():
    """Drawn without distortion and noise, the ink is that of the labelled atlas cell."""
    look = Look(0, 0, (1, 1.05), 0, (3, 3), (0.9, 1.0), 0)
    labels = torch.arange(10).repeat(20)
    images = draw(DIGITS, labels, torch.Generator().manual_seed(0), look, size=48).float()
    grey = images.mean(dim=1).flatten(1)  # (200, 48 * 48)
    cells = atlas(DIGITS).flatten(2)  # (10, fonts, 48 * 48)
    likeness = torch.stack([torch.corrcoef(torch.cat([g[None], cells.flatten(0, 1)]))[0, 1:]
                            for g in grey]).abs().view(200, 10, -1).amax(dim=2)  # fmt: skip
    assert (likeness.argmax(dim=1) == labels).float().mean() > 0.95


def test_normalise_is_mean_half_std_half():
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert torch.allclose(data.normalise(pixels), torch.tensor([-1.0, -0.6, 1.0]))
    with pytest.raises(TypeError, match="float32"):  # normalising twice would leave nothing to see
        data.normalise(data.normalise(pixels))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "mnist"}, ["mnist", "street"]),
        ({"name": "street", "train": 0}, ["train=0"]),
        ({"name": "street", "val": -1}, ["val=-1"]),
        ({"name": "digits", "train": 5000}, ["1797", "digits"]),
        ({"name": "street", "image_size": 4}, ["image_size=4"]),
        ({"name": "street", "seed": -1}, ["seed=-1"]),
    ],
)
def test_bad_input_is_named(arguments, words):
    with pytest.raises(ValueError) as error:
        data.load(**arguments)
    assert all(word in str(error.value) for word in words)


def test_labels_that_a_loss_would_skip_are_refused():
    with pytest.raises(ValueError, match=r"labels: .*0 or more"):
        data.Split(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.tensor([0, -100]))
