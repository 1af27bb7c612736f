"""Where a training run stands, as a file: written whole, and read without running anything in it."""

import io
from pathlib import Path
from typing import Any

import torch

from compression.networks.checkpoints.reading import DAMAGE_ERRORS
from compression.paths import write_whole


def as_bytes(state: dict[str, Any]) -> bytes:
    """Returns the content of a file with `state`: tensors, numbers, texts, and lists and dictionaries of them."""
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def from_bytes(content: bytes, name: str = "the checkpoint") -> dict[str, Any]:
    """Returns the state that `as_bytes` wrote. Raises ValueError if the content is damaged; `name` says where from."""
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except DAMAGE_ERRORS as error:
        raise ValueError(f"{name} is damaged; move it away to start a new run") from error
    if not isinstance(state, dict):
        raise ValueError(f"{name} is damaged; move it away to start a new run")
    return state


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes `state` to `path`: a kill leaves the old file or the new one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, as_bytes(state))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Returns the state in `path`. Raises ValueError if the file is damaged, OSError if it cannot be read."""
    return from_bytes(path.read_bytes(), str(path))
