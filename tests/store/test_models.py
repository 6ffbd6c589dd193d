from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Column, MetaData, Table, create_engine, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import StatementError
from sqlalchemy.schema import CreateTable

from automl_opt.store import models
from automl_opt.store.models import UTCDateTime

table = Table("clock", MetaData(), Column("at", UTCDateTime))


@pytest.fixture
def connection():
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        table.create(connection)
        yield connection
    engine.dispose()


def test_a_time_comes_back_as_the_same_moment_in_utc(connection):
    here = datetime(2026, 3, 1, 1, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))

    connection.execute(insert(table).values(at=here))
    found = connection.scalar(select(table.c.at))

    assert found == here
    assert found.tzinfo is UTC


def test_a_time_without_a_zone_is_refused(connection):
    with pytest.raises(StatementError, match="without a zone"):
        connection.execute(insert(table).values(at=datetime(2026, 3, 1)))


def test_a_missing_time_stays_missing(connection):
    connection.execute(insert(table).values(at=None))

    assert connection.scalar(select(table.c.at)) is None


@pytest.mark.parametrize("name", models.metadata.tables)
def test_postgresql_has_a_type_for_every_column(name):
    text = str(CreateTable(models.metadata.tables[name]).compile(dialect=postgresql.dialect()))

    assert "DATETIME" not in text
    assert "rowid" not in text.lower()


def test_no_foreign_key_leaves_our_tables():
    targets = {
        key.column.table.name
        for each in models.metadata.tables.values()
        for key in each.foreign_keys
    }

    assert targets
    assert all(name.startswith("hpo_") for name in targets)
