"""Files are written in one step, with the mode they should have, and errors name them."""

import os
import resource
import stat

import pytest

from lorakit.runtime import replacing, write_atomic


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize("mask, mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_follows_the_umask_and_a_secret_one_never_does(mask, mode, umask, tmp_path):
    umask(mask)
    for secret, expected in ((False, mode), (True, 0o600)):
        path = tmp_path / f"{secret}"
        write_atomic("text", path, secret=secret)
        assert stat.S_IMODE(path.stat().st_mode) == expected


def test_an_existing_file_keeps_its_mode(umask, tmp_path):
    path = tmp_path / "table.csv"
    for mode in (0o600, 0o664, 0o640):
        path.write_text("old")
        path.chmod(mode)
        write_atomic("new", path)
        assert path.read_text() == "new" and stat.S_IMODE(path.stat().st_mode) == mode


def test_a_link_is_written_through(tmp_path):
    target, link = tmp_path / "there" / "a.csv", tmp_path / "link.csv"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to(target)
    write_atomic("new", link)
    assert link.is_symlink() and target.read_text() == "new"


def test_a_full_disk_or_a_limit_names_the_file_and_changes_nothing(tmp_path):
    path = tmp_path / "table.csv"
    write_atomic("old", path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match=r"File too large.*table\.csv"):
            write_atomic("x" * 5000, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(OSError, match=r"No space left.*table\.csv"), replacing(path):
        raise OSError(28, "No space left on device")
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["table.csv"]
