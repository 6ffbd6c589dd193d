"""Who may not come in is told why, in a line and soon; and nobody is told a password."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from automl_opt.cli.main import cli
from automl_opt.core.errors import StoreError
from automl_opt.plugin.host import ALLOW_LIST
from automl_opt.store import Store, engine, schema

SECRET = "hush-Hush%2F7"  # as a URL has it
PLAIN = "hush-Hush/7"

STUDY = """
name = "points"
task = "task.py:points"

[space]
optimizer = ["sgd"]
batch_size = [16]

[search]
trials = 2

[training]
epochs = 2
device = "cpu"
"""

TASK = """
import torch

from automl_opt import Task


def points():
    x = torch.linspace(-1, 1, 60)[:, None]
    return Task(model=lambda: torch.nn.Linear(1, 2), data=(x, (x[:, 0] > 0).long()))
"""


@pytest.fixture
def guarded(postgresql):
    """The URL, without its password, of a database whose owner needs one."""
    if not getattr(postgresql, "has_guarded", False):
        postgresql.sql(f"CREATE ROLE guarded LOGIN PASSWORD '{PLAIN}'")
        postgresql.sql("CREATE ROLE reader LOGIN")
        postgresql.has_guarded = True
    url = postgresql.new_database()
    name = url.rpartition("/")[2]
    postgresql.sql(f"ALTER DATABASE {name} OWNER TO guarded")
    return postgresql.url(name, "guarded")


@pytest.fixture
def study(tmp_path) -> Path:
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "task.py").write_text(TASK)
    return tmp_path


def with_password(url: str, password: str) -> str:
    return url.replace("guarded@", f"guarded:{password}@")


def give(study: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "automl_opt", *words],
        cwd=study,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, ALLOW_LIST: "", **environment},
    )


@pytest.fixture
def silent_port():
    """A port of 127.0.0.1 where connections are taken and never answered."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_what_is_wrong_is_one_line_and_not_the_password(guarded, postgresql):
    closed = with_password(guarded, SECRET).replace(f":{postgresql.port}/", ":1/")
    missing = with_password(guarded.rpartition("/")[0] + "/nonesuch", SECRET)
    for url, message in [
        (with_password(guarded, SECRET + "x"), 'password authentication failed for user "guarded"'),
        (guarded, "the role needs a password: set PGPASSWORD, or keep it in ~/.pgpass"),
        (closed, "Connection refused"),
        (missing, 'database "nonesuch" does not exist'),
        (with_password(guarded, SECRET) + "?sslmode=require", "does not support SSL"),
        (with_password(guarded, SECRET) + "?no_such=1", "no_such"),
    ]:
        with pytest.raises(StoreError) as caught:
            Store.open(url)

        said = str(caught.value)
        assert message in said
        assert "\n" not in said
        assert not any(secret in said for secret in (PLAIN, SECRET))


def test_a_server_that_does_not_answer_is_given_up(silent_port, monkeypatch):
    monkeypatch.setattr(engine, "CONNECT_TIMEOUT_S", 2)  # libpq's least
    began = time.monotonic()

    with pytest.raises(StoreError, match="timeout"):
        Store.open(f"postgresql://me@127.0.0.1:{silent_port}/study")

    assert time.monotonic() - began < 30


def test_the_urls_own_patience_counts(silent_port):
    assert engine._patience(engine.make_url("postgresql://h/d?connect_timeout=3")) == {}
    assert engine._patience(engine.make_url("postgresql://h/d")) == {"connect_timeout": 10}
    assert engine._patience(engine.make_url("sqlite:///x.db")) == {}


def test_a_role_that_may_only_read_is_refused_before_anything_is_trained(guarded, postgresql):
    name = guarded.rpartition("/")[2]
    Store.open(postgresql.url(name)).close()
    postgresql.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", name)

    for url in (
        postgresql.url(name, "reader"),
        postgresql.url(name) + "?options=-cdefault_transaction_read_only%3Don",
    ):
        with pytest.raises(StoreError, match="this role may not write what a study needs"):
            Store.open(url)


def test_a_role_that_may_only_read_is_told_of_a_study(guarded, postgresql, study, monkeypatch):
    monkeypatch.chdir(study)
    monkeypatch.setenv(ALLOW_LIST, "")
    name = guarded.rpartition("/")[2]
    words = ["run", str(study), "--storage", postgresql.url(name)]
    assert cli.main(words, standalone_mode=False) == 0
    reader = ["--storage", postgresql.url(name, "reader")]

    with pytest.raises(StoreError, match="this role may not read what is asked"):
        cli.main(["status", str(study), *reader], standalone_mode=False)
    postgresql.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", name)
    for words in (["status"], ["report"], ["report", "-o", "page.md"]):
        cli.main([*words, str(study), *reader], standalone_mode=False)

    assert "sgd" in (study / "page.md").read_text("utf-8")


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_of_another_encoding_is_refused_with_its_name(postgresql, encoding):
    name = f"in_{encoding.lower()}"
    postgresql.sql(
        f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' "
        "TEMPLATE template0"
    )

    for use in (Store.open, Store.open_to_read, schema.check):
        with pytest.raises(StoreError) as caught:
            use(postgresql.url(name))
        assert f"{name!r} has the encoding {encoding}; allowed: UTF8" in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_url_as_libpq_has_it_is_understood(guarded, scheme):
    url = with_password(guarded, SECRET).replace("postgresql+psycopg", scheme)

    with Store.open(url) as store:
        assert store.engine.url.drivername == "postgresql+psycopg"


def test_a_newer_schema_is_refused(guarded, postgresql):
    Store.open(with_password(guarded, SECRET)).close()
    name = guarded.rpartition("/")[2]
    postgresql.sql("UPDATE hpo_alembic_version SET version_num = '0999'", name)

    with pytest.raises(StoreError, match="schema version 0999") as caught:
        Store.open(with_password(guarded, SECRET))

    assert SECRET not in str(caught.value)


def test_a_password_is_nowhere_to_be_read(guarded, postgresql, study):
    """Good runs and bad ones, talkative and not: what they print, write and leave behind."""
    url = with_password(guarded, SECRET)
    wrong = with_password(guarded, "wrong-" + SECRET)
    began = [
        give(study, "run", str(study), AUTOML_OPT_STORAGE=url),
        give(study, "report", str(study), "--json", "--storage", guarded, PGPASSWORD=PLAIN),
        give(study, "report", str(study), "-o", "page.html", "--storage", url),
        give(study, "db", "check", "--storage", url),
        give(study, "--debug", "run", str(study), "--set", "training.epochs=3", "--storage", url),
        give(study, "--debug", "db", "check", "--storage", wrong),
        give(study, "run", str(study), "--storage", wrong),
    ]

    assert [done.returncode for done in began] == [0, 0, 0, 0, 1, 1, 2]
    assert "Traceback" in began[4].stderr
    assert "Traceback" in began[5].stderr
    assert "Traceback" not in began[6].stderr
    assert len(began[6].stderr.splitlines()) == 1
    dumped = postgresql.dump(guarded.rpartition("/")[2])
    assert "hpo_trial_run" in dumped
    files = [
        file.read_bytes().decode(errors="replace") for file in study.rglob("*") if file.is_file()
    ]
    for text in [*(done.stdout + done.stderr for done in began), dumped, *files]:
        assert not any(secret in text for secret in (PLAIN, SECRET))
