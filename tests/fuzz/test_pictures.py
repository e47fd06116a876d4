"""Pictures of any kind are read as a person sees them; too large or damaged ones cost nothing."""

import struct
import threading
import warnings
import zlib
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lorakit import data
from lorakit.data import decode as module
from lorakit.data.decode import MOST_PIXELS, decode, open_picture
from lorakit.explore.cipher import CipherExplorer, read_image
from lorakit.runtime import peak_memory_mb, reset_peak_memory

from . import cases, ends, mutated

CPU = torch.device("cpu")
FORMATS = ("png", "jpeg", "gif", "tiff", "webp", "bmp")


def as_file(image, kind="png", **options):
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return BytesIO(buffer.getvalue())


@pytest.mark.parametrize("kind", ["png", "tiff", "ppm"])
def test_sixteen_bits_are_scaled(kind):
    values = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    picture = np.asarray(open_picture(as_file(Image.fromarray(values), kind)))
    assert (picture == np.arange(256).reshape(16, 16, 1)).all()


def transparent():
    """Pictures whose left half is black and transparent, their right half black."""
    rgba = Image.new("RGBA", (8, 8), (0, 0, 0, 255))
    rgba.paste((0, 0, 0, 0), (0, 0, 4, 8))
    sixteen = np.full((8, 8), 1000, np.uint16)
    sixteen[:, 4:] = 0
    plain = Image.new("RGB", (8, 8), (0, 0, 1))
    plain.paste((0, 0, 0), (4, 0, 8, 8))
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 0, 0, 0])
    palette.paste(0, (4, 0, 8, 8))
    return {
        "rgba": as_file(rgba),
        "la": as_file(rgba.convert("LA")),
        "webp": as_file(rgba, "webp", lossless=True),
        "gif": as_file(palette, "gif", transparency=1),
        "palette": as_file(palette, transparency=1),
        "palette of shares": as_file(palette, transparency=b"\xff\x00"),
        "one colour": as_file(plain, transparency=(0, 0, 1)),
        "16 bits": as_file(Image.fromarray(sixteen), transparency=1000),
    }


@pytest.mark.parametrize("name", transparent())
def test_what_is_transparent_is_white(name):
    picture = np.asarray(open_picture(transparent()[name]))
    assert (picture[:, :4] == 255).all() and (picture[:, 4:] == 0).all()


def test_a_picture_that_lies_on_its_side_is_turned_upright():
    image = Image.new("RGB", (4, 2), "white")
    exif = image.getexif()
    exif[0x112] = 6  # a quarter turn
    assert open_picture(as_file(image, "jpeg", exif=exif)).size == (2, 4)


def bomb(width, height):
    """A PNG that says it is this large."""

    def chunk(name, content):
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(10**6)))
    return b"\x89PNG\r\n\x1a\n" + head + pixels + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(10_000, 17_000), (50_000, 50_000), (7_072, 7_072)])
def test_too_many_pixels_are_refused_before_they_take_memory(size, tmp_path):
    (tmp_path / "a.png").write_bytes(bomb(*size))
    reset_peak_memory(CPU)
    start = peak_memory_mb(CPU)
    with pytest.raises(ValueError, match=r"a\.png: not a picture.*pixels"):
        decode([str(tmp_path / "a.png")], 32, tmp_path / "cache")
    with pytest.raises(ValueError, match="pixels"):
        read_image(bomb(*size))
    assert peak_memory_mb(CPU) - start < 20 and size[0] * size[1] > MOST_PIXELS


def test_a_program_for_printers_is_no_picture(tmp_path):
    with pytest.raises(ValueError, match="not a picture"):
        open_picture(BytesIO(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"))


@pytest.mark.parametrize(
    "size, content, words",
    [
        (8_000_001, b"", "8,000,001 bytes; allowed: 8,000,000"),
        (1000, bomb(9000, 9000), "9,000 x 9,000 pixels"),
    ],
)
def test_an_upload_above_the_limit_is_refused_with_a_message_at_once(size, content, words):
    said = []
    explorer = SimpleNamespace(images={}, say=lambda text, alert: said.append(text))
    file = {"name": "a.png", "size": size, "content": memoryview(content)}
    CipherExplorer._uploaded(explorer, {"new": [file]})
    assert len(said) == 1 and said[0].startswith("a.png: ") and words in said[0]
    assert not explorer.images


GOOD = {
    kind: as_file(Image.radial_gradient("L").resize((40, 30)).convert("RGB"), kind).getvalue()
    for kind in FORMATS
}


@given(seed=st.integers(0, 2**40), kind=st.sampled_from(FORMATS))
@cases(300)
def test_a_damaged_picture_is_read_or_refused_in_words(seed, kind):
    how, bad = mutated(GOOD[kind], seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert open_picture(BytesIO(bad)).mode == "RGB"
            ends["picture", f"{how} read"] += 1
        except ValueError as error:
            assert "not a picture that can be read" in str(error)
            ends["picture", f"{how} refused"] += 1


def test_threads_that_read_the_same_pictures_do_not_meet(tmp_path, monkeypatch):
    paths = [str(tmp_path / f"{n}.png") for n in range(40)]
    for n, path in enumerate(paths):
        Image.new("RGB", (20, 20), (n, 0, 0)).save(path)
    found, start = [], threading.Barrier(4)

    def read():
        start.wait()
        found.append(decode(paths, 8, tmp_path / "cache"))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(list((tmp_path / "cache").iterdir())) == 1
    assert all(torch.equal(images[:, 0, 0, 0], torch.arange(40).byte()) for images in found)


def test_few_pictures_are_in_memory_at_a_time(tmp_path, monkeypatch):
    Image.new("RGB", (9, 9), "white").save(tmp_path / "a.png")
    paths = [str(tmp_path / "a.png")] * 400
    monkeypatch.setattr(module, "_AT_A_TIME", 20)
    reset_peak_memory(CPU)
    start = peak_memory_mb(CPU)
    images = decode(paths, 256, tmp_path / "cache")  # 75 MiB
    assert peak_memory_mb(CPU) - start < 30 and images.shape == (400, 3, 256, 256)


@pytest.fixture
def animals(tmp_path):
    for part, count in (("train", 6), ("val", 3)):
        for name in ("cat", "dog"):
            (tmp_path / "animals" / part / name).mkdir(parents=True)
            for n in range(count):
                Image.new("RGB", (9, 9)).save(tmp_path / "animals" / part / name / f"{n}.png")
    return tmp_path


@pytest.mark.parametrize(
    "link, target",
    [
        ("train/cat/up", "train"),  # a folder in itself
        ("train/owl", "train"),
        ("val/cat/more", "train/cat"),
        ("train/cat/also", "train/dog"),
        ("val/dog/9.png", "train/dog/1.png"),
    ],
)
def test_no_link_puts_a_picture_into_two_places(animals, link, target):
    folder = animals / "animals"
    data.load("folder:animals", root=animals, image_size=8)
    (folder / link).symlink_to(folder / target)
    with pytest.raises(ValueError, match="by a link"):
        data.load("folder:animals", root=animals, image_size=8)


def test_links_to_folders_elsewhere_are_followed(animals):
    folder = animals / "animals"
    for part in ("train", "val"):
        (folder / part / "cat").rename(animals / f"cats of {part}")
        (folder / part / "cat").symlink_to(animals / f"cats of {part}")
    assert data.load("folder:animals", root=animals, image_size=8).classes == ("cat", "dog")
