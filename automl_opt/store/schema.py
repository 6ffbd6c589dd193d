"""Which version of the ``hpo_*`` tables a database holds, and how it gets ours.

A new version is ``alembic.command.revision(configuration(), message=…, rev_id=…)``, its number
here, and a database frozen at the old one among the tests. A released migration is never edited.
Views are made anew after every upgrade, by ``views.py``: a migration makes none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text

from automl_opt.core.errors import StoreError
from automl_opt.store import views
from automl_opt.store.engine import open_engine, reading, shown, sqlite_file, url_to_read, writing

VERSIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
HEAD = VERSIONS[-1]
VERSION_TABLE = "hpo_alembic_version"

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x6870_6F5F  # "hpo_": the PostgreSQL advisory lock that migrations hold


def ensure(engine: Engine) -> None:
    """Bring the database to :data:`HEAD`; where it is there already, nothing is imported.

    Raises:
        StoreError: the schema is of a version that only a newer automl-opt knows.
    """
    with reading(engine) as connection:
        found = version(connection)
    _refuse_unknown(engine, found)
    if found != HEAD:
        _upgrade(engine)


def require(engine: Engine) -> None:
    """Change nothing.

    Raises:
        StoreError: the schema is not :data:`HEAD`.
    """
    with reading(engine) as connection:
        found = version(connection)
    _refuse_unknown(engine, found)
    if found is None:
        raise StoreError(
            f"{shown(engine.url)} has no tables of automl-opt; run the study first, "
            "or name another --storage"
        )
    if found != HEAD:
        raise StoreError(
            f"{shown(engine.url)} has schema {found}, and reading needs {HEAD}: "
            "'automl-opt db upgrade' brings it there, by a user who may write"
        )


def upgrade(url: str) -> str:
    """Bring the database at *url* to :data:`HEAD`, and say what was done."""
    engine = open_engine(url)
    try:
        with reading(engine) as connection:
            before = version(connection)
        ensure(engine)
    finally:
        engine.dispose()
    if before == HEAD:
        return f"{shown(engine.url)}: schema {HEAD}, already up to date"
    return f"{shown(engine.url)}: schema {before or 'none'} -> {HEAD}"


def check(url: str) -> str:
    """What the database at *url* holds; no table is made or changed.

    Raises:
        StoreError: it cannot be opened, or its schema is of a version not known here.
    """
    engine = open_engine(url_to_read(url))
    name = shown(engine.url)
    file = sqlite_file(engine.url)
    if file is not None and not file.exists():
        return f"{name}: no such file yet; the first study creates it"
    try:
        with reading(engine) as connection:
            found = version(connection)
        _refuse_unknown(engine, found)
    finally:
        engine.dispose()
    if found is None:
        return f"{name}: no tables of automl-opt yet; the first study creates them"
    if found == HEAD:
        return f"{name}: schema {found}, up to date"
    return f"{name}: schema {found}, and {HEAD} is current; run 'automl-opt db upgrade'"


def version(connection: Connection) -> str | None:
    """The schema's version; ``None`` where there is none of our tables."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))


def configuration(**attributes: Any) -> Any:
    """Alembic's configuration; *attributes* reach ``migrations/env.py``."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes.update(attributes)
    return config


def is_ours(thing: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
    """Alembic's ``include_object``: everything but our tables and what is in them is Optuna's."""
    table = name if kind == "table" else thing.table.name
    return str(table).startswith("hpo_")


def _refuse_unknown(engine: Engine, found: str | None) -> None:
    if found is not None and found not in VERSIONS:
        raise StoreError(
            f"database {shown(engine.url)} has schema version {found}, which this automl-opt "
            f"(knows up to {HEAD}) does not know: it was written by a newer one; "
            "upgrade automl-opt or name another --storage"
        )


def _upgrade(engine: Engine) -> None:
    """All steps in one transaction; of two processes the second waits and finds it done."""
    from alembic import command

    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        found = version(connection)
        _refuse_unknown(engine, found)
        if found != HEAD:
            views.drop(connection)
            command.upgrade(configuration(connection=connection), HEAD)
            views.create(connection)
