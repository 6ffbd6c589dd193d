from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from automl_opt.core.errors import StoreError
from automl_opt.core.result import Status
from automl_opt.store import Store, schema, views
from automl_opt.store.engine import open_engine, writing
from automl_opt.store.models import metadata
from automl_opt.store.views import VIEWS

from .examples import save, sqlite_only

FROZEN = Path(__file__).parents[1] / "migrations"


@pytest.fixture
def optuna_storage(url):
    made = []

    def make():
        made.append(optuna.storages.RDBStorage(url))
        return made[-1]

    yield make
    for storage in made:
        storage.remove_session()
        storage.engine.dispose()


DEFINITIONS = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'",
    "postgresql": """
        SELECT table_name, string_agg(column_name || ' ' || data_type, ', ')
        FROM information_schema.columns WHERE table_schema = 'public' GROUP BY table_name
    """,
}


def definitions(engine) -> dict[str, str]:
    """How each table, view and, on SQLite, index is made."""
    with engine.connect() as connection:
        return dict(connection.execute(text(DEFINITIONS[engine.dialect.name])).all())


def words(definition: str) -> list[str]:
    """A column that a migration adds stands behind the constraints, so the order is left out."""
    return sorted(re.split(r"[\s,()]+", definition))


def test_the_migrated_schema_is_that_of_the_models(store):
    with store.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"version_table": schema.VERSION_TABLE, "include_object": schema.is_ours},
        )
        assert compare_metadata(context, metadata) == []


@sqlite_only
def test_the_migrated_tables_read_word_by_word_as_the_models_make_them(store):
    fresh = create_engine("sqlite://")
    metadata.create_all(fresh)
    with fresh.begin() as connection:
        views.create(connection)

    migrated = definitions(store.engine)
    del migrated[schema.VERSION_TABLE]
    made = definitions(fresh)

    assert {name: words(sql) for name, sql in migrated.items() if sql} == {
        name: words(sql) for name, sql in made.items() if sql
    }
    for table in ("hpo_epoch_metric", "hpo_verdict_epoch"):
        assert "WITHOUT ROWID" in migrated[table]
    fresh.dispose()


def test_every_migration_is_a_known_version_and_the_last_is_the_head():
    script = ScriptDirectory.from_config(schema.configuration())

    assert [each.revision for each in script.walk_revisions()][::-1] == list(schema.VERSIONS)
    assert script.get_current_head() == schema.HEAD == schema.VERSIONS[-1]


def test_migrations_do_not_import_the_models():
    for file in schema._MIGRATIONS.glob("versions/*.py"):
        assert "automl_opt" not in file.read_text()


@pytest.mark.parametrize("optuna_first", [True, False])
def test_our_tables_live_beside_optunas_whoever_comes_first(url, optuna_storage, optuna_first):
    if not optuna_first:
        Store.open(url).close()
    storage = optuna_storage()
    study = optuna.create_study(storage=storage, study_name="digits/sgd")
    study.add_trial(optuna.trial.create_trial(value=1.0))
    before = {name: sql for name, sql in definitions(storage.engine).items() if "hpo_" not in name}

    with Store.open(url) as store:
        save(store, study_id=study._study_id)

        after = definitions(store.engine)
        assert {name: sql for name, sql in after.items() if "hpo_" not in name} == before
        assert {name for name in after if name.startswith("hpo_")} == {
            *metadata.tables,
            *(view.name for view in VIEWS),
            schema.VERSION_TABLE,
        }
        assert [row.study_id for row in store.studies()] == [study._study_id]
    assert optuna.load_study(study_name="digits/sgd", storage=storage).best_value == 1.0


def test_a_newer_schema_is_refused_and_says_what_to_do(url, store):
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE hpo_alembic_version SET version_num = '0999'"))

    for use in (Store.open, schema.check, schema.upgrade):
        with pytest.raises(StoreError) as caught:
            use(url)
        assert str(caught.value) == (
            f"database {url} has schema version 0999, which this automl-opt (knows up to 0007) "
            "does not know: it was written by a newer one; "
            "upgrade automl-opt or name another --storage"
        )


@sqlite_only
def test_check_and_upgrade_say_where_the_database_stands(url, tmp_path):
    assert schema.check(url).endswith("no such file yet; the first study creates it")
    assert not (tmp_path / "study.db").exists()

    (tmp_path / "study.db").touch()
    assert "no tables of automl-opt yet" in schema.check(url)

    assert schema.upgrade(url).endswith("schema none -> 0007")
    assert schema.upgrade(url).endswith("schema 0007, already up to date")
    assert schema.check(url).endswith("schema 0007, up to date")


@sqlite_only
@pytest.mark.parametrize("frozen", sorted(FROZEN.glob("*.sql")), ids=lambda file: file.stem)
def test_a_database_of_an_older_version_is_brought_up_to_date_with_all_it_holds(url, frozen):
    with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
        database.executescript(frozen.read_text("utf-8"))
    database.close()
    assert f"schema {frozen.stem}, and {schema.HEAD} is current" in schema.check(url)

    with Store.open(url) as store:
        [trial] = store.trials("digits")
        assert (trial.arm, trial.value, trial.status) == ("sgd", 0.5, Status.COMPLETE)
        assert len(store.curve(trial.trial_id)) == 7
        assert trial.seconds == 2.0
        assert store.verdicts("digits", "recipe") == []
    assert schema.check(url).endswith("up to date")


RESUMED = """
INSERT INTO hpo_study VALUES (1, 'digits', 'sgd', '{}', '[]', '0', '2026-01-01 00:00:00');
INSERT INTO hpo_environment VALUES (1, 'e', '{}');
INSERT INTO hpo_metric (id, name) VALUES (1, 'loss'), (2, 'accuracy');
INSERT INTO hpo_trial_run (run_id, study_id, trial_id, number, attempt, state, seed, recipe_json,
    epochs, from_epoch, worker, device, started_at, env_id)
VALUES
    (1, 1, 7, 0, 1, 'interrupted', '{}', '{}', 2, 0, 'a', 'cpu', '2026-01-01 00:00:00', 1),
    (2, 1, 7, 0, 2, 'complete', '{}', '{}', 3, 2, 'b', 'cpu', '2026-01-02 00:00:00', 1),
    (3, 1, 8, 1, 1, 'failed', '{}', '{}', 0, 0, 'b', 'cpu', '2026-01-02 00:00:00', 1);
INSERT INTO hpo_epoch_metric VALUES
    (1, 1, 'valid', 1, 0.5, 1.0), (1, 2, 'valid', 1, 0.5, 1.0), (1, 1, 'valid', 2, 0.5, 2.0),
    (2, 1, 'valid', 3, 0.5, 4.0), (2, 1, 'test', 3, 0.5, NULL)
"""


def test_the_seconds_of_trials_before_0003_are_those_of_their_epochs(url):
    engine = open_engine(url)
    with writing(engine) as connection:
        command.upgrade(schema.configuration(connection=connection), "0002")
        for statement in RESUMED.split(";"):
            connection.exec_driver_sql(statement)
    engine.dispose()

    with Store.open(url) as store:
        found = [(row.number, row.attempt, row.seconds) for row in store.trials("digits")]
        with store.engine.connect() as connection:
            first = connection.scalar(text("SELECT seconds FROM hpo_trial_run WHERE run_id = 1"))

    assert found == [(0, 2, 7.0), (1, 1, 0.0)]
    assert first == 3.0


STOPPED_AND_LOST = """
INSERT INTO hpo_study VALUES (1, 'digits', 'sgd', '{}', '[]', '0', '2026-01-01 00:00:00');
INSERT INTO hpo_environment VALUES (1, 'e', '{}');
INSERT INTO hpo_trial_run (run_id, study_id, trial_id, number, attempt, state, seed, recipe_json,
    epochs, from_epoch, worker, device, started_at, ended_at, env_id)
VALUES
    (1, 1, 7, 0, 1, 'interrupted', '{}', '{}', 2, 0, 'a', 'cpu', '2026-01-01', '2026-01-02', 1),
    (2, 1, 7, 0, 2, 'interrupted', '{}', '{}', 3, 2, 'b', 'cpu', '2026-01-02', '2026-01-03', 1),
    (3, 1, 7, 0, 3, 'complete', '{}', '{}', 3, 2, 'b', 'cpu', '2026-01-04', '2026-01-05', 1),
    (4, 1, 8, 1, 1, 'interrupted', '{}', '{}', 0, 0, 'b', 'cpu', '2026-01-05', '2026-01-06', 1)
"""


def test_attempts_before_0004_were_lost_where_the_next_began_as_they_ended(url):
    engine = open_engine(url)
    with writing(engine) as connection:
        command.upgrade(schema.configuration(connection=connection), "0003")
        for statement in STOPPED_AND_LOST.split(";"):
            connection.exec_driver_sql(statement)
    engine.dispose()

    with Store.open(url) as store, store.engine.connect() as connection:
        states = connection.scalars(text("SELECT state FROM hpo_trial_run ORDER BY run_id")).all()

    assert states == ["preempted", "stopped", "complete", "stopped"]


def test_every_version_but_the_last_has_a_frozen_database():
    assert [file.stem for file in sorted(FROZEN.glob("*.sql"))] == list(schema.VERSIONS[:-1])


def test_a_migration_that_fails_leaves_nothing_behind(url, monkeypatch):
    upgrade = command.upgrade

    def upgrade_and_fail(*arguments):
        upgrade(*arguments)
        raise RuntimeError("pulled the plug")

    monkeypatch.setattr(command, "upgrade", upgrade_and_fail)
    with pytest.raises(RuntimeError, match="plug"):
        Store.open(url)

    assert "no tables of automl-opt yet" in schema.check(url)


def test_a_database_that_is_up_to_date_opens_without_alembic_or_optuna(url, store):
    code = (
        "import sys; from automl_opt.store import Store; Store.open(sys.argv[1]).close(); "
        "print(sorted({'alembic', 'optuna', 'torch'} & sys.modules.keys()))"
    )

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, url], capture_output=True, text=True
    )

    assert (done.stdout, done.stderr) == ("[]\n", "")
