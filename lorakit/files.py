"""Write files so that nobody ever sees half of one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_atomic(content: str | bytes, path: str | Path, *, secret: bool = False) -> None:
    """Write a file in one step: readers, and crashes, find the old or the new one, never a part.

    A ``secret`` file can be read by its owner alone.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o600 if secret else 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
