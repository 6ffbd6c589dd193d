from __future__ import annotations

from datetime import timedelta

import optuna
import pytest
from sqlalchemy import text

from automl_opt.core.errors import StoreError
from automl_opt.core.result import Status
from automl_opt.store.retention import Thinned, sweep_orphans, thin_epochs

from .examples import report, result, save, start, trial, verdict_run

NOW = timedelta(0)
LOSSES = [0.5, 0.9, 0.4, 0.1, 0.6, 0.1, 0.7, None, 0.3]  # of epochs 1 to 9


def train(store, of, **changes) -> None:
    start(store, of, **changes)
    for epoch, loss in enumerate(LOSSES, 1):
        store.epoch(report(of, epoch, loss=loss))
    store.flush()


@pytest.fixture
def ended(store):
    """A trial of nine epochs that ended."""
    train(store, trial())
    store.finish(result(trial(), 9))
    return store


def epochs(store, metric="loss", split="train", of=None) -> list[int]:
    curve = store.curve((of or trial()).trial_id)
    return [row.epoch for row in curve if (row.metric, row.split) == (metric, split)]


def test_of_a_curve_stay_every_nth_epoch_the_last_the_lowest_and_the_highest(ended):
    done = thin_epochs(ended.engine, older_than=NOW, keep_every=3)

    assert epochs(ended) == [2, 3, 4, 6, 9]
    assert epochs(ended, "accuracy", "valid") == [1, 3, 6, 9]  # 0.25 all along: its first
    assert done == Thinned(rows=4 + 4 + 5, trials=1)


def test_without_every_nth_stay_the_last_the_lowest_and_the_highest(ended):
    thin_epochs(ended.engine, older_than=NOW, keep_every=0)

    assert epochs(ended) == [2, 4, 9]


def test_the_test_split_and_the_seconds_stay(ended):
    thin_epochs(ended.engine, older_than=NOW, keep_every=0)

    assert epochs(ended, "loss", "test") == [9]
    [row] = ended.trials("digits")
    assert (row.seconds, row.value, row.epochs) == (9.0, 0.5, 9)


def test_what_a_verdict_stands_on_stays_whole(ended, rows):
    row = ended.begin_verdict("digits", "recipe", {})
    reports = [report(trial(), n) for n in range(1, 10)]
    ended.save_verdict_run(row, verdict_run("a", 0), {}, reports)

    thin_epochs(ended.engine, older_than=NOW, keep_every=0)

    assert rows("SELECT count(*) FROM hpo_verdict_epoch") == [(9 * 3,)]


def test_a_second_time_nothing_is_left_to_delete(ended):
    thin_epochs(ended.engine, older_than=NOW, keep_every=4)

    assert thin_epochs(ended.engine, older_than=NOW, keep_every=4) == Thinned()


def test_a_dry_run_counts_the_same_rows_and_deletes_none(ended):
    told = thin_epochs(ended.engine, older_than=NOW, keep_every=3, dry_run=True)

    assert epochs(ended) == list(range(1, 10))
    assert told == thin_epochs(ended.engine, older_than=NOW, keep_every=3)


def test_trials_that_ended_lately_stay_whole(ended):
    assert thin_epochs(ended.engine, older_than=timedelta(hours=1), keep_every=0) == Thinned()


@pytest.mark.parametrize("stopped", [False, True])
def test_trials_that_run_or_may_go_on_stay_whole(store, stopped):
    train(store, trial())
    if stopped:
        store.stop(trial(), "SIGINT")

    assert thin_epochs(store.engine, older_than=NOW, keep_every=0) == Thinned()


def test_the_attempts_of_a_trial_that_runs_again_stay_whole(store, open_store):
    train(store, trial())
    store.stop(trial(), "SIGINT")
    later = open_store()
    start(later, trial(), from_epoch=9)

    assert thin_epochs(store.engine, older_than=NOW, keep_every=0) == Thinned()

    later.finish(result(trial(), 9))
    assert thin_epochs(store.engine, older_than=NOW, keep_every=0).trials == 1
    assert epochs(store) == [2, 4, 9]


def test_more_trials_than_go_into_one_transaction_are_all_thinned(store, monkeypatch):
    monkeypatch.setattr("automl_opt.store.retention._RUNS_AT_ONCE", 2)
    for number in range(5):
        train(store, trial(number))
        store.finish(result(trial(number), 9))

    assert thin_epochs(store.engine, older_than=NOW, keep_every=0).trials == 5


@pytest.fixture
def optuna_storage(url):
    storage = optuna.storages.RDBStorage(url)
    yield storage
    storage.remove_session()
    storage.engine.dispose()


@pytest.fixture
def two_studies(store, optuna_storage):
    """Ours and Optuna's: digits with two arms, and letters with one; a trial in each."""
    with store.engine.begin() as connection:
        connection.execute(text("DELETE FROM hpo_study"))
    ids = {}
    for name in ("digits/sgd", "digits/adam", "letters/sgd"):
        made = optuna.create_study(storage=optuna_storage, study_name=name)
        ids[name] = made._study_id
        study, arm = name.split("/")
        save(store, study_id=made._study_id, name=study, arm=arm)
        of = trial(0, arm=arm, trial_id=made.ask()._trial_id)
        start(store, of, study_id=made._study_id)
        store.epoch(report(of, 1))
        store.finish(result(of, 1, Status.COMPLETE))
    for study in ("digits", "letters"):
        row = store.begin_verdict(study, "recipe", {})
        store.save_verdict_run(
            row, verdict_run("a", 0), {}, [report(trial(), n) for n in (1, 2, 3)]
        )
    return ids


def again(storage, study_id: int, name: str) -> None:
    """A new study in Optuna's tables under a number that was another's."""
    with storage.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO studies (study_id, study_name) VALUES (:id, :name)"),
            {"id": study_id, "name": name},
        )


def test_a_study_that_optuna_deleted_is_swept_and_nothing_else(
    store, optuna_storage, two_studies, rows
):
    for name in ("digits/sgd", "digits/adam"):
        optuna.delete_study(study_name=name, storage=optuna_storage)

    told = sweep_orphans(store.engine, dry_run=True)
    assert len(rows("SELECT * FROM hpo_study")) == 3
    swept = sweep_orphans(store.engine)

    assert told == swept
    assert [(each.study, each.arm, each.trials) for each in swept] == [
        ("digits", "sgd", 1),
        ("digits", "adam", 1),
    ]
    assert rows("SELECT name, arm FROM hpo_study") == [("letters", "sgd")]
    for table in ("hpo_trial_run", "hpo_epoch_metric", "hpo_run_plugin"):
        left = {run_id for (run_id,) in rows(f"SELECT run_id FROM {table}")}
        assert left == {run_id for (run_id,) in rows("SELECT max(run_id) FROM hpo_trial_run")}
    assert rows("SELECT name FROM hpo_verdict") == [("letters",)]
    assert rows("SELECT DISTINCT verdict_id FROM hpo_verdict_epoch") == rows(
        "SELECT id FROM hpo_verdict"
    )
    assert sweep_orphans(store.engine) == []


def test_verdicts_stay_while_an_arm_of_their_study_does(store, optuna_storage, two_studies, rows):
    optuna.delete_study(study_name="digits/sgd", storage=optuna_storage)

    sweep_orphans(store.engine)

    assert rows("SELECT name FROM hpo_verdict ORDER BY name") == [("digits",), ("letters",)]


def test_a_number_that_optuna_gave_again_does_not_keep_the_old_rows(
    store, optuna_storage, two_studies, rows
):
    optuna.delete_study(study_name="letters/sgd", storage=optuna_storage)
    again(optuna_storage, two_studies["letters/sgd"], "somebody else")

    [orphan] = sweep_orphans(store.engine)

    assert (orphan.study, orphan.running) == ("letters", False)


def test_a_study_made_anew_under_its_old_number_is_refused_until_the_old_trials_are_swept(
    store, optuna_storage, two_studies, rows
):
    optuna.delete_study(study_name="letters/sgd", storage=optuna_storage)
    one = {"study_id": two_studies["letters/sgd"], "name": "letters", "arm": "sgd"}
    again(optuna_storage, one["study_id"], "letters/sgd")

    with pytest.raises(StoreError, match="1 trials are in our tables and not in Optuna's"):
        save(store, **one)
    [orphan] = sweep_orphans(store.engine)
    save(store, **one)

    assert (orphan.whole, orphan.trials) == (True, 1)
    assert rows("SELECT count(*) FROM hpo_trial_run") == [(2,)]
    assert rows("SELECT name FROM hpo_verdict") == [("digits",)]


def test_of_an_arm_that_optuna_still_has_only_the_lost_trials_go(
    store, optuna_storage, two_studies, rows
):
    of = trial(7, arm="sgd", trial_id=999)
    start(store, of, study_id=two_studies["digits/sgd"])
    store.finish(result(of, 1))

    [orphan] = sweep_orphans(store.engine)

    assert (orphan.study, orphan.arm, orphan.trials, orphan.whole) == ("digits", "sgd", 1, False)
    assert rows("SELECT count(*) FROM hpo_study") == [(3,)]
    assert rows("SELECT trial_id FROM hpo_trial_run WHERE number = 7") == []
    assert rows("SELECT count(*) FROM hpo_trial_run") == [(3,)]


def test_an_orphan_in_training_is_left_alone(store, optuna_storage, two_studies, rows):
    of = trial(1, arm="sgd", trial_id=999)
    start(store, of, study_id=two_studies["letters/sgd"])
    optuna.delete_study(study_name="letters/sgd", storage=optuna_storage)

    [orphan] = sweep_orphans(store.engine)

    assert orphan.running
    assert rows("SELECT arm FROM hpo_study WHERE name = 'letters'") == [("sgd",)]


def test_without_the_tables_of_optuna_nothing_is_swept(store, rows):
    assert sweep_orphans(store.engine) is None
    assert rows("SELECT name FROM hpo_study") == [("digits",)]


def test_views_answer_while_orphans_are_there(store, optuna_storage, two_studies, rows):
    optuna.delete_study(study_name="digits/sgd", storage=optuna_storage)

    found = rows("SELECT study, arm, trials FROM hpo_v_leaderboard ORDER BY study, arm")

    assert found == [("digits", "adam", 1), ("digits", "sgd", 1), ("letters", "sgd", 1)]
