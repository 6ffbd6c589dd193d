"""A trial's state as a file: on a path, at a URL that fsspec can reach, or in memory."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch

from automl_opt.core.result import Trial
from automl_opt.training.task import where

Place = str | os.PathLike[str] | IO[bytes]
"""A path, a URL, or a buffer that travels with a message."""


def is_url(place: object) -> bool:
    """Whether *place* means the same on every machine; a path is that of one."""
    return "://" in str(place)


def write(state: dict[str, Any], place: Place) -> None:
    """Write *state*. On a path, a kill leaves what was there before, or the new one, whole."""
    if not isinstance(place, (str, os.PathLike)):
        torch.save(state, place)
    elif is_url(place):
        import fsspec

        packed = io.BytesIO()
        torch.save(state, packed)
        system, path = fsspec.core.url_to_fs(str(place))
        system.pipe_file(path, packed.getvalue())
    else:
        put(Path(place), lambda file: torch.save(state, file))


def put(file: Path, write_to: Callable[[Path], Any]) -> None:
    """Write beside *file* and rename: it is what it was before, or whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".part")
    write_to(beside)
    os.replace(beside, file)


def read(place: Place, device: torch.device) -> dict[str, Any]:
    """The state that :func:`write` wrote; raises whatever a damaged or missing file does."""
    source: Any = place
    if is_url(place):
        import fsspec

        system, path = fsspec.core.url_to_fs(str(place))
        source = io.BytesIO(system.cat_file(path))
    state: dict[str, Any] = torch.load(source, map_location=device, weights_only=True)
    return state


def unusable(trial: Trial, place: Place, error: Exception) -> str:
    which = f"checkpoint {place}" if isinstance(place, (str, os.PathLike)) else "checkpoint"
    return f"{trial}: starts again, its {which} cannot be used ({where(error)})"
