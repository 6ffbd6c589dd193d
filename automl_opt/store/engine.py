"""Connections: how a database is opened, tuned and written to, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError

from automl_opt.core.errors import StoreError

BUSY_TIMEOUT_MS = 60_000
CONNECT_TIMEOUT_S = 10
DISK_FULL = "53100"
"""PostgreSQL's SQLSTATE."""

_WRITES = "automl_opt_writes"


def open_engine(url: str) -> Engine:
    """An engine for *url*, tuned; nothing is connected yet.

    On SQLite transactions are begun by us, not by Python's driver, which would leave reads and
    table definitions outside: see :func:`writing`.

    Raises:
        StoreError: *url* cannot be read, or its driver is not installed.
    """
    parsed = _parsed(url)
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    try:
        engine = create_engine(
            parsed,
            pool_pre_ping=parsed.get_backend_name() != "sqlite",
            connect_args=_patience(parsed),
        )
    except NoSuchModuleError as error:
        raise StoreError(
            f"{shown(parsed)}: no driver is known for {parsed.drivername!r}; "
            "write sqlite:///file.db or postgresql+psycopg://user@host/database"
        ) from error
    except ImportError as error:
        missing = f"{error.name!r} is not installed" if error.name else str(error)
        raise StoreError(
            f"{shown(parsed)}: the database driver cannot be imported: {missing}; "
            f"pip install {error.name or parsed.get_driver_name()}"
        ) from error
    except (ArgumentError, TypeError, ValueError) as error:
        raise StoreError(f"{shown(parsed)}: {_first_line(error)}") from error
    tune(engine)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _leave_transactions_to_us)
        event.listen(engine, "begin", _begin)
    elif engine.dialect.driver == "psycopg":
        event.listen(engine, "do_connect", _connected)
    return engine


def url_to_read(url: str) -> str:
    """*url*, for one who will only read.

    SQLite puts a file beside a database in WAL mode, for readers too. Where it may not, and nobody
    has left one, nobody is writing: SQLite is then told that the file will not change.
    """
    parsed = _parsed(url)
    file = sqlite_file(parsed)
    if file is None or parsed.query or not file.exists() or os.access(file.parent, os.W_OK):
        return url
    if Path(f"{file}-wal").exists():
        return url
    database = f"file:{quote(str(file.absolute()))}"
    return parsed.set(database=database, query={"immutable": "1", "uri": "true"}).render_as_string(
        hide_password=False
    )


def tune(engine: Engine) -> None:
    """Set our SQLite pragmas on every connection of *engine*; other databases are left alone.

    Also for engines of others, such as that of Optuna's storage. Connections that are already
    pooled are dropped, so none is left without the pragmas; an in-memory database keeps its one.
    """
    if engine.dialect.name != "sqlite" or event.contains(engine, "connect", _set_pragmas):
        return
    event.listen(engine, "connect", _set_pragmas)
    if sqlite_file(engine.url) is not None:
        engine.dispose()


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that writes: all of it is kept, or nothing.

    On SQLite it holds the write lock from its start, so what it reads stays true until it
    commits, and two writers wait for each other where they would otherwise fail.

    Raises:
        StoreError: the database said no; the message says why, nothing was written.
    """
    with explained(engine.url), engine.connect() as connection:
        connection.execution_options(**{_WRITES: True})
        with connection.begin():
            yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One consistent view of the database.

    Raises:
        StoreError: the database said no; the message says why.
    """
    with explained(engine.url), engine.connect() as connection:
        yield connection


@contextmanager
def one_state(engine: Engine) -> Iterator[Connection]:
    """A transaction in which every query sees the database as the first one saw it.

    Raises:
        StoreError: the database said no; the message says why.
    """
    options = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with explained(engine.url), engine.connect() as connection:
        yield connection.execution_options(**options)


@contextmanager
def explained(url: URL) -> Iterator[None]:
    """Turn the database's errors into a :class:`StoreError` of a line or two."""
    try:
        yield
    except DBAPIError as error:
        raise StoreError(f"{shown(url)}: {_reason(url, error)}") from error


def shown(url: URL) -> str:
    """*url* for human eyes: no passwords."""
    hidden = {key: "hidden" if "pass" in key.lower() else url.query[key] for key in url.query}
    return url.set(query=hidden).render_as_string(hide_password=True)


def sqlite_file(url: URL) -> Path | None:
    """The file behind an SQLite *url*; ``None`` in memory, and for other databases."""
    name = url.database
    if url.get_backend_name() != "sqlite" or not name or ":memory:" in name:
        return None
    if url.query.get("mode") == "memory":
        return None
    return Path(unquote(name[5:]) if name.startswith("file:") else name)


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        raise StoreError(
            f"{_without_secrets(url)!r} is no database URL; "
            "write sqlite:///file.db or postgresql+psycopg://user@host/database"
        ) from error


def _patience(url: URL) -> dict[str, Any]:
    """A server that does not answer is given up, where libpq alone would wait for minutes."""
    given = "connect_timeout" in url.query or "PGCONNECT_TIMEOUT" in os.environ
    return {"connect_timeout": CONNECT_TIMEOUT_S} if _is_postgresql(url) and not given else {}


def _is_postgresql(url: URL) -> bool:
    return url.get_backend_name() == "postgresql"


def _connected(
    dialect: Dialect, _record: Any, arguments: list[Any], options: dict[str, Any]
) -> Any:
    """A connection whose text is text: of another encoding psycopg gives bytes, or loses letters.

    Before SQLAlchemy asks it anything.
    """
    connection: Any = dialect.connect(*arguments, **options)
    encoding = connection.info.parameter_status("server_encoding")
    if encoding in ("UTF8", None):  # a pooler in between may keep it to itself
        return connection
    name = connection.info.dbname
    connection.close()
    raise StoreError(
        f"PostgreSQL's database {name!r} has the encoding {encoding}; allowed: UTF8. Make another: "
        f"createdb --encoding=UTF8 --template=template0 NAME"
    )


def _set_pragmas(connection: Any, _record: Any) -> None:
    try:
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        _use_wal(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")
    except BaseException:
        connection.close()
        raise


def _use_wal(connection: Any) -> None:
    """The switch to WAL does not wait for locks as everything else does, so it waits here."""
    give_up_at = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return  # in memory and on some network folders it stays what it was
        except sqlite3.OperationalError as error:
            if "readonly" in str(error):
                return  # who will write is told so when writing
            if "locked" not in str(error) or time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _reason(url: URL, error: DBAPIError) -> str:
    said = _first_line(error.orig or error)
    file = sqlite_file(url)
    if isinstance(error, IntegrityError):
        return f"refused what was written, nothing was kept: {said}"
    if _is_postgresql(url):
        if getattr(error.orig, "sqlstate", None) == DISK_FULL:
            return f"the server's disk is full; nothing of this write was kept: {said}"
        return _postgresql_reason(said, (error.statement or "").lstrip().upper())
    if "unable to open database file" in said:
        return f"cannot be opened: {_why_unopenable(file)}"
    if "not a database" in said:
        return "the file is no SQLite database; name another --storage"
    if "readonly database" in said:
        return "cannot be written: the file or its folder is read-only for this user"
    if "is locked" in said:
        return (
            f"another process has kept it locked for more than {BUSY_TIMEOUT_MS // 1000} s; "
            "nothing was written"
        )
    if "disk is full" in said:
        return "the disk is full; nothing of this write was kept"
    return said


def _postgresql_reason(said: str, statement: str) -> str:
    if "could not write init file" in said:
        return f"the server cannot write, its disk may be full: {said}"
    if "no password supplied" in said:
        return "the role needs a password: set PGPASSWORD, or keep it in ~/.pgpass"
    if "permission denied" in said and statement.startswith("SELECT"):
        return f"this role may not read what is asked: {said}"
    if "permission denied" in said or "read-only transaction" in said:
        return f"this role may not write what a study needs: {said}"
    return said


def _why_unopenable(file: Path | None) -> str:
    if file is None:
        return "SQLite gives no reason"
    if file.is_dir():
        return f"{file} is a folder"
    if not file.parent.is_dir():
        return f"the folder {file.parent} does not exist"
    return f"no right to read and write {file} and its folder, or it does not exist"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _without_secrets(text: str) -> str:
    """What could not be read as a URL may hold a password all the same: before the last @."""
    before, at, after = text.rpartition("@")
    scheme, slashes, _ = before.partition("://")
    return f"{scheme + slashes if slashes else ''}***@{after}" if at else text
