"""A key comes back as it was, is its owner's alone, and a broken one is refused in silence."""

import json

import pytest
import torch

from lorakit.encryption.cipher import STEPS, encrypt, make_key
from lorakit.encryption.key_file import _digest, load_key, save_key


@pytest.mark.parametrize("steps", [(), ("shuffle",), STEPS])
@pytest.mark.parametrize("size, block", [(32, 8), (16, 16), (12, 2)])
def test_a_key_comes_back(steps, size, block, tmp_path):
    key = make_key(size, block, steps)
    path = save_key(key, tmp_path / "secret.json")
    again = load_key(path)
    images = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    assert torch.equal(encrypt(images, again), encrypt(images, key)) and again.steps == key.steps
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_that_others_can_read_is_refused(tmp_path):
    path = save_key(make_key(32, 8), tmp_path / "secret.json")
    path.chmod(0o644)
    with pytest.raises(PermissionError, match="chmod 600"):
        load_key(path)
    with pytest.raises(FileNotFoundError):
        load_key(tmp_path / "none")


@pytest.mark.parametrize(
    "change",
    [
        {"format": 1}, {"image_size": "32"}, {"block_size": 0}, {"block_size": 5},
        {"steps": ["shuffle", "scramble"]}, {"steps": ["magic"]}, {"blocks": [0] * 16},
        {"blocks": list(range(15))}, {"pixels": "abc"}, {"pixels": [0.5] * 192},
        {"flips": [2] * 192}, {"flips": [0]}, {"flips": None}, {"image_size": True},
        {"image_size": 8 * 10**9},
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused_and_not_shown(change, tmp_path):
    path = save_key(make_key(32, 8), tmp_path / "secret.json")
    content = {**json.loads(path.read_text()), **change}
    del content["digest"]
    path.write_text(json.dumps({**content, "digest": _digest(content)}))
    with pytest.raises(ValueError) as error:
        load_key(path)
    assert str(error.value) == f"path={str(path)!r}: not a whole key of lorakit"
