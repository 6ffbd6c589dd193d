"""The public views say what a study did: every figure here is worked out by hand."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.dialects import mysql, postgresql, sqlite

from automl_opt.core.errors import StoreError
from automl_opt.core.result import Status
from automl_opt.store import Store, schema, views

from .examples import PARTS, report, result, save, start, trial, verdict_run

SPEC = json.dumps(
    {
        "question": "Which optimizer?",
        "[objective] metric": "loss",
        "[objective] direction": "maximize",
        "[search] trials": 4,
        "[search] strategy": {"name": "tpe"},
        "[search] pruner": None,
    }
)
ENDS = [
    (Status.COMPLETE, 0.25),
    (Status.COMPLETE, 0.75),
    (Status.DIVERGED, None),
    (Status.PRUNED, 0.875),
    (Status.COMPLETE, 0.5),
]


DIALECTS = (sqlite.dialect(), postgresql.dialect())
DIGEST = {"0007": "8699203f2f0a0d34d92c26c62a7a013704495df1c2b97c4154d94cb3a3e4ad32"}


@pytest.fixture
def study(store):
    """An arm, maximized, of five trials that ended, each after two epochs of 1 s, and one live."""
    save(store, spec_json=SPEC)
    save(store, study_id=2, arm="adam", spec_json=SPEC)
    for number, (status, value) in enumerate(ENDS):
        of = trial(number)
        start(store, of)
        for epoch in (1, 2):
            store.epoch(report(of, epoch))
        reason = "loss is not finite" if status is Status.DIVERGED else None
        store.finish(result(of, 2, status, value=value, reason=reason))
    start(store, trial(5))
    store.epoch(report(trial(5), 1))
    store.flush()
    return store


@pytest.fixture
def ask(study):
    """The rows of a query, as dictionaries."""

    def ask(query: str, **values) -> list[dict]:
        with study.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(query), values).mappings()]

    return ask


def test_every_view_has_the_columns_and_types_that_are_described(study):
    kinds = {
        "text": {"VARCHAR", "TEXT"},
        "integer": {"INTEGER", "BIGINT"},
        "real": {"DOUBLE_PRECISION", "DOUBLE"},
        "time": {"TIMESTAMP", "DATETIME"},
    }
    found = inspect(study.engine)
    typed = study.engine.dialect.name != "sqlite"  # there, what is computed has no type

    assert set(found.get_view_names()) == {view.name for view in views.VIEWS}
    for view in views.VIEWS:
        columns = found.get_columns(view.name)
        assert [each["name"] for each in columns] == [column.name for column in view.columns]
        for column, each in zip(view.columns, columns, strict=True):
            if typed:
                name = each["type"].__class__.__name__
                assert name in kinds[column.type], (view.name, column.name)


def test_the_leaderboard_of_an_arm(ask):
    adam, sgd = ask("SELECT * FROM hpo_v_leaderboard ORDER BY arm")

    assert sgd == {
        "study": "digits",
        "arm": "sgd",
        "metric": "loss",
        "direction": "maximize",
        "trials": 6,
        "running": 1,
        "complete": 3,
        "pruned": 1,
        "failed": 1,
        "best": 0.75,
        "best_trial": 1,
        "mean": 0.5,
        "standard_error": pytest.approx(0.25 / math.sqrt(3)),  # the deviation of 1/4, 1/2, 3/4
        "seconds": 11.0,
    }
    assert (adam["trials"], adam["best"], adam["standard_error"]) == (0, None, None)
    assert adam["seconds"] == 0.0


def test_the_best_of_a_minimized_arm_is_its_lowest(study, ask):
    save(study, spec_json=SPEC.replace("maximize", "minimize"))

    [row] = ask("SELECT best, best_trial FROM hpo_v_leaderboard WHERE arm = 'sgd'")
    steps = ask("SELECT best FROM hpo_v_budget ORDER BY trials")

    assert (row["best"], row["best_trial"]) == (0.25, 0)
    assert [step["best"] for step in steps] == [0.25] * 5


def test_what_was_best_after_each_trial(study, ask):
    of = trial(0, arm="adam", trial_id=200)
    start(study, of, study_id=2)
    study.epoch(report(of, 1))
    study.finish(result(of, 1, value=0.625))

    steps = ask("SELECT * FROM hpo_v_budget WHERE study = 'digits' ORDER BY study_trials")

    assert [(step["arm"], step["trial"], step["trials"], step["best"]) for step in steps] == [
        ("sgd", 0, 1, 0.25),
        ("sgd", 1, 2, 0.75),
        ("sgd", 2, 3, 0.75),
        ("sgd", 3, 4, 0.75),
        ("sgd", 4, 5, 0.75),
        ("adam", 0, 1, 0.625),
    ]
    assert [step["study_best"] for step in steps] == [0.25, *[0.75] * 5]
    assert [step["seconds"] for step in steps] == [2.0, 4.0, 6.0, 8.0, 10.0, 1.0]
    assert [step["study_seconds"] for step in steps] == [2.0, 4.0, 6.0, 8.0, 10.0, 11.0]


def test_a_resumed_trial_is_one_row_with_the_seconds_of_all_its_attempts(study, ask, open_store):
    study.checkpoint(trial(5), "five.pt")
    study.stop(trial(5), "SIGINT")
    start(open_store(), trial(5), from_epoch=1)

    [row] = ask("SELECT * FROM hpo_v_trial WHERE trial = 5")
    [leader] = ask("SELECT trials, seconds FROM hpo_v_leaderboard WHERE arm = 'sgd'")

    assert (row["attempt"], row["state"], row["seconds"]) == (2, "running", 1.0)
    assert leader == {"trials": 6, "seconds": 11.0}


def test_the_parameters_of_a_trial(ask):
    rows = ask("SELECT * FROM hpo_v_param WHERE study = 'digits' AND arm = 'sgd' AND trial = 0")

    assert {(row["role"], row["position"], row["component"], row["param"]) for row in rows} == {
        ("optimizer", 0, "acme.sgd", "lr"),
        ("regularizer", 0, "acme.clip", "at"),
        ("regularizer", 1, "acme.clip", "at"),
        ("recipe", 0, None, "batch_size"),
        ("recipe", 0, None, "accumulate"),
    }
    values = {(row["role"], row["position"], row["param"]): row for row in rows}
    assert values["optimizer", 0, "lr"]["number"] == 0.1
    assert values["regularizer", 1, "at"]["number"] == 2.0
    assert values["recipe", 0, "batch_size"]["value"] == "32"


def test_a_curve_is_there_epoch_by_epoch(ask):
    rows = ask(
        "SELECT epoch, value, seconds FROM hpo_v_curve WHERE trial = 1 AND metric = 'loss' "
        "AND split = 'valid' ORDER BY epoch"
    )

    assert [tuple(row.values()) for row in rows] == [(1, 0.5, 1.0), (2, 0.5, 1.0)]


def test_what_was_asked_what_it_took_what_failed_and_what_was_used(ask):
    [asked] = ask("SELECT * FROM hpo_v_study WHERE arm = 'sgd'")
    [cost] = ask("SELECT * FROM hpo_v_resource")
    [failure] = ask("SELECT * FROM hpo_v_failure")
    used = ask("SELECT * FROM hpo_v_plugin ORDER BY role")

    assert (asked["question"], asked["metric"], asked["budget"]) == ("Which optimizer?", "loss", 4)
    assert (asked["strategy"], asked["pruner"]) == ("tpe", None)
    assert (cost["device"], cost["torch"], cost["optuna"]) == ("cpu", "2.6", None)
    assert (cost["trials"], cost["workers"], cost["epochs"], cost["seconds"]) == (6, 1, 10, 11.0)
    assert (failure["state"], failure["reason"], failure["trials"], failure["first_trial"]) == (
        "diverged",
        "loss is not finite",
        1,
        2,
    )
    assert [(row["component"], row["distribution_version"], row["trials"]) for row in used] == [
        ("acme.sgd", "1.2", 6),
        ("acme.clip", "1.2", 6),  # twice in each
    ]


def test_a_trial_counts_for_the_components_of_its_latest_attempt(study, ask):
    start(study, trial(5), parts=PARTS[:1])

    used = {row["component"]: row["trials"] for row in ask("SELECT * FROM hpo_v_plugin")}

    assert used == {"acme.sgd": 6, "acme.clip": 5}


def test_a_confirmed_recipe_has_its_mean_and_error_over_seeds(study, ask):
    study.begin_verdict("digits", "recipe", {})
    latest = study.begin_verdict("digits", "recipe", {})
    for seed, value in enumerate([0.25, 0.75, None]):
        run = verdict_run("sgd #1", seed, value)
        study.save_verdict_run(latest, run, {"torch": "2.6"})

    [row] = ask("SELECT * FROM hpo_v_confirmed")

    assert row == {
        "study": "digits",
        "kind": "recipe",
        "recipe": "sgd #1",
        "seeds": 3,
        "failed": 1,
        "mean": 0.5,
        "standard_error": pytest.approx(0.25),
        "lowest": 0.25,
        "highest": 0.75,
        "seconds": 4.5,
    }


def test_standard_errors_survive_values_that_differ_in_their_last_digits(study, ask):
    for number, value in enumerate([1e8, 1e8 + 1], start=6):
        of = trial(number, arm="adam", trial_id=300 + number)
        start(study, of, study_id=2)
        study.finish(result(of, 1, value=value))

    [row] = ask("SELECT standard_error FROM hpo_v_leaderboard WHERE arm = 'adam'")

    assert row["standard_error"] == pytest.approx(0.5)


def test_views_read_our_tables_only():
    for view in views.VIEWS:
        for word in ("FROM ", "JOIN "):
            for after in view.sql.split(word)[1:]:
                assert after.startswith(("hpo_", "(", "{"))


def test_an_upgrade_makes_every_view_anew_and_takes_away_what_is_one_no_more(url, study, ask):
    with study.engine.begin() as connection:
        connection.execute(text("DROP VIEW hpo_v_look"))
        connection.execute(text("CREATE VIEW hpo_v_look AS SELECT 1 AS stale"))
        connection.execute(text("CREATE VIEW hpo_v_gone AS SELECT 1 AS stale"))
        connection.execute(text("CREATE VIEW mine AS SELECT 1 AS kept"))
        views.create(connection)

    assert set(inspect(study.engine).get_view_names()) == {
        *(view.name for view in views.VIEWS),
        "mine",
    }
    assert ask("SELECT leader FROM hpo_v_look") == []


def test_the_views_are_those_of_this_version():
    """A database that is up to date keeps the views it has, so a change needs a new version."""
    made = "".join(view.name + view.query(each) for each in DIALECTS for view in views.VIEWS)

    assert {schema.HEAD: hashlib.sha256(made.encode()).hexdigest()} == DIGEST


def test_another_database_is_told_that_there_are_no_views_for_it():
    with pytest.raises(StoreError, match="for sqlite and postgresql, not for mysql"):
        views.VIEWS[0].query(mysql.dialect())


def test_times_in_views_are_in_utc(study, ask):
    [row] = ask("SELECT ended_at FROM hpo_v_trial WHERE trial = 0")
    found = row["ended_at"]
    if isinstance(found, str):
        found = datetime.fromisoformat(found).replace(tzinfo=UTC)

    assert abs((datetime.now(UTC) - found).total_seconds()) < 60


def test_a_frozen_database_has_its_figures_in_the_views_after_the_upgrade(tmp_path):
    frozen = Path(__file__).parents[1] / "migrations" / "0002.sql"
    with closing(sqlite3.connect(tmp_path / "old.db")) as database:
        database.executescript(frozen.read_text("utf-8"))

    with Store.open(f"sqlite:///{tmp_path}/old.db") as store, store.engine.connect() as connection:
        [arm] = connection.execute(text("SELECT recipe, mean, standard_error FROM hpo_v_confirmed"))
        [run] = connection.execute(text("SELECT value, seconds FROM hpo_v_trial"))
        used = connection.execute(text("SELECT role, component, trials FROM hpo_v_plugin")).all()
        assert schema.version(connection) == schema.HEAD

    assert tuple(arm) == ("sgd", 0.5, pytest.approx(0.25))
    assert tuple(run) == (0.5, 2.0)
    assert {tuple(each) for each in used} == {
        ("optimizer", "acme.sgd", 1),
        ("regularizer", "acme.clip", 1),
    }


def test_a_view_of_somebodys_own_stops_an_upgrade_where_it_must_and_nothing_is_lost(url, study):
    with study.engine.begin() as connection:
        views.drop(connection)
        connection.execute(text("DROP INDEX ix_hpo_trial_run_ended"))
        connection.execute(text("UPDATE hpo_alembic_version SET version_num = '0006'"))
        connection.execute(text("CREATE VIEW hpo_v_leaderboard AS SELECT arm FROM hpo_study"))
        connection.execute(text("CREATE VIEW mine AS SELECT arm FROM hpo_v_leaderboard"))
    depends = study.engine.dialect.name == "postgresql"

    if depends:
        with pytest.raises(StoreError, match="other objects depend on it"):
            schema.upgrade(url)
        with study.engine.begin() as connection:
            assert schema.version(connection) == "0006"
            connection.execute(text("DROP VIEW mine"))
    assert schema.upgrade(url).endswith("0006 -> 0007")
