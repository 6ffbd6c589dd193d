"""Processes that work on one study, each asking for trials by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from sqlalchemy import text

from automl_opt.core.errors import StoreError, StudyChanged
from automl_opt.core.result import Status
from automl_opt.core.spec import load_study
from automl_opt.plugin.host import ALLOW_LIST
from automl_opt.store import Store
from automl_opt.study import runner
from automl_opt.study.claim import claimed
from automl_opt.study.progress import Progress

from .examples import NAME, contents, rows_of, run, write_study

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a signal that nobody can catch")

APART = "search.strategy=random"
"""With this and no pruner a trial hangs on its number alone, not on when others have ended."""

SETTINGS = ["--set", APART, "--set", "training.checkpoint_every=0"]

PAUSING = """
import os, time

class Pausing(nn.Module):
    def forward(self, x):
        global calls
        calls += 1
        while calls > 20 and os.path.exists("pause"):
            time.sleep(0.01)
        return x

calls = 0

def mlp(width):
    return nn.Sequential(Pausing(), nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 3))
"""
"""In the midst of its first trial a process waits while there is such a file where it works."""

IMPATIENT = """
import sys
from automl_opt.cli.main import main
from automl_opt.study import holdings
holdings.LEASE_S, holdings.LOOK_EVERY_S = 1.5, 0.2
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory, host):
    """A study, and what its database says when one process has run it."""
    folder = tmp_path_factory.mktemp("alone")
    study = write_study(folder / "study", pruner='"none"')
    with (study / "task.py").open("a") as task:
        task.write(PAUSING)
    url = f"sqlite:///{folder}/alone.db"
    run(study, url, APART, host=host)
    return study, contents(url)


@pytest.fixture
def start(alone, tmp_path):
    """``start(command, url)``: a run or a worker in a process of its own."""
    started = []

    def start(command, url):
        study, _ = alone
        process = subprocess.Popen(
            [sys.executable, "-c", IMPATIENT, command, str(study), "--storage", url, *SETTINGS],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, ALLOW_LIST: ""},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_until(true, what, seconds=90.0):
    give_up_at = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < give_up_at, f"{what}: not within {seconds} s"
        time.sleep(0.1)
    return found


def held_by(process, url):
    """The trials that *process* has trained for an epoch at least, and goes on with."""
    with Store.open(url) as store:
        running = [row for row in store.trials(NAME) if row.status is Status.RUNNING and row.epochs]
    return [row for row in running if row.worker.endswith(f":{process.pid}")]


@pytest.fixture
def two(start, tmp_path):
    """``two(url)``: a run and a worker in the midst of a trial each, which goes on at ``go()``."""

    def two(url):
        pause = tmp_path / "pause"
        pause.touch()
        first = start("run", url)
        wait_until(lambda: held_by(first, url), "the run trains")
        worker = start("worker", url)
        wait_until(lambda: held_by(worker, url), "the worker trains")
        return first, worker, pause.unlink

    return two


def test_a_worker_goes_on_where_the_run_was_killed(alone, two, postgresql):
    url = postgresql.new_database()
    first, worker, go = two(url)
    [left] = held_by(first, url)

    first.kill()
    first.communicate()
    go()
    _, said = worker.communicate(timeout=90)

    assert worker.returncode == 0, said
    assert contents(url) == alone[1]
    [again] = [row for row in rows_of(url) if row.attempt > 1]
    assert (again.trial_id, again.attempt) == (left.trial_id, 2)
    assert again.from_epoch == left.epochs > 0


def test_a_worker_thought_dead_leaves_its_trial_and_goes_on_with_others(alone, two, tmp_path):
    url = f"sqlite:///{tmp_path}/s.db"
    first, worker, go = two(url)
    worker.send_signal(signal.SIGSTOP)
    [stopped] = held_by(worker, url)

    go()
    _, said = first.communicate(timeout=90)
    assert first.returncode == 0, said
    assert contents(url) == alone[1]
    worker.send_signal(signal.SIGCONT)
    _, said = worker.communicate(timeout=90)

    assert worker.returncode == 0, said
    assert f"{stopped.arm} #{stopped.number} was taken over by another process" in said
    assert contents(url) == alone[1]
    [again] = [row for row in rows_of(url) if row.attempt > 1]
    assert (again.trial_id, again.attempt) == (stopped.trial_id, 2)
    assert not list(tmp_path.rglob("*.pt"))


LOST_AGAIN = """
INSERT INTO hpo_trial_run (study_id, trial_id, number, attempt, state, seed, recipe_json, epochs,
    from_epoch, worker, device, started_at, env_id)
SELECT study_id, trial_id, number, attempt + 1, 'running', seed, recipe_json, epochs,
    from_epoch, worker, device, started_at, env_id
FROM hpo_trial_run ORDER BY attempt DESC LIMIT 1
"""


@pytest.mark.parametrize(("lost", "ends"), [(9, Status.COMPLETE), (10, Status.FAILED)])
def test_a_trial_over_which_every_process_is_lost_fails_in_the_end(
    alone, host, tmp_path, lost, ends
):
    url = f"sqlite:///{tmp_path}/s.db"
    few = (APART, "search.trials=1")
    run(alone[0], url, *few, host=host, progress=StopAtOnce())
    with Store.open(url) as store, store.engine.begin() as connection:
        for _ in range(lost):
            connection.execute(text(LOST_AGAIN))

    run(alone[0], url, *few, host=host)

    [row] = [row for row in rows_of(url) if row.attempt > 1]
    assert (row.attempt, row.status) == (lost + 2, ends)
    if ends is Status.FAILED:
        assert row.reason.startswith("its process was lost 10 times in a row, the last time ")
    assert all(row.status.is_final for row in rows_of(url))


class StopAtOnce(Progress):
    def epoch(self, report):
        signal.raise_signal(signal.SIGINT)


def test_there_has_to_be_a_study_to_join(alone, host, tmp_path):
    spec = load_study(alone[0])
    with (
        Store.open(f"sqlite:///{tmp_path}/s.db") as store,
        pytest.raises(StoreError, match=r"'clouds' is not in sqlite.*'automl-opt run' begins it"),
    ):
        runner.run(spec, host=host, store=store, join=True)


def test_who_joins_has_the_arms_and_the_budget_of_the_study(alone, host, tmp_path):
    url = f"sqlite:///{tmp_path}/s.db"
    run(alone[0], url, APART, "search.trials=1", host=host)

    with Store.open(url) as store:
        outcome = runner.run(load_study(alone[0], [APART]), host=host, store=store, join=True)
        assert outcome.ranking.finished
        other = load_study(alone[0], [APART, 'space.optimizer=["adamw"]'])
        with pytest.raises(StudyChanged, match=r'has the arms \["adamw"\], but the study'):
            runner.run(other, host=host, store=store, join=True)
    assert len(rows_of(url)) == 2


def test_a_second_run_on_a_server_is_refused_wherever_it_is_started(url_of_server):
    with Store.open(url_of_server) as ours, Store.open(url_of_server) as theirs:
        with (
            claimed("clouds", ours),
            claimed("other", theirs),
            pytest.raises(
                StoreError, match=rf"run by process {os.getpid()} on .*'automl-opt worker'"
            ),
            claimed("clouds", theirs),
        ):
            raise AssertionError
        with claimed("clouds", theirs):
            pass


@pytest.fixture
def url_of_server(postgresql, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where a study in a server's database keeps its checkpoints
    return postgresql.new_database()
