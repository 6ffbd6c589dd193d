"""``automl-opt db``: which schema a database has, and how it gets ours."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest

from automl_opt.store.schema import HEAD

from .shell import automl_opt

URL = "sqlite:///automl_opt.db"


def test_check_says_that_a_database_of_a_study_is_up_to_date(finished):
    done = automl_opt("db", "check", folder=finished)

    assert (done.code, done.err) == (0, "")
    assert done.out == f"{URL}: schema {HEAD}, up to date\n"


def test_check_creates_nothing(tmp_path):
    done = automl_opt("db", "check", folder=tmp_path)

    assert done.code == 0
    assert done.out == f"{URL}: no such file yet; the first study creates it\n"
    assert list(tmp_path.iterdir()) == []


def test_upgrade_creates_a_database_once(tmp_path):
    first = automl_opt("db", "upgrade", folder=tmp_path)
    second = automl_opt("db", "upgrade", folder=tmp_path)

    assert first.out == f"{URL}: schema none -> {HEAD}\n"
    assert second.out == f"{URL}: schema {HEAD}, already up to date\n"
    assert automl_opt("db", "check", folder=tmp_path).out.endswith("up to date\n")


@pytest.mark.parametrize("command", ["check", "upgrade"])
def test_a_database_of_a_newer_version_is_refused_and_left_alone(command, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "copy")
    with closing(sqlite3.connect(folder / "automl_opt.db")) as database, database:
        database.execute("UPDATE hpo_alembic_version SET version_num = '9999'")

    done = automl_opt("db", command, folder=folder)

    assert done.code == 2
    assert "9999" in done.err
    assert "upgrade automl-opt" in done.err
    with closing(sqlite3.connect(folder / "automl_opt.db")) as database:
        version = database.execute("SELECT version_num FROM hpo_alembic_version").fetchone()
    assert version == ("9999",)


@pytest.mark.parametrize("command", ["check", "upgrade"])
def test_storage_names_the_database(command, tmp_path):
    done = automl_opt("db", command, "--storage", "nosuchsql://host/db", folder=tmp_path)

    assert done.code == 2
    assert done.err.startswith("Error: nosuchsql://host/db: no driver is known")
