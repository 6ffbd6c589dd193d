"""A study is run by one process at a time, and its files lie in a folder of its own."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from automl_opt.core.errors import StoreError
from automl_opt.core.result import Status
from automl_opt.store import Store
from automl_opt.store.engine import sqlite_file

try:
    import fcntl
except ImportError:  # Windows: leases have to do
    fcntl = None  # type: ignore[assignment]


MEMORY = "engine.json"
"""The file among a study's checkpoints that keeps what its engine has measured."""


def worker() -> str:
    """The running process, as the rows of its trials name it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def folder_of(study: str, store: Store) -> Path:
    """Where the checkpoints of *study* lie; no other study's do, of whatever database."""
    if _file(store) is not None:
        return store.folder / study
    place = store.shown_url
    if store.engine.dialect.name == "sqlite":  # in memory: it is gone with this process
        place += worker()
    return store.folder / f"{study}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def forget_measurements(study: str, store: Store) -> None:
    """Delete what the engines of *study* have measured: there is nothing to go on with."""
    name = Path(MEMORY)
    for file in folder_of(study, store).glob(f"{name.stem}*{name.suffix}"):
        file.unlink()


@contextmanager
def claimed(study: str, store: Store) -> Iterator[None]:
    """Inside, no other process runs *study* on the database of *store*.

    A lock on a file that the kernel lets go with the process, however that ends, decides for all
    who share the database's folder. For others there are the leases of running trials.

    Raises:
        StoreError: another process runs it, or the folder cannot be written.
    """
    folder = folder_of(study, store)
    try:
        lock = _locked(folder / "lock") if fcntl else None
    except BlockingIOError:
        owner = _first_word(folder / "lock")
        raise _busy(study, store, owner, "Stop that one first.") from None
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}") from error
    try:
        _refuse_if_leased(study, store, alone_here=lock is not None and _file(store) is not None)
        yield
    finally:
        if lock:
            (folder / "lock").unlink(missing_ok=True)
            lock.close()
        for place in (folder, folder.parent):
            with suppress(OSError):  # not empty: there are checkpoints, or others came
                place.rmdir()


def _file(store: Store) -> Path | None:
    return sqlite_file(store.engine.url)


def _locked(path: Path) -> IO[str]:
    """The file at *path*, locked by us and still at *path*: its last owner removes it."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = path.open("a+")
        except FileNotFoundError:  # another process has just removed the empty folder
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                file.truncate(0)
                file.write(worker())
                file.flush()
                return file
        except FileNotFoundError:
            pass
        except BaseException:
            file.close()
            raise
        file.close()


def _first_word(path: Path) -> str:
    with suppress(OSError):
        return path.read_text().strip()
    return ""


def _refuse_if_leased(study: str, store: Store, *, alone_here: bool) -> None:
    """Raise :class:`StoreError` while a trial of *study* is held by a process that may be alive.

    Args:
        alone_here: no process of this machine runs the study, whatever the rows say: process
            numbers are given again.
    """
    for row in store.trials(study):
        if row.status is not Status.RUNNING or row.lease_until is None:
            continue
        machine, _, pid = row.worker.rpartition(":")
        if machine == socket.gethostname() and (alone_here or not _may_be_alive(int(pid))):
            continue
        if row.lease_until > datetime.now(UTC):
            raise _busy(
                study,
                store,
                row.worker,
                f"It trains {row.arm} #{row.number}. Stop it first; if it is gone, its claim ends "
                f"{row.lease_until:%Y-%m-%d %H:%M} UTC.",
            )


def _may_be_alive(pid: int) -> bool:
    """Whether another process has this number."""
    if pid == os.getpid():
        return False
    if os.name != "posix":  # there, asking would be killing
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _busy(study: str, store: Store, owner: str, advice: str) -> StoreError:
    machine, _, pid = owner.rpartition(":")
    by = f"process {pid} on {machine}" if machine else "another process"
    return StoreError(f"study {study!r} in {store.shown_url} is being run by {by}. {advice}")
