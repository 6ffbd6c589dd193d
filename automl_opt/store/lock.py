"""A lock on a study that the database keeps, and lets go with the process that holds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text

from automl_opt.store.engine import explained

_CLASS = 0x6870_6F5F  # "hpo_": the first half of the keys of our advisory locks

_NOTICE_A_LOST_PEER = """
SELECT set_config('tcp_keepalives_idle', '30', false),
    set_config('tcp_keepalives_interval', '10', false),
    set_config('tcp_keepalives_count', '3', false),
    set_config('application_name', :owner, false)
"""
_OWNER = """
SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.classid = :class AND l.objid::bigint = :key AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class Taken(Exception):
    """Another process has the lock; *owner* is what it calls itself, or nothing."""

    def __init__(self, owner: str) -> None:
        super().__init__(owner)
        self.owner = owner


@contextmanager
def study_lock(engine: Engine, study: str, owner: str) -> Iterator[None]:
    """Inside, *study* is locked by this process, in PostgreSQL; elsewhere nothing is.

    A connection is kept open for it. Where its network goes, the server finds out in a minute.

    Raises:
        Taken: another process has it.
        StoreError: the database said no.
    """
    if engine.dialect.name != "postgresql":
        yield
        return
    with explained(engine.url):
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        with explained(engine.url):
            connection.detach()  # so that closing it closes it, and with that the lock
            connection.execute(text(_NOTICE_A_LOST_PEER), {"owner": owner})
            key = connection.scalar(text("SELECT hashtext(:study)::oid::bigint"), {"study": study})
            asked = text("SELECT pg_try_advisory_lock(:class, hashtext(:study))")
            if not connection.scalar(asked, {"class": _CLASS, "study": study}):
                found = connection.scalar(text(_OWNER), {"class": _CLASS, "key": key})
                raise Taken(found or "")
        yield
    finally:
        connection.close()
