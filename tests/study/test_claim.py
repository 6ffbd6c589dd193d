from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update

from automl_opt.core.errors import StoreError
from automl_opt.core.result import Status
from automl_opt.store import Store
from automl_opt.store.models import trial_run
from automl_opt.study.claim import claimed, folder_of
from automl_opt.study.progress import Progress

from .examples import NAME, rows_of, run, write_study

ALIVE = f"{socket.gethostname()}:{os.getppid()}"
FEW = "search.trials=1"


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


@pytest.fixture
def left(tmp_path, url, host):
    """``left(worker, lease)``: a study whose last trial looks as if *worker* were training it."""
    study = write_study(tmp_path / "study")
    run(study, url, FEW, host=host)

    def leave(worker, lease):
        last = rows_of(url)[-1]
        with Store.open(url) as store, store.engine.begin() as connection:
            changes = {
                "state": Status.RUNNING.value,
                "worker": worker,
                "lease_until": datetime.now(UTC) + lease,
            }
            connection.execute(
                update(trial_run).where(trial_run.c.run_id == last.run_id).values(changes)
            )
            mine = {"id": last.trial_id}
            untold = "UPDATE trials SET state = 'RUNNING', datetime_complete = NULL"
            connection.execute(text(f"{untold} WHERE trial_id = :id"), mine)
            connection.execute(text("DELETE FROM trial_values WHERE trial_id = :id"), mine)
        return study

    return leave


def test_a_study_is_claimed_once_at_a_time(url):
    with Store.open(url) as store:
        with (
            claimed(NAME, store),
            pytest.raises(StoreError, match=rf"run by process {os.getpid()} on .* Stop that one"),
            claimed(NAME, store),
        ):
            raise AssertionError
        with claimed(NAME, store):
            pass


def test_different_studies_of_one_database_may_run_at_once(url):
    with Store.open(url) as store, claimed("one", store), claimed("one.lock", store):
        folders = {folder_of("one", store), folder_of("one.lock", store)}
        assert [folder.is_dir() for folder in folders] == [True, True]


def test_a_claim_leaves_nothing_behind_but_checkpoints(url):
    with Store.open(url) as store:
        with claimed(NAME, store):
            assert folder_of(NAME, store).is_dir()
        assert not store.folder.exists()

        with claimed(NAME, store):
            (folder_of(NAME, store) / "sgd-0-1.pt").touch()
        assert [file.name for file in folder_of(NAME, store).iterdir()] == ["sgd-0-1.pt"]


def test_a_process_that_was_given_the_number_of_a_killed_run_is_in_nobodys_way(left, url, host):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as later:
        study = left(f"{socket.gethostname()}:{later.pid}", timedelta(minutes=9))
        with Store.open(url) as store, store.engine.begin() as connection:
            before = datetime.now(UTC) - timedelta(minutes=1)
            connection.execute(update(trial_run).values(started_at=before))

        assert run(study, url, FEW, host=host).stopped is None
        later.communicate(b"\n")


@pytest.mark.parametrize("worker", ["elsewhere:7", ALIVE])
def test_a_trial_of_a_process_that_may_be_at_work_is_waited_for(left, url, host, worker):
    study = left(worker, timedelta(seconds=1))
    watcher = Watcher()

    assert run(study, url, FEW, host=host, progress=watcher).stopped is None

    [last] = [row for row in rows_of(url) if row.attempt == 2]
    assert set(watcher.waited) == {f"{last.arm} #{last.number}"}
    assert [row.status.is_final for row in rows_of(url)] == [True, True]


class Watcher(Progress):
    def __init__(self):
        self.waited = []

    def waiting(self, trials):
        self.waited += map(str, trials)


def test_databases_in_memory_share_no_folder_with_databases_in_files(url):
    with Store.open(url) as file, Store.open("sqlite://") as memory:
        assert folder_of(NAME, file) == file.folder / NAME
        assert folder_of(NAME, memory) not in (memory.folder / NAME, folder_of(NAME, file))
