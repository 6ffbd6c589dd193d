"""The database of a study: opens it, and is where everything is written and read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from sqlalchemy import Engine, text

from automl_opt.core.errors import StoreError
from automl_opt.store import schema
from automl_opt.store.engine import (
    open_engine,
    shown,
    sqlite_file,
    tune,
    url_to_read,
    writing,
)
from automl_opt.store.reader import Reader
from automl_opt.store.verdicts import Verdicts
from automl_opt.store.writer import Recorder


class Store(Recorder, Reader, Verdicts):
    """One database, open. What it writes is told in :class:`Recorder`, what it reads in
    :class:`Reader`, verdicts in :class:`Verdicts`; what is gathered is seen by readers once it is
    flushed.
    """

    def __init__(self, engine: Engine) -> None:
        Recorder.__init__(self, engine)

    @classmethod
    def open(cls, url: str, *, must_exist: bool = False) -> Store:
        """Open the database at *url*; create it, or bring it to our schema, where needed.

        Args:
            must_exist: an SQLite file that is not there is an error and is not made.

        Raises:
            StoreError: the URL cannot be read, its driver is missing, the database cannot be
                reached or written or is none, or a newer automl-opt has written it.
        """
        engine = open_engine(url)
        if must_exist:
            _require_file(engine)
        with _disposed_if_it_fails(engine):
            schema.ensure(engine)
            _try_to_write(engine)
        return cls(engine)

    @classmethod
    def open_to_read(cls, url: str) -> Store:
        """Open the database at *url* for methods that read; the right to write is not needed.

        Raises:
            StoreError: as :meth:`open`, and where the schema is not ours, or there is none.
        """
        engine = open_engine(url_to_read(url))
        _require_file(engine)
        with _disposed_if_it_fails(engine):
            schema.require(engine)
        return cls(engine)

    @property
    def url(self) -> str:
        """The URL to open this database with: not to be shown, it may hold a password."""
        return self.engine.url.render_as_string(hide_password=False)

    @property
    def shown_url(self) -> str:
        """The URL for messages, its password hidden."""
        return shown(self.engine.url)

    @property
    def folder(self) -> Path:
        """Where files that belong to this database lie: beside an SQLite file, else here."""
        file = sqlite_file(self.engine.url)
        return (file or Path("automl_opt")).with_suffix(".checkpoints").resolve()

    def tune(self, engine: Engine) -> None:
        """Give another library's *engine* on this database the settings of ours."""
        tune(engine)

    def close(self) -> None:
        """Write what is gathered and let go of the database; runs keep their state and lease."""
        try:
            if self._gathered:
                self.flush()
        finally:
            self.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except StoreError:
            if error is None:  # else the error on its way is the one to tell
                raise


def _require_file(engine: Engine) -> None:
    file = sqlite_file(engine.url)
    if file is not None and not file.exists():
        raise StoreError(f"{shown(engine.url)}: there is no such file; run the study first")


@contextmanager
def _disposed_if_it_fails(engine: Engine) -> Iterator[None]:
    try:
        yield
    except BaseException:
        engine.dispose()
        raise


def _try_to_write(engine: Engine) -> None:
    """A write that changes nothing: a read-only database is found now, not after an epoch."""
    with writing(engine) as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = version_num"))
        connection.rollback()
