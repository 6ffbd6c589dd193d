from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from automl_opt.store import Store, writer

from .examples import save


@pytest.fixture(autouse=True)
def _no_writing_by_the_clock(monkeypatch):
    """Slow machines write when fast ones do; the test of the clock sets it itself."""
    monkeypatch.setattr(writer, "FLUSH_EVERY_S", 1e9)


@pytest.fixture
def url(database) -> str:
    return database


@pytest.fixture
def open_store(url: str) -> Iterator[Callable[[], Store]]:
    """Opens the same database again and again: each store stands for a process."""
    stores: list[Store] = []

    def open_one() -> Store:
        stores.append(Store.open(url))
        return stores[-1]

    yield open_one
    for store in stores:
        store.engine.dispose()


@pytest.fixture
def store(open_store) -> Store:
    """A new database with one arm in it, number 1."""
    store = open_store()
    save(store)
    return store


@pytest.fixture
def rows(store: Store) -> Callable[[str], list[tuple]]:
    """The rows that a plain SQL query finds."""

    def ask(query: str) -> list[tuple]:
        with store.engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    return ask
