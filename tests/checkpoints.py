"""What an attacker would do to a checkpoint: change it, and its digest with it."""

import hashlib
from io import BytesIO

import torch


def rewrite(path, change):
    """Let ``change`` edit the state in a checkpoint, and write it back with a right digest."""
    head, _, content = path.read_bytes().partition(b"\n")
    state = torch.load(BytesIO(content), weights_only=True)
    change(state)
    buffer = BytesIO()
    torch.save(state, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest().encode()
    magic = head.rpartition(b" ")[0]
    path.write_bytes(magic + b" " + digest + b"\n" + buffer.getvalue())
