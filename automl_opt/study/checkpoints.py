"""Where a study keeps the states of its trials: a folder, or a URL that every worker can reach."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from automl_opt.core.errors import StoreError
from automl_opt.core.result import Trial
from automl_opt.core.spec import StudySpec
from automl_opt.store import Store
from automl_opt.study.claim import folder_of
from automl_opt.training.checkpoint import is_url
from automl_opt.training.engine import Engine


class Checkpoints:
    """The checkpoints of one study, each a file of its own with attempt and epoch in its name.

    The database names them by whole paths or URLs: they are found again when the study file says
    another place.

    Args:
        part: a folder in that of the study.

    Raises:
        SpecError: the place in the study file cannot be reached or written.
    """

    def __init__(self, spec: StudySpec, store: Store, part: str | None = None) -> None:
        self._folder = "/".join(filter(None, [_folder(spec, store), part]))
        try:
            system, path = _found(self._folder)
            system.makedirs(path, exist_ok=True)
        except Exception as error:  # every file system that fsspec knows has its own
            raise spec.error(
                "[training] checkpoints", f"{self._folder} cannot be written: {error}"
            ) from error

    def place(self, trial: Trial, attempt: int, epoch: int) -> str:
        return self.named(f"{_stem(trial.arm, trial.number)}{attempt}-{epoch}.pt")

    def named(self, name: str) -> str:
        """Where a file of that name lies."""
        return f"{self._folder}/{name}"

    def save(self, engine: Engine, trial: Trial, place: str) -> bool:
        """As :meth:`Engine.save`.

        Raises:
            StoreError: it cannot be written.
        """
        try:
            return engine.save(trial, place)
        except (OSError, RuntimeError) as error:  # what torch.save raises on a full disk
            raise StoreError(f"the checkpoint {place} cannot be written: {error}") from error

    def write(self, place: str, text: str) -> None:
        """Keep *text* beside the states.

        Raises:
            StoreError: it cannot be written.
        """
        system, path = _found(place)
        try:
            system.pipe_file(path, text.encode())
        except Exception as error:  # every file system that fsspec knows has its own
            raise StoreError(f"{place} cannot be written: {error}") from error

    def read(self, place: str) -> str:
        system, path = _found(place)
        return bytes(system.cat_file(path)).decode()

    def exists(self, place: str) -> bool:
        system, path = _found(place)
        return bool(system.isfile(path))

    def delete(self, place: str) -> None:
        if self.exists(place):
            system, path = _found(place)
            system.rm_file(path)

    def close(self) -> None:
        """Remove the folder if nothing is in it."""
        system, path = _found(self._folder)
        with suppress(OSError):  # it is not empty
            system.rmdir(path)

    def files(self) -> list[str]:
        """What lies in the folder, half-written states too."""
        system, folder = _found(self._folder)
        try:
            found = system.ls(folder, detail=False, refresh=True)
        except FileNotFoundError:  # others that are done have removed it
            return []
        return [file for file in found if file.endswith((".pt", ".part"))]

    def sweep(
        self, files: Iterable[str], needed: set[str | None], held: Iterable[tuple[str, int]]
    ) -> None:
        """Delete those of *files* that are not *needed*: a kill may leave some.

        Args:
            files: :meth:`files`, asked before the database was asked for what follows: of whom has
                written one of them it then knows.
            held: arms and numbers of trials that other processes may be saving just now.
        """
        others = tuple(_stem(arm, number) for arm, number in held)
        system, _ = _found(self._folder)
        kept = {_found(place)[1] for place in needed if place is not None}
        for file in files:
            if file not in kept and not file.rpartition("/")[2].startswith(others):
                with suppress(FileNotFoundError):  # others sweep as well
                    system.rm_file(file)


def _stem(arm: str, number: int) -> str:
    return f"{arm}-{number}-"


def _folder(spec: StudySpec, store: Store) -> str:
    own = folder_of(spec.name, store)
    if spec.checkpoints is None:
        return str(own)
    # others may keep a study of this name at the same place, in another database
    database = f"{socket.gethostname()} {own} {store.shown_url}"
    name = f"{spec.name}-{hashlib.sha256(database.encode()).hexdigest()[:8]}"
    if is_url(spec.checkpoints):
        return f"{spec.checkpoints.rstrip('/')}/{name}"
    return str(Path(spec.checkpoints, name).resolve())


def _found(place: str) -> tuple[Any, str]:
    """The file system of *place*, and where it is there."""
    from fsspec.core import url_to_fs

    system, path = url_to_fs(place)
    return system, path
