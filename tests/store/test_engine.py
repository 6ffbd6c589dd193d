from __future__ import annotations

import os
import sqlite3
import sys

import optuna
import pytest

from automl_opt.core.errors import StoreError
from automl_opt.store import Store, engine, writer

from .examples import report, save, start, trial


@pytest.fixture
def url(tmp_path) -> str:
    """These are SQLite's own; a server's are in tests/postgresql."""
    return f"sqlite:///{tmp_path}/study.db"


def pragma(of, name: str):
    with of.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_sqlite_writes_ahead_syncs_normally_waits_and_checks_keys(store):
    found = {
        name: pragma(store.engine, name)
        for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
    }

    assert found == {
        "journal_mode": "wal",
        "synchronous": 1,
        "busy_timeout": 60_000,
        "foreign_keys": 1,
    }


def test_tune_reaches_connections_that_optuna_had_pooled_before(url):
    storage = optuna.storages.RDBStorage(url)

    engine.tune(storage.engine)
    engine.tune(storage.engine)

    assert pragma(storage.engine, "journal_mode") == "wal"
    assert pragma(storage.engine, "synchronous") == 1
    assert pragma(storage.engine, "busy_timeout") == 60_000
    storage.remove_session()
    storage.engine.dispose()


def test_tune_does_not_empty_a_database_in_memory():
    in_memory = engine.create_engine("sqlite://")
    with in_memory.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE kept (x)")

    engine.tune(in_memory)

    with in_memory.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM kept").scalar() == 0
    in_memory.dispose()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("study.db", "'study.db' is no database URL; write sqlite:///file.db"),
        ("sqlite:///{tmp}/no/study.db", "the folder {tmp}/no does not exist"),
        ("sqlite:///{tmp}", "{tmp} is a folder"),
        ("nonesuch://host/x", "no driver is known for 'nonesuch'"),
        ("postgresql://me:hush@host:many/x", "***@host:many/x' is no database URL"),
        ("me:hush@host/x", "'***@host/x' is no database URL"),
    ],
)
def test_a_url_that_cannot_be_opened_says_why(url, message, tmp_path):
    with pytest.raises(StoreError) as caught:
        Store.open(url.format(tmp=tmp_path))

    assert message.format(tmp=tmp_path) in str(caught.value)
    assert "hush" not in str(caught.value)
    assert str(caught.value).count("\n") < 3
    assert caught.value.__cause__ is not None


def test_a_missing_driver_is_named_and_the_password_is_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg2", None)

    with pytest.raises(StoreError, match="pip install psycopg2") as caught:
        Store.open("postgresql+psycopg2://me:hush@host/x?password=hush")

    assert "hush" not in str(caught.value)


def test_a_file_that_is_no_database_is_named_and_kept(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("These are notes, long enough to have a header. " * 10)

    with pytest.raises(StoreError, match=r"notes\.txt: the file is no SQLite database"):
        Store.open(f"sqlite:///{file}")

    assert file.read_text().startswith("These are notes")


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_database_opened_read_only_is_refused_at_once(tmp_path, journal):
    file = tmp_path / "study.db"
    Store.open(f"sqlite:///{file}").close()
    connection = sqlite3.connect(file)
    connection.execute(f"PRAGMA journal_mode={journal}")
    connection.close()

    with pytest.raises(StoreError, match=r"cannot be written: .* read-only"):
        Store.open(f"sqlite:///file:{file}?mode=ro&uri=true")


def test_a_read_only_file_is_refused_at_once(tmp_path):
    file = tmp_path / "study.db"
    Store.open(f"sqlite:///{file}").close()
    file.chmod(0o444)
    if os.access(file, os.W_OK):
        pytest.skip("this user may write everything")

    with pytest.raises(StoreError, match=r"cannot be written: .* read-only"):
        Store.open(f"sqlite:///{file}")


def test_a_lock_that_another_process_keeps_is_told_and_nothing_is_lost(
    url, open_store, monkeypatch, tmp_path
):
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 50)
    store = open_store()
    save(store)
    start(store, trial())
    store.epoch(report(trial(), 1))
    other = sqlite3.connect(tmp_path / "study.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreError, match="kept it locked"):
        store.flush()

    assert store.curve(100) == []
    other.execute("ROLLBACK")
    other.close()
    store.flush()
    assert len(store.curve(100)) == 3


def test_a_full_disk_is_told_and_half_a_write_is_not_kept(store, rows, monkeypatch):
    monkeypatch.setattr(writer, "FLUSH_ROWS", 10_000)
    start(store, trial())
    for epoch in range(1, 301):
        store.epoch(report(trial(), epoch))
    with store.engine.connect() as connection:  # the pool's only connection, so the writer's too
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    with pytest.raises(StoreError, match="the disk is full"):
        store.checkpoint(trial(), "file:300")

    assert rows("SELECT count(*) FROM hpo_epoch_metric") == [(0,)]
    assert rows("SELECT checkpoint_uri FROM hpo_trial_run") == [(None,)]
    with store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    store.checkpoint(trial(), "file:300")
    assert rows("SELECT count(*) FROM hpo_epoch_metric") == [(900,)]
