"""Who may only read is told of a study all the same, and nothing is written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from contextlib import closing

import pytest

from .shell import automl_opt, command

ASK = """
from automl_opt.cli.main import main

for words in ("status .", "report . --json", "report . -o {folder}/page.md", "db check"):
    try:
        main(words.split())
    except SystemExit as left:
        assert not left.code, (words, left.code)
"""


def as_owner_without_privileges() -> list[str]:
    """Root may write what is read-only, unless it gives that up."""
    return [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override"]


@pytest.fixture
def read_only(finished, tmp_path):
    """The folder of a finished study, where nothing may be written."""
    folder = shutil.copytree(finished, tmp_path / "read only #1")
    shutil.rmtree(folder / "automl_opt.checkpoints", ignore_errors=True)
    (folder / "automl_opt.db").chmod(0o444)
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


def test_a_study_in_a_folder_that_is_read_only_is_reported(read_only, tmp_path):
    before = sorted(read_only.iterdir())
    asked = [*as_owner_without_privileges(), sys.executable, "-c", ASK.format(folder=tmp_path)]

    done = command(asked, read_only)
    refused = command(
        [*as_owner_without_privileges(), sys.executable, "-m", "automl_opt", "db", "prune"],
        read_only,
    )

    assert done.code == 0, done.err
    assert "4 of 4 trials ended, finished" in done.out
    assert "schema" in done.out
    assert "adamw" in (tmp_path / "page.md").read_text("utf-8")
    assert refused.code == 2
    assert "cannot be written: the file or its folder is read-only" in refused.err
    assert sorted(read_only.iterdir()) == before


def test_an_older_database_is_not_upgraded_to_be_read(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "copy")
    with closing(sqlite3.connect(folder / "automl_opt.db")) as database, database:
        database.execute("UPDATE hpo_alembic_version SET version_num = '0001'")

    done = automl_opt("status", ".", folder=folder)

    assert done.code == 2
    assert "has schema 0001, and reading needs" in done.err
    assert "'automl-opt db upgrade' brings it there" in done.err
