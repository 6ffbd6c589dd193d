"""Our storage is Optuna's: its own suite, and what plain Optuna reads of what we write."""

from __future__ import annotations

import datetime
import os
import pickle
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import TrialState, create_trial
from sqlalchemy import event

from automl_opt.core.errors import StoreError
from automl_opt.search.arms import storage_at
from automl_opt.store.engine import tune


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def emptied(request, tmp_path_factory):
    """A storage of each kind for many cases, each of which leaves its studies in it."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('storage')}/study.db"
    else:
        url = request.getfixturevalue("postgresql").new_database()
    with storage_at(url) as storage:
        tune(storage.engine)
        yield storage


class TestOfOptunasOwn(StorageTestCase):
    @pytest.fixture
    def storage(self, emptied):
        for study in emptied.get_all_studies():
            emptied.delete_study(study._study_id)
        return emptied

    def test_pickle_storage(self, storage, monkeypatch):
        """The suite lets the copy's connections to the garbage collector, which warns."""
        copies, loads = [], pickle.loads
        monkeypatch.setattr(pickle, "loads", lambda data: copies.append(loads(data)) or copies[0])
        super().test_pickle_storage(storage)
        [copy] = copies
        copy.remove_session()
        copy.engine.dispose()


DISTRIBUTIONS = {
    "lr": FloatDistribution(1e-5, 1.0, log=True),
    "width": IntDistribution(2, 64),
    "scheduler": CategoricalDistribution(["cosine", None, 3]),
}
PARAMS = {"lr": 0.1 + 0.2, "width": 7, "scheduler": None}
REPORTS = {1: 0.5, 2: float("nan"), 3: float("inf"), 10: float("-inf")}
ENDS = [
    (TrialState.COMPLETE, [0.1 + 0.2]),
    (TrialState.COMPLETE, [float("inf")]),
    (TrialState.PRUNED, [0.5]),
    (TrialState.PRUNED, None),
    (TrialState.FAIL, None),
]


@pytest.fixture
def ours(database):
    with storage_at(database) as storage:
        yield storage


@pytest.fixture
def plain(ours, database):
    storage = RDBStorage(database)
    yield storage
    storage.remove_session()
    storage.engine.dispose()


@pytest.fixture
def study_id(ours):
    study = optuna.create_study(study_name="s", storage=ours)
    return study._study_id


def running(number, **changes):
    given = {"params": PARAMS, "distributions": DISTRIBUTIONS, "system_attrs": {"a": [1]}}
    trial = create_trial(state=TrialState.RUNNING, **{**given, **changes})
    trial.number = number
    return trial


def ended(trial, state, values):
    trial = create_trial(
        state=state,
        values=values,
        params=PARAMS,
        distributions=DISTRIBUTIONS,
        intermediate_values=REPORTS,
        system_attrs={"a": [2], "rung": 0.5},
    )
    trial.datetime_complete = datetime.datetime(2026, 7, 1, 12, 30, 0, 5)
    return trial


def fill(storage, study_id):
    for number, (state, values) in enumerate(ENDS):
        trial_id = storage.begin_trial(study_id, running(number))
        storage.end_trial(trial_id, ended(trial_id, state, values), {"reason": "it broke"})
    storage.begin_trial(study_id, running(len(ENDS), params={}, distributions={}))


def told(trials):
    return [repr(trial) for trial in trials]  # a NaN is not equal to itself


def test_plain_optuna_reads_what_we_write_and_we_read_what_it_reads(ours, plain, study_id):
    fill(ours, study_id)

    found = plain.get_all_trials(study_id)

    assert [(t.number, t.state, t.values) for t in found[:-1]] == [
        (number, state, values) for number, (state, values) in enumerate(ENDS)
    ]
    assert found[0].params == PARAMS
    assert found[0].distributions == DISTRIBUTIONS
    assert repr(found[0].intermediate_values) == repr(REPORTS)
    assert (found[4].user_attrs, found[4].system_attrs) == (
        {"reason": "it broke"},
        {"a": [2], "rung": 0.5},
    )
    assert found[0].datetime_complete == datetime.datetime(2026, 7, 1, 12, 30, 0, 5)
    assert told(ours.get_all_trials(study_id)) == told(found)
    for states in [(TrialState.PRUNED,), (TrialState.RUNNING, TrialState.FAIL), ()]:
        expected = plain.get_all_trials(study_id, states=states)
        assert told(ours.get_all_trials(study_id, states=states)) == told(expected)
    for included, after in [
        (set(), found[2]._trial_id),
        ({found[0]._trial_id}, found[3]._trial_id),
    ]:
        asked = (study_id, None, included, after)
        assert told(ours._get_trials(*asked)) == told(plain._get_trials(*asked))


def test_a_number_that_is_not_the_next_is_refused_and_leaves_nothing(ours, study_id):
    assert ours.begin_trial(study_id, running(0)) is not None

    assert ours.begin_trial(study_id, running(0)) is None
    assert ours.begin_trial(study_id, running(2)) is None

    assert [trial.number for trial in ours.get_all_trials(study_id)] == [0]
    assert ours.begin_trial(study_id, running(1)) is not None


def test_a_trial_ends_once_and_what_others_noted_on_it_stays(ours, study_id):
    trial_id = ours.begin_trial(study_id, running(0))
    ours.set_trial_system_attr(trial_id, "artifact", "theirs")
    ours.set_trial_intermediate_value(trial_id, 1, 0.25)  # of a half told end
    ours.end_trial(trial_id, ended(trial_id, *ENDS[0]))

    ours.end_trial(trial_id, ended(trial_id, *ENDS[4]))

    [found] = ours.get_all_trials(study_id)
    assert found.system_attrs == {"a": [2], "rung": 0.5, "artifact": "theirs"}
    assert (found.state, found.intermediate_values[1]) == (TrialState.COMPLETE, 0.5)


def test_a_trial_begins_and_ends_in_a_transaction_each(ours, study_id):
    commits = []
    event.listen(ours.engine, "commit", commits.append)

    trial_id = ours.begin_trial(study_id, running(0))
    assert len(commits) == 1
    ours.end_trial(trial_id, ended(trial_id, *ENDS[0]), {"reason": "r"})

    assert len(commits) == 2


def test_tables_that_may_not_be_made_are_a_line(postgresql):
    url = postgresql.new_database()
    name = url.rpartition("/")[2]
    postgresql.sql(f"CREATE ROLE {name}_guest LOGIN")

    with (
        pytest.raises(StoreError, match=r"Optuna's tables: .*permission denied"),
        storage_at(postgresql.url(name, f"{name}_guest")),
    ):
        pass


@pytest.mark.skipif(os.name != "posix", reason="needs a signal that nobody can catch")
def test_killed_while_it_makes_its_tables_it_makes_them_all_the_next_time(tmp_path):
    harness = Path(__file__).with_name("killed_opening.py")
    subprocess.run([sys.executable, str(harness), str(tmp_path)], check=True)
    *killed, undisturbed = sorted(tmp_path.glob("*.db"), key=lambda path: int(path.stem))

    assert len(killed) > 10
    for path in killed:
        with storage_at(f"sqlite:///{path}"):
            pass
        assert schema(path) == schema(undisturbed)


def schema(path):
    with closing(sqlite3.connect(path)) as connection:
        return set(connection.execute("SELECT name, sql FROM sqlite_master"))


@pytest.mark.parametrize("statement", range(1, 8))
def test_a_trial_that_begins_or_ends_while_it_is_read_is_read_whole(
    ours, study_id, database, statement
):
    tune(ours.engine)
    trial_id = ours.begin_trial(study_id, running(0))
    read = []

    with storage_at(database) as other:
        tune(other.engine)

        def meanwhile(*_):
            read.append(None)
            if len(read) == statement:
                other.end_trial(trial_id, ended(trial_id, *ENDS[0]))
                other.begin_trial(study_id, running(1))

        event.listen(ours.engine, "after_cursor_execute", meanwhile)
        found = ours.get_all_trials(study_id)
        event.remove(ours.engine, "after_cursor_execute", meanwhile)

    assert len(read) >= 7
    for trial in found:
        assert trial.params == PARAMS
        if trial.state == TrialState.RUNNING:
            assert trial.values is None
        else:
            assert (trial.values, len(trial.intermediate_values)) == (ENDS[0][1], len(REPORTS))
