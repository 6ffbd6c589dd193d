"""A PostgreSQL server of one's own on loopback: for the tests, and for benchmarks/storage."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

GUARDED = "guarded"
"""The role that needs its password, where every other is let in."""

ACCESS = f"""\
host all {GUARDED} 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""


def program(name: str) -> str | None:
    """Where one of PostgreSQL's programs is: in PATH, or where Debian has it."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(map(str, places)))


class Server:
    """Starts empty, is gone in the end; its superuser is called postgres.

    Args:
        settings: ``name=value`` of ``postgresql.conf``.
    """

    def __init__(self, *settings: str) -> None:
        # not pytest's folder, which only its owner may enter: the server refuses to be root
        self._folder = Path(tempfile.mkdtemp(prefix="automl_opt-postgresql-"))
        self._data = self._folder / "data"
        self._user = _unprivileged_user()
        self._made = 0
        self.port = _free_port()
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        options = [f"port={self.port}", "listen_addresses=127.0.0.1", *settings]
        options.append(f"unix_socket_directories={self._folder}")
        try:
            self._run(
                "initdb", "--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8"
            )
            (self._data / "pg_hba.conf").write_text(ACCESS)
            log = f"--log={self._folder}/log"
            given = " ".join(f"-c {option}" for option in options)
            self._run("pg_ctl", "start", "--wait", log, f"--options={given}")
        except BaseException:
            shutil.rmtree(self._folder)
            raise

    def url(self, database: str = "postgres", role: str = "postgres") -> str:
        return f"postgresql+psycopg://{role}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty database."""
        self._made += 1
        name = f"study{self._made}"
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    @contextmanager
    def database_in(self, folder: Path) -> Iterator[str]:
        """The URL of an empty database whose tables lie in *folder*, gone in the end."""
        self._made += 1
        database, space = f"study{self._made}", f"space{self._made}"
        if self._user is not None:
            shutil.chown(folder, self._user)
        self.sql(f"CREATE TABLESPACE {space} LOCATION '{folder}'")
        self.sql(f"CREATE DATABASE {database} TABLESPACE {space}")
        try:
            yield self.url(database)
        finally:
            self.sql(f"DROP DATABASE {database} WITH (FORCE)")
            self.sql(f"DROP TABLESPACE {space}")

    def sql(self, statement: str, database: str = "postgres") -> None:
        """One statement by the superuser, committed."""
        import psycopg

        url = self.url(database).replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)

    def dump(self, database: str) -> str:
        """All of a database as text."""
        found = program("pg_dump")
        assert found is not None
        command = [found, "--inserts", self.url(database).replace("+psycopg", "")]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def stop(self) -> None:
        try:
            self._run("pg_ctl", "stop", "--mode=immediate", "--wait")
        finally:
            shutil.rmtree(self._folder)

    def _run(self, name: str, *options: str) -> None:
        found = program(name)
        assert found is not None, name
        said = self._folder / "said"  # not a pipe: the server would keep it open
        with said.open("w") as output:
            done = subprocess.run(
                [found, f"--pgdata={self._data}", *options],
                user=self._user,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        if done.returncode != 0:
            log = self._folder / "log"
            why = said.read_text() + (log.read_text() if log.exists() else "")
            raise RuntimeError(f"{found} failed: {why}")


def _unprivileged_user() -> str | None:
    """Whom to be, where we are root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
