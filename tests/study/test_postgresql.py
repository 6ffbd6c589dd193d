"""On PostgreSQL a study ends as it does in a file of SQLite, whatever kills it on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from .examples import MEDIAN, NAME, contents, rows_of, run, start, write_study
from .killed_process import PLACES


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path / "study", pruner=MEDIAN)


@pytest.fixture
def in_sqlite(study, tmp_path, host):
    url = f"sqlite:///{tmp_path}/undisturbed.db"
    run(study, url, host=host)
    return contents(url)


@pytest.fixture
def url(postgresql, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where a study in a server's database keeps its checkpoints
    return postgresql.new_database()


def test_a_study_is_the_same_on_both_and_plain_optuna_reads_it(study, in_sqlite, url, host):
    run(study, url, host=host)

    assert contents(url) == in_sqlite
    plain = optuna.load_study(study_name=f"{NAME}/sgd", storage=url)
    try:
        theirs = [trial.params for trial in plain.trials]
    finally:
        plain._storage._backend.engine.dispose()
    expected = [trial["params"] for (arm, _), trial in in_sqlite["optuna"].items() if arm == "sgd"]
    assert theirs == expected


@pytest.mark.skipif(os.name != "posix", reason="needs a signal that nobody can catch")
def test_a_study_killed_everywhere_ends_as_the_undisturbed_one(study, in_sqlite, url, host):
    harness = Path(__file__).with_name("killed_process.py")
    bombs = [word for place in PLACES for word in (place, "1")]

    subprocess.run([sys.executable, str(harness), str(study), url, *bombs], check=True)
    process = start(study, url)
    time.sleep(0.05)
    process.kill()
    process.communicate()
    again = [row for row in rows_of(url) if row.attempt > 1]
    run(study, url, "training.checkpoint_every=0", host=host)

    assert process.returncode == -signal.SIGKILL
    assert any(row.from_epoch > 0 for row in again)
    assert contents(url) == in_sqlite
    assert all(row.status.is_final for row in rows_of(url))
    assert not list(Path().rglob("*.pt"))
