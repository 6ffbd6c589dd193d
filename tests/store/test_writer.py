from __future__ import annotations

import json
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from automl_opt.core.errors import StoreError
from automl_opt.core.result import EpochReport, Measurement, Status
from automl_opt.store import statements, writer
from automl_opt.store.models import trial_run

from .examples import OPTIMIZER, report, result, save, start, trial


def epochs(store, of) -> list[int]:
    return sorted({row.epoch for row in store.curve(of.trial_id)})


# studies


def test_saving_a_study_again_updates_it_and_keeps_when_it_was_made(store):
    (before,) = store.studies()

    save(store, spec_json='{"trials":2}', space_hash="1")

    (after,) = store.studies()
    assert (after.spec_json, after.space_hash) == ('{"trials":2}', "1")
    assert after.created_at == before.created_at


@pytest.mark.parametrize(("study_id", "arm"), [(2, "sgd"), (1, "adamw")])
def test_an_arm_that_optuna_numbers_anew_is_refused(store, study_id, arm):
    with pytest.raises(StoreError, match="deleted in Optuna alone"):
        save(store, study_id=study_id, arm=arm)

    assert [(row.study_id, row.arm) for row in store.studies()] == [(1, "sgd")]


# one run


def test_floats_come_back_to_the_last_bit(store):
    values = [0.1 + 0.2, 5e-324, 0.0, 1.7976931348623157e308, math.pi, math.inf, -math.inf]
    start(store, trial())
    for epoch, value in enumerate(values, 1):
        store.epoch(report(trial(), epoch, loss=value, seconds=value))
    store.finish(result(trial(), len(values), value=0.1 + 0.2))

    found = [row for row in store.curve(100) if (row.split, row.metric) == ("valid", "loss")]

    assert [row.value.hex() for row in found] == [value.hex() for value in values]
    assert store.trials("digits")[0].value.hex() == (0.1 + 0.2).hex()


def test_what_is_not_a_number_is_missing(store):
    start(store, trial())
    store.epoch(report(trial(), 1, loss=math.nan))
    store.epoch(report(trial(), 2, loss=None))
    store.finish(result(trial(), 2, Status.DIVERGED, value=math.nan, reason="loss is nan"))

    losses = [
        row.value for row in store.curve(100) if row.metric == "loss" and row.split == "valid"
    ]

    assert losses == [None, None]
    (found,) = store.trials("digits")
    assert (found.status, found.value, found.reason) == (Status.DIVERGED, None, "loss is nan")


def test_a_run_keeps_its_recipe_seeds_parts_and_environment(store, rows):
    start(store, trial(0))
    start(store, trial(1))

    assert [row.trial for row in store.trials("digits")] == [trial(0), trial(1)]
    assert rows(
        "SELECT run_id, role, position, name, version, distribution, distribution_version, "
        "sha256, params_json FROM hpo_run_plugin JOIN hpo_plugin ON id = plugin_id "
        "WHERE run_id = 1 ORDER BY role, position"
    ) == [
        (1, role, position, name, 1, "automl-opt-acme", "1.2", OPTIMIZER.source_sha256, params)
        for role, position, name, params in [
            ("optimizer", 0, "acme.sgd", '{"lr": 0.1}'),
            ("regularizer", 0, "acme.clip", '{"at": 1.0}'),
            ("regularizer", 1, "acme.clip", '{"at": 2.0}'),
        ]
    ]
    assert rows("SELECT count(*) FROM hpo_plugin") == [(2,)]
    ((environment,),) = rows("SELECT json FROM hpo_environment")
    assert json.loads(environment) == {"torch": "2.6"}


def test_epochs_are_written_together_once_there_are_enough(store, monkeypatch):
    monkeypatch.setattr(writer, "FLUSH_ROWS", 9)
    start(store, trial())

    store.epoch(report(trial(), 1))
    store.epoch(report(trial(), 2))
    assert epochs(store, trial()) == []

    store.epoch(report(trial(), 3))
    assert epochs(store, trial()) == [1, 2, 3]


def test_epochs_are_written_and_the_lease_renewed_once_it_is_time(store, monkeypatch):
    start(store, trial(), lease_s=5.0)
    monkeypatch.setattr(writer, "FLUSH_EVERY_S", 0.0)
    (before,) = store.trials("digits")

    store.epoch(report(trial(), 1))

    (after,) = store.trials("digits")
    assert epochs(store, trial()) == [1]
    assert after.lease_until > before.lease_until
    assert after.lease_until <= datetime.now(UTC) + timedelta(seconds=5)


def test_closing_writes_what_was_gathered(store, open_store):
    start(store, trial())
    store.epoch(report(trial(), 1))

    store.close()

    assert epochs(open_store(), trial()) == [1]


def test_a_checkpoint_is_written_with_every_epoch_before_it(store):
    start(store, trial())
    store.epoch(report(trial(), 1))
    store.epoch(report(trial(), 2))

    store.checkpoint(trial(), "file:2")

    (found,) = store.trials("digits")
    assert (found.checkpoint_uri, found.epochs, found.status) == ("file:2", 2, Status.RUNNING)
    assert epochs(store, trial()) == [1, 2]


def test_a_finished_trial_has_its_value_its_test_and_no_lease_or_checkpoint(store):
    start(store, trial())
    store.epoch(report(trial(), 1))
    store.checkpoint(trial(), "file:1")
    store.epoch(report(trial(), 2))

    store.finish(result(trial(), 2))
    store.finish(result(trial(), 2))

    (found,) = store.trials("digits")
    assert (found.status, found.value, found.epochs) == (Status.COMPLETE, 0.5, 2)
    assert (found.lease_until, found.checkpoint_uri) == (None, None)
    assert found.started_at <= found.ended_at <= datetime.now(UTC)
    (test,) = store.curves("digits", split="test")[100]
    assert (test.epoch, test.metric, test.value, test.seconds) == (2, "loss", 0.75, None)


def pull_the_plug_after_points(monkeypatch):
    save_points = statements.save_points

    def save_and_fail(*arguments):
        save_points(*arguments)
        raise RuntimeError("pulled the plug")

    monkeypatch.setattr(statements, "save_points", save_and_fail)


def test_finishing_is_all_or_nothing(store, monkeypatch):
    start(store, trial())
    store.epoch(report(trial(), 1))
    pull_the_plug_after_points(monkeypatch)
    with pytest.raises(RuntimeError, match="plug"):
        store.finish(result(trial(), 1))
    assert store.trials("digits")[0].status is Status.RUNNING
    assert store.curve(100) == []

    monkeypatch.undo()
    store.finish(result(trial(), 1))
    assert store.trials("digits")[0].status is Status.COMPLETE
    assert len(store.curve(100)) == 4


def test_finishing_again_after_a_lost_answer_is_idle(store):
    start(store, trial())
    run = store._live[100]
    store.finish(result(trial(), 0))
    store._live[100] = run  # as if the commit had been made and its answer lost
    del store._ended[100]

    store.finish(result(trial(), 0))

    assert len(store.curve(100)) == 1


def test_an_ended_trial_takes_no_more_reports(store):
    start(store, trial())
    store.finish(result(trial(), 0))

    with pytest.raises(StoreError, match=r"sgd #0 has already ended here: complete"):
        store.epoch(report(trial(), 1))
    with pytest.raises(StoreError, match=r"sgd #1 was not started here"):
        store.epoch(report(trial(1), 1))


def test_an_epoch_is_not_reported_twice(store):
    start(store, trial())
    store.epoch(report(trial(), 1))

    with pytest.raises(StoreError, match="epoch 1 was reported after epoch 1"):
        store.epoch(report(trial(), 1))

    twice = (Measurement("valid", "loss", 1.0), Measurement("valid", "loss", 2.0))
    with pytest.raises(StoreError, match="twice"):
        store.epoch(EpochReport(trial=trial(), epoch=2, value=1.0, measurements=twice, seconds=1.0))
    store.flush()
    assert epochs(store, trial()) == [1]


# attempts


def test_a_new_attempt_keeps_the_epochs_behind_its_checkpoint_and_drops_the_rest(store, open_store):
    start(store, trial())
    start(store, trial(1))
    for epoch in (1, 2, 3):
        store.epoch(report(trial(), epoch, loss=float(epoch)))
        store.epoch(report(trial(1), epoch))
        if epoch == 2:
            store.checkpoint(trial(), "file:2")
    store.flush()

    later = open_store()
    start(later, trial(), from_epoch=2)
    (resumed, other) = later.trials("digits")
    for epoch in (3, 4):
        later.epoch(report(trial(), epoch, loss=epoch * 10.0))
    later.finish(result(trial(), 4))

    assert (resumed.attempt, resumed.from_epoch, resumed.epochs) == (2, 2, 2)
    assert resumed.checkpoint_uri == "file:2"
    assert other.attempt == 1
    curve = [row for row in later.curve(100) if (row.split, row.metric) == ("valid", "loss")]
    assert [(row.epoch, row.value) for row in curve] == [(1, 1.0), (2, 2.0), (3, 30.0), (4, 40.0)]
    assert epochs(later, trial(1)) == [1, 2, 3]


def test_an_attempt_from_the_start_keeps_nothing_of_the_earlier_one(store, rows):
    start(store, trial())
    store.epoch(report(trial(), 1))
    store.checkpoint(trial(), "file:1")
    store.stop(trial(), "SIGINT")
    (stopped,) = store.trials("digits")

    start(store, trial())

    (again,) = store.trials("digits")
    assert store.curve(100) == []
    assert (stopped.status, stopped.reason) == (Status.STOPPED, "SIGINT")
    assert (stopped.checkpoint_uri, stopped.lease_until) == ("file:1", None)
    assert (again.status, again.checkpoint_uri) == (Status.RUNNING, None)
    query = "SELECT attempt, state, lease_until IS NULL FROM hpo_trial_run ORDER BY attempt"
    assert rows(query) == [
        (1, "stopped", 1),
        (2, "running", 0),
    ]


def test_an_interruption_keeps_when_it_was_and_the_last_checkpoint(store, open_store):
    start(store, trial())
    store.epoch(report(trial(), 1))
    store.checkpoint(trial(), "file:1")
    store.epoch(report(trial(), 2))
    store.stop(trial(), "time limit")
    (before,) = store.trials("digits")

    start(open_store(), trial(), from_epoch=1)

    assert (before.checkpoint_uri, before.epochs, before.lease_until) == ("file:1", 1, None)
    query = select(trial_run.c.ended_at).where(trial_run.c.attempt == 1)
    with store.engine.connect() as connection:
        assert connection.scalar(query) == before.ended_at


@pytest.mark.parametrize("status", [status for status in Status if status.is_final])
def test_a_trial_that_has_ended_is_not_begun_again(store, open_store, status):
    start(store, trial())
    store.finish(result(trial(), 1, status))

    assert start(open_store(), trial()) is None
    assert [(row.attempt, row.status) for row in store.trials("digits")] == [(1, status)]


# fencing


@pytest.mark.parametrize(
    "late",
    [
        lambda store, of: store.checkpoint(of, "file:late"),
        lambda store, of: store.finish(result(of, 2)),
        lambda store, of: store.stop(of, "SIGINT"),
        lambda store, _of: store.flush(),
    ],
    ids=["checkpoint", "finish", "stop", "flush"],
)
def test_an_overtaken_attempt_changes_nothing(store, open_store, rows, late):
    start(store, trial())
    store.epoch(report(trial(), 1))
    start(open_store(), trial())
    before = rows("SELECT * FROM hpo_trial_run ORDER BY run_id")

    late(store, trial())

    assert store.lost() == [trial()]
    assert rows("SELECT * FROM hpo_trial_run ORDER BY run_id") == before
    assert store.curve(100) == []
    store.epoch(report(trial(), 2))
    store.flush()
    assert store.curve(100) == []
    assert store.lost() == []


def test_one_overtaken_trial_does_not_cost_the_others_their_rows(store, open_store):
    for number in (0, 1):
        start(store, trial(number))
        store.epoch(report(trial(number), 1))
    start(open_store(), trial(0))

    store.checkpoint(trial(1), "file:1")

    assert store.lost() == [trial(0)]
    assert epochs(store, trial(1)) == [1]
    assert store.trials("digits")[1].checkpoint_uri == "file:1"
    store.finish(result(trial(1), 1))
    assert store.trials("digits")[1].status is Status.COMPLETE


def test_two_processes_that_resume_one_trial_leave_one_holder(store, open_store):
    first, second = open_store(), open_store()
    start(first, trial())
    start(second, trial())

    first.finish(result(trial(), 0, Status.FAILED, reason="late"))
    second.finish(result(trial(), 0))

    assert (first.lost(), second.lost()) == ([trial()], [])
    (found,) = store.trials("digits")
    assert (found.attempt, found.status) == (2, Status.COMPLETE)


def test_who_does_not_know_of_an_attempt_takes_nothing_over(store, open_store, rows):
    start(store, trial(), worker="there:7")
    quicker, slower = open_store(), open_store()
    start(quicker, trial(), attempts=1)
    before = rows("SELECT * FROM hpo_trial_run ORDER BY run_id")

    assert start(slower, trial(), attempts=1) is None
    assert start(slower, trial(), attempts=0) is None

    assert rows("SELECT * FROM hpo_trial_run ORDER BY run_id") == before
    query = "SELECT attempt, state, reason FROM hpo_trial_run ORDER BY attempt"
    assert rows(query) == [
        (1, "preempted", "lost with process there:7"),
        (2, "running", None),
    ]


def test_of_two_that_begin_an_attempt_at_once_one_has_it(url, store, open_store):
    """Both have looked when one writes: on PostgreSQL its key decides, on SQLite its lock."""
    stores = [open_store() for _ in range(4)]
    together = threading.Barrier(len(stores))

    def begin(each):
        together.wait()
        return start(each, trial(), attempts=0)

    with ThreadPoolExecutor(len(stores)) as threads:
        begun = list(threads.map(begin, stores))

    assert [run is not None for run in begun].count(True) == 1
    assert [row.attempt for row in store.trials("digits")] == [1]


def test_a_lease_outlasts_a_long_epoch(url, store):
    start(store, trial(), lease_s=5.0)
    (before,) = store.trials("digits")

    with store.heartbeat(0.01):
        time.sleep(0.3)
        (after,) = store.trials("digits")

    assert after.lease_until > before.lease_until
    assert not [thread for thread in threading.enumerate() if "heartbeat" in thread.name]


def test_nobody_beats_for_a_trial_that_was_taken_over(store, open_store):
    start(store, trial())
    start(open_store(), trial(), lease_s=1000.0)
    (before,) = store.trials("digits")

    with store.heartbeat(0.01):
        time.sleep(0.1)

    assert store.trials("digits") == [before]


# several at once


def test_what_is_done_at_once_is_there_whole(store):
    first, second = trial(0), trial(1)
    for each in (first, second):
        start(store, each)
        store.epoch(report(each, 1))

    with store.at_once():
        store.checkpoint(first, "first.pt")
        store.finish(result(second, 1))
        before = {row.trial_id: row for row in store.trials("digits")}
    after = {row.trial_id: row for row in store.trials("digits")}

    assert (before[100].checkpoint_uri, before[101].status) == (None, Status.RUNNING)
    assert (after[100].checkpoint_uri, after[100].epochs) == ("first.pt", 1)
    assert after[101].status is Status.COMPLETE


def test_what_fails_on_the_way_leaves_nothing_and_may_be_repeated(store):
    start(store, trial())
    store.epoch(report(trial(), 1))

    def fail():
        with store.at_once():
            store.checkpoint(trial(), "c.pt")
            raise KeyError("on the way")

    with pytest.raises(KeyError, match="on the way"):
        fail()

    assert store.trials("digits")[0].checkpoint_uri is None
    store.checkpoint(trial(), "c.pt")
    assert store.trials("digits")[0].checkpoint_uri == "c.pt"


def test_ids_of_a_transaction_that_was_rolled_back_are_not_remembered(store, monkeypatch):
    """A metric that it had inserted is not there: to go on with its id would point nowhere."""
    start(store, trial())
    store.epoch(report(trial(), 1))
    pull_the_plug_after_points(monkeypatch)
    with pytest.raises(RuntimeError, match="plug"):
        store.flush()
    monkeypatch.undo()
    other = (Measurement("valid", "other", 1.0),)
    store.epoch(EpochReport(trial=trial(), epoch=2, value=1.0, measurements=other, seconds=1.0))

    store.flush()

    found = [(row.epoch, row.metric) for row in store.curve(100)]
    assert found == [(1, "loss"), (1, "accuracy"), (1, "loss"), (2, "other")]


def test_a_row_that_is_there_already_is_refused_in_a_line(store):
    run_id = start(store, trial())
    store.epoch(report(trial(), 1))
    store.flush()
    store._gathered.append(statements.Point(run_id, "loss", "valid", 1, 0.5, 1.0))

    with pytest.raises(StoreError, match="refused what was written, nothing was kept"):
        store.flush()

    assert len(store.curve(100)) == 3
