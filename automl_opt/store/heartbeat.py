"""Leases that last as long as the process that holds them, however long an epoch takes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from sqlalchemy import Engine, bindparam, update

from automl_opt.core.errors import StoreError
from automl_opt.core.result import Status
from automl_opt.store.engine import sqlite_file, writing
from automl_opt.store.models import trial_run
from automl_opt.store.statements import Run


@contextmanager
def beating(engine: Engine, held: Callable[[], Sequence[Run]], every_s: float) -> Iterator[None]:
    """Inside, a thread of its own renews the leases of the *held* runs every *every_s* seconds.

    Not for a database in memory: it has one connection, and nobody else sees it.
    """
    if engine.dialect.name == "sqlite" and sqlite_file(engine.url) is None:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(
        target=_beat, args=(engine, held, every_s, over), name="automl-opt-heartbeat", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _beat(
    engine: Engine, held: Callable[[], Sequence[Run]], every_s: float, over: threading.Event
) -> None:
    while not over.wait(every_s):
        with suppress(StoreError):  # the thread that trains finds out by itself, and tells
            renew(engine, held())


def renew(engine: Engine, runs: Sequence[Run]) -> None:
    """Renew the leases of those of the runs that are still ours."""
    if not runs:
        return
    now = datetime.now(UTC)
    with writing(engine) as connection:
        connection.execute(
            update(trial_run)
            .where(
                trial_run.c.run_id == bindparam("held"),
                trial_run.c.state == Status.RUNNING.value,
            )
            .values(lease_until=bindparam("until")),
            [
                {"held": run.run_id, "until": run.lease_from(now)}
                for run in sorted(runs, key=lambda run: run.run_id)
            ],
        )
