"""Who has a study or a trial of it, and the folder where the files of a study lie."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from automl_opt.core.errors import StoreError
from automl_opt.store import Store, TrialRow
from automl_opt.store.engine import sqlite_file
from automl_opt.store.lock import Taken, study_lock

try:
    import fcntl
except ImportError:  # Windows: two runs of a study share its trials there
    fcntl = None  # type: ignore[assignment]


MEMORY = "engine.json"
"""The file among a study's checkpoints that keeps what its engine has measured."""

TELLING = timedelta(seconds=60)
"""So long after a trial's end its own process is left to tell Optuna of it."""

CLOCK_ERROR = timedelta(seconds=2)


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


def memory_of(study: str, store: Store, *, own: bool = False) -> Path:
    """The file that keeps what the engine of *study* has measured; *own*: of this process alone."""
    memory = folder_of(study, store) / MEMORY
    return memory.with_stem(f"{memory.stem}-of-{os.getpid()}") if own else memory


def forget_measurements(study: str, store: Store) -> None:
    """Delete what the engines of *study* have measured: there is nothing to go on with."""
    name = Path(MEMORY)
    for file in folder_of(study, store).glob(f"{name.stem}*{name.suffix}"):
        file.unlink(missing_ok=True)


@contextmanager
def claimed(study: str, store: Store) -> Iterator[None]:
    """Inside, no other process claims *study* on the database of *store*.

    A file that the kernel unlocks with the process, or a lock in PostgreSQL, decides. It keeps two
    runs from being started by mistake; processes that are to work together take trials from each
    other by their leases (:func:`is_held`).

    Raises:
        StoreError: another process has claimed it, or the folder cannot be written.
    """
    folder = folder_of(study, store)
    with at_home(study, store):
        try:
            lock = _locked(folder / "lock") if fcntl and _file(store) is not None else None
        except BlockingIOError:
            raise _busy(study, store, _first_word(folder / "lock")) from None
        except OSError as error:
            raise StoreError(f"{folder} cannot be written: {error.strerror}") from error
        try:
            with study_lock(store.engine, study, worker()):
                yield
        except Taken as taken:
            raise _busy(study, store, taken.owner) from None
        finally:
            if lock:
                (folder / "lock").unlink(missing_ok=True)
                lock.close()


@contextmanager
def at_home(study: str, store: Store) -> Iterator[None]:
    """Inside, the folder of *study* is there; it goes with the last who leaves nothing in it."""
    folder = folder_of(study, store)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        for place in (folder, folder.parent):
            with suppress(OSError):  # not empty: there are checkpoints, or others came
                place.rmdir()


def is_held(row: TrialRow) -> bool:
    """Whether a process may be at work on a trial: training it, or telling Optuna how it ended."""
    machine, _, pid = row.worker.rpartition(":")
    if machine == socket.gethostname() and not _is_alive(int(pid), row.started_at):
        return False
    until = row.lease_until
    if row.status.is_final and row.ended_at:
        until = row.ended_at + TELLING
    return until is not None and until > datetime.now(UTC)


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


def _is_alive(pid: int, since: datetime) -> bool:
    """Whether another process of this machine has had this number *since* then."""
    if pid == os.getpid():
        return False
    if os.name != "posix":  # there, asking would be killing
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    began = _began(pid)
    return began is None or began <= since + CLOCK_ERROR


def _began(pid: int) -> datetime | None:
    """When a process was started; ``None`` where there is no Linux to ask."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        ticks = int(stat.rpartition(")")[2].split()[19])
        [booted] = re.findall(r"^btime (\d+)", Path("/proc/stat").read_text(), re.MULTILINE)
    except (OSError, ValueError, IndexError):
        return None
    return datetime.fromtimestamp(int(booted) + ticks / os.sysconf("SC_CLK_TCK"), UTC)


def _busy(study: str, store: Store, owner: str) -> StoreError:
    machine, _, pid = owner.rpartition(":")
    by = f"process {pid} on {machine}" if machine else "another process"
    return StoreError(
        f"study {study!r} in {store.shown_url} is being run by {by}. Stop that one first, or help "
        "it with 'automl-opt worker'."
    )
