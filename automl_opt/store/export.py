"""Writes the public views as files: CSV, or Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Double, Engine, Integer, Text, select, text

from automl_opt.core.errors import StoreError, did_you_mean
from automl_opt.store import models
from automl_opt.store.engine import one_state, shown
from automl_opt.store.view import View
from automl_opt.store.views import VIEWS

_BATCH = 10_000
_SQL_TYPES: Final[dict[str, Any]] = {
    "text": Text(),
    "integer": Integer(),
    "real": Double(),
    "time": models.UTCDateTime(),
}


def export_views(
    engine: Engine,
    folder: Path,
    *,
    names: Sequence[str] = (),
    study: str | None = None,
    format: str = "csv",
) -> dict[Path, int]:
    """Write views to *folder*, each as ``NAME.FORMAT``; all show one state of the database.

    Files of these names are replaced, each once it is whole.

    Args:
        names: the views; all of them without any.
        study: only rows of the study of this name.
        format: ``csv`` or ``parquet``.

    Returns:
        How many rows each file has.

    Raises:
        StoreError: an unknown view or study, or pyarrow is missing.
    """
    wanted = [_view(name) for name in names] or list(VIEWS)
    write = _write_parquet if format == "parquet" else _write_csv
    if format == "parquet":
        _pyarrow()
    written = {}
    with one_state(engine) as connection:
        if study is not None:
            _refuse_unknown(connection, study)
        folder.mkdir(parents=True, exist_ok=True)
        for view in wanted:
            file = folder / f"{view.name}.{format}"
            part = file.with_name(f"{file.name}.part")
            try:
                written[file] = write(part, view, _batches(connection, view, study))
                part.replace(file)
            finally:
                part.unlink(missing_ok=True)
    return written


def _view(name: str) -> View:
    found = {view.name: view for view in VIEWS}
    if name not in found:
        raise StoreError(f"no view named {name!r}; {did_you_mean(name, found, show=len(found))}")
    return found[name]


def _refuse_unknown(connection: Connection, study: str) -> None:
    names = connection.scalars(select(models.study.c.name).distinct()).all()
    if study not in names:
        where = shown(connection.engine.url)
        raise StoreError(f"{where} has no study {study!r}; {did_you_mean(study, names)}")


def _batches(
    connection: Connection, view: View, study: str | None
) -> Iterator[Sequence[Sequence[Any]]]:
    query = f"SELECT {', '.join(column.name for column in view.columns)} FROM {view.name}"
    statement = text(query if study is None else f"{query} WHERE study = :study")
    typed = statement.columns(**{each.name: _SQL_TYPES[each.type] for each in view.columns})
    values = {} if study is None else {"study": study}
    result = connection.execute(typed, values, execution_options={"stream_results": True})
    yield from result.partitions(_BATCH)


def _write_csv(file: Path, view: View, batches: Iterable[Sequence[Sequence[Any]]]) -> int:
    """NULL is an empty field, a time is ISO 8601 with its zone."""
    count = 0
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([column.name for column in view.columns])
        for rows in batches:
            writer.writerows([_field(value) for value in row] for row in rows)
            count += len(rows)
    return count


def _field(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _write_parquet(file: Path, view: View, batches: Iterable[Sequence[Sequence[Any]]]) -> int:
    arrow, parquet = _pyarrow()
    types = {
        "text": arrow.string(),
        "integer": arrow.int64(),
        "real": arrow.float64(),
        "time": arrow.timestamp("us", tz="UTC"),
    }
    described = arrow.schema([(column.name, types[column.type]) for column in view.columns])
    count = 0
    with parquet.ParquetWriter(file, described) as writer:
        for rows in batches:
            columns = [
                arrow.array(values, field.type)
                for values, field in zip(zip(*rows, strict=True), described, strict=True)
            ]
            writer.write_table(arrow.Table.from_arrays(columns, schema=described))
            count += len(rows)
    return count


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise StoreError(
            f"Parquet is written by pyarrow, which cannot be imported ({error}); "
            "pip install 'automl-opt[parquet]', or write CSV"
        ) from error
    return pyarrow, parquet
