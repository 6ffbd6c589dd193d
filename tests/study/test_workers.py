"""A study whose trials are trained by worker processes: the same trials, whoever is killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from automl_opt.api import Int
from automl_opt.core.errors import PluginError, SpecError, TaskError
from automl_opt.core.result import Status
from automl_opt.core.spec import load_study
from automl_opt.store import Store
from automl_opt.study import runner
from automl_opt.training.pool import MOST_DEATHS, WorkersDie
from automl_opt.training.task import load_task

from .examples import MEDIAN, contents, differences, rows_of, run, start, write_study

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux' /proc")

APART = "search.strategy=random"
"""With this and no pruner a trial hangs on its number alone, not on when others have ended."""


def children(pid):
    try:
        listed = list(Path(f"/proc/{pid}/task").glob("*/children"))
        return {int(child) for file in listed for child in file.read_text().split()}
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return set()


def workers_of(pid):
    """The processes that the fork server of an ``automl-opt run`` has started to train."""
    return {worker for child in children(pid) for worker in children(child) if is_alive(worker)}


def stat(pid):
    """What ``/proc/PID/stat`` says from the third field, the state, on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def is_alive(pid):
    try:
        return stat(pid)[0] != "Z"
    except FileNotFoundError:
        return False


def started(pid):
    """When the process began, in ticks since the machine did: numbers are used again."""
    return int(stat(pid)[19])


def wait_until(true, what, seconds=60.0):
    give_up_at = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up_at, f"{what}: not within {seconds} s"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, host):
    """A study, and what its database says when one process has run it."""
    folder = tmp_path_factory.mktemp("alone")
    study = write_study(folder / "study", points=3000, pruner='"none"')
    url = f"sqlite:///{folder}/alone.db"
    run(study, url, APART, host=host)
    return study, contents(url)


def test_the_trials_are_those_of_one_process(alone, host, tmp_path):
    study, expected = alone
    url = f"sqlite:///{tmp_path}/two.db"

    outcome = run(study, url, APART, "training.workers=2", host=host)

    assert outcome.ranking.finished
    assert contents(url) == expected
    assert not workers_of(os.getpid())
    assert not Path(f"{tmp_path}/two.checkpoints").exists()


def test_a_pruned_trial_has_the_beginning_of_its_curve(host, tmp_path):
    """In float64, to twelve digits: which trials make a stack is a matter of measured time."""
    study = write_study(tmp_path / "study", points=3000, pruner=MEDIAN)
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("whole", "pruned")]
    settings = [APART, "training.precision=float64"]

    run(study, urls[0], *settings, 'search.pruner="none"', host=host)
    run(study, urls[1], *settings, "training.workers=2", "training.together=5", host=host)

    whole, found = (contents(url)["ours"] for url in urls)
    assert found.keys() == whole.keys()
    assert {row["status"] for row in found.values()} == {Status.COMPLETE, Status.PRUNED}
    for key, row in found.items():
        curve = [point for point in whole[key]["curve"] if point[0] <= row["epochs"]]
        valid, expected = (
            {point[:3]: point[3] for point in points if point[1] != "test"}
            for points in (row["curve"], curve)
        )
        assert valid == pytest.approx(expected, rel=1e-12, abs=1e-12)


class Killing(runner.Progress):
    """Kills the oldest workers when so many epochs were reported."""

    def __init__(self, at, victims):
        self.at, self.victims = at, victims
        self.seen, self.killed, self.said = 0, 0, []

    def epoch(self, report):
        self.seen += 1
        if self.seen in self.at:
            for pid in sorted(workers_of(os.getpid()), key=started)[: self.victims]:
                os.kill(pid, signal.SIGKILL)
                self.killed += 1

    def noted(self, text):
        self.said.append(text)


@pytest.mark.parametrize(
    ("every", "place", "at", "victims"),
    [(0, "file://{}/kept", (7,), 2), (30, "{}/kept", (3, 4, 20, 31, 50), 1)],
)
def test_a_killed_worker_costs_its_trial_an_attempt_and_no_more(
    alone, host, tmp_path, every, place, at, victims
):
    study, expected = alone
    url = f"sqlite:///{tmp_path}/s.db"
    progress = Killing(at, victims)

    settings = [APART, "training.workers=2", f"training.checkpoint_every={every}"]
    settings.append(f"training.checkpoints={place.format(tmp_path)}")
    run(study, url, *settings, host=host, progress=progress)

    assert differences(contents(url), expected) == {}
    assert contents(url) == expected
    assert not [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    attempts = {f"{row.arm} #{row.number}": row.attempt for row in rows_of(url)}
    again = {name for name, attempt in attempts.items() if attempt > 1}
    assert progress.killed == len(at) * victims
    assert 1 <= len(again) <= progress.killed
    assert {text.partition(":")[0] for text in progress.said} == again
    assert all("its worker died after epoch" in text for text in progress.said)


def test_workers_end_with_the_study_that_is_killed_and_the_next_run_goes_on(alone, host, tmp_path):
    study, expected = alone
    url = f"sqlite:///{tmp_path}/killed.db"
    process = start(study, url, APART, "training.workers=2", "training.checkpoint_every=0")
    wait_until(lambda: any(row.status.is_final for row in rows_of(url)), "a trial ends")
    workers = workers_of(process.pid)

    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    wait_until(lambda: not any(map(is_alive, workers)), "the workers end, too", 20.0)
    assert len(workers) == 2

    run(study, url, APART, "training.workers=2", host=host)
    assert contents(url) == expected
    assert all(row.status.is_final for row in rows_of(url))
    assert not Path(f"{tmp_path}/killed.checkpoints").exists()


def test_ctrl_c_keeps_everything_and_the_same_command_goes_on(alone, host, tmp_path):
    study, expected = alone
    url = f"sqlite:///{tmp_path}/s.db"
    process = start(study, url, APART, "training.workers=2")
    wait_until(lambda: any(row.status.is_final for row in rows_of(url)), "a trial ends")
    workers = workers_of(process.pid)

    for pid in (process.pid, *workers):  # a terminal sends it to all of them
        os.kill(pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT, said
    assert "Nothing is lost" in said
    assert "Traceback" not in said
    assert not any(map(is_alive, workers))
    assert not [row for row in rows_of(url) if row.status is Status.RUNNING]

    run(study, url, APART, "training.workers=2", host=host)
    assert contents(url) == expected


def test_a_trial_that_kills_its_process_fails_and_the_others_go_on(host, tmp_path):
    study = write_study(tmp_path / "study", pruner='"none"')
    file = study / "task.py"
    file.write_text(
        file.read_text().replace(
            "def mlp(width):\n",
            "def mlp(width):\n    import os\n    if width > 6:\n        os.kill(os.getpid(), 9)\n",
        )
    )
    url = f"sqlite:///{tmp_path}/s.db"

    outcome = run(study, url, APART, "search.trials=4", "training.workers=2", host=host)

    rows = rows_of(url)
    deadly = [row for row in rows if row.trial.recipe.model["width"] > 6]
    assert outcome.ranking.finished
    assert 1 <= len(deadly) < len(rows)
    for row in deadly:
        assert row.status is Status.FAILED
        assert row.attempt == MOST_DEATHS
        assert row.reason == (
            "its worker died 3 times, the last time by SIGKILL, as when memory runs out"
        )
    assert all(row.status is Status.COMPLETE for row in rows if row not in deadly)


def test_workers_that_cannot_start_end_the_study(host, tmp_path):
    study = write_study(tmp_path / "study")
    file = study / "task.py"
    file.write_text(
        f"import os\nif os.getpid() != {os.getpid()}:\n    os._exit(7)\n" + file.read_text()
    )

    with pytest.raises(WorkersDie, match="3 times before it was ready, the last time by exit code"):
        run(study, f"sqlite:///{tmp_path}/s.db", "training.workers=2", host=host)
    assert not workers_of(os.getpid())


@pytest.mark.parametrize("value", ["0", "2.5", "'auto'"])
def test_other_numbers_of_workers_are_refused(tmp_path, value):
    with pytest.raises(SpecError, match=r"\[training\] workers: must be"):
        load_study(write_study(tmp_path), [f"training.workers={value}"])


@pytest.mark.parametrize(("together", "workers", "slots"), [(1, 3, 3), (8, 3, 8), ("auto", 2, 3)])
def test_every_worker_has_a_slot(tmp_path, together, workers, slots):
    settings = [f"training.together={together}", f"training.workers={workers}"]
    spec = load_study(write_study(tmp_path), [*settings, "search.trials=5"])

    assert runner.slots(spec, 3) == slots


def test_a_task_that_is_an_object_goes_to_the_workers(host, tmp_path):
    spec = load_study(write_study(tmp_path / "study"), ["training.workers=2", "search.trials=1"])
    task = replace(load_task(spec), model=nn.LazyLinear, params={"out_features": Int(3, 4)})

    with Store.open(f"sqlite:///{tmp_path}/s.db") as store:
        assert runner.run(spec, host=host, store=store, task=task).ranking.finished


@pytest.mark.parametrize("model", ["of the study's file", "a function without a name"])
def test_a_task_that_cannot_be_sent_is_refused(host, tmp_path, model):
    spec = load_study(write_study(tmp_path / "study"), ["training.workers=2", "search.trials=1"])
    task = load_task(spec)
    if model != "of the study's file":
        task = replace(task, model=lambda width: nn.Linear(4, 3))

    with (
        Store.open(f"sqlite:///{tmp_path}/s.db") as store,
        pytest.raises(TaskError, match=r"cannot be sent to workers: .*workers = 1"),
    ):
        runner.run(spec, host=host, store=store, task=task)


PLUGIN = """
from automl_opt.api import Float, OptimizerSpec, Rule, hookimpl

def init(param):
    return {}

def update(param, grad, state, *, lr):
    return param - lr * grad, state

@hookimpl
def automl_opt_optimizers():
    yield OptimizerSpec(
        name="away",
        summary="plain descent",
        rule=Rule(init, update),
        params={"lr": Float(1e-3, 1.0, log=True, default=1e-1)},
    )
"""


def test_a_plugin_that_the_workers_do_not_find_is_named(tmp_path, installed, monkeypatch):
    host = installed.write("here", PLUGIN).host(ours=True)
    assert "here.away" in {component.id for component in host.catalog.components("optimizer")}
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(installed.folder)])

    with pytest.raises(PluginError, match=r"optimizer here\.away \(version 1\) is not there"):
        run(
            write_study(tmp_path / "study"),
            f"sqlite:///{tmp_path}/s.db",
            "training.workers=2",
            host=host,
        )
