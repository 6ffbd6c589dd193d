"""``automl-opt db``: a database's schema, its views as files, and what it may forget."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import sys
from contextlib import closing

import pytest

from automl_opt.cli.main import cli
from automl_opt.core.errors import StoreError
from automl_opt.store.schema import HEAD

from .shell import automl_opt, command

URL = "sqlite:///automl_opt.db"


def test_check_says_that_a_database_of_a_study_is_up_to_date(finished):
    done = automl_opt("db", "check", folder=finished)

    assert (done.code, done.err) == (0, "")
    assert done.out == f"{URL}: schema {HEAD}, up to date\n"


def test_check_creates_nothing(tmp_path):
    done = automl_opt("db", "check", folder=tmp_path)

    assert done.code == 0
    assert done.out == f"{URL}: no such file yet; the first study creates it\n"
    assert list(tmp_path.iterdir()) == []


def test_upgrade_creates_a_database_once(tmp_path):
    first = automl_opt("db", "upgrade", folder=tmp_path)
    second = automl_opt("db", "upgrade", folder=tmp_path)

    assert first.out == f"{URL}: schema none -> {HEAD}\n"
    assert second.out == f"{URL}: schema {HEAD}, already up to date\n"
    assert automl_opt("db", "check", folder=tmp_path).out.endswith("up to date\n")


@pytest.mark.parametrize("action", ["check", "upgrade"])
def test_a_database_of_a_newer_version_is_refused_and_left_alone(action, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "copy")
    with closing(sqlite3.connect(folder / "automl_opt.db")) as database, database:
        database.execute("UPDATE hpo_alembic_version SET version_num = '9999'")

    done = automl_opt("db", action, folder=folder)

    assert done.code == 2
    assert "9999" in done.err
    assert "upgrade automl-opt" in done.err
    with closing(sqlite3.connect(folder / "automl_opt.db")) as database:
        version = database.execute("SELECT version_num FROM hpo_alembic_version").fetchone()
    assert version == ("9999",)


@pytest.mark.parametrize("action", ["check", "upgrade"])
def test_storage_names_the_database(action, tmp_path):
    done = automl_opt("db", action, "--storage", "nosuchsql://host/db", folder=tmp_path)

    assert done.code == 2
    assert done.err.startswith("Error: nosuchsql://host/db: no driver is known")


@pytest.fixture
def copy(finished, tmp_path):
    """The folder of a study that has been run, to be changed."""
    return shutil.copytree(finished, tmp_path / "copy")


def asked(folder, query: str) -> list[tuple]:
    with closing(sqlite3.connect(folder / "automl_opt.db")) as database, database:
        return database.execute(query).fetchall()


def test_export_writes_what_the_views_say(copy):
    done = automl_opt("db", "export", "--view", "hpo_v_leaderboard", "-o", "out", folder=copy)

    assert (done.code, done.err) == (0, "")
    assert done.out == "out/hpo_v_leaderboard.csv: 2 rows\n"
    with (copy / "out" / "hpo_v_leaderboard.csv").open(encoding="utf-8", newline="") as stream:
        best = {row["arm"]: float(row["best"]) for row in csv.DictReader(stream)}
    assert best == dict(asked(copy, "SELECT arm, best FROM hpo_v_leaderboard"))


def test_export_of_all_is_told_in_json(copy):
    done = automl_opt("db", "export", "--json", folder=copy)

    written = json.loads(done.out)
    assert len(written) == len(list((copy / "export").glob("hpo_v_*.csv"))) > 10
    [trials] = [each["rows"] for each in written if each["file"] == "export/hpo_v_trial.csv"]
    assert trials == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export", "--view", "hpo_v_trail"], "did you mean 'hpo_v_trial'"),
        (["export", "--study", "lime"], "did you mean 'line'"),
        (["export", "--format", "xls"], "'xls' is not one of"),
        (["export", "-o", "task.py"], "is a file"),
        (["export", "--storage", "sqlite:///none.db"], "there is no such file"),
        (["prune", "--older-than", "30"], "'30' is no duration; write 30d"),
        (["prune", "--keep-every", "-1"], "-1 is not in the range"),
        (["prune", "--storage", "sqlite:///none.db"], "there is no such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_told_in_a_line_and_changes_nothing(arguments, said, copy):
    done = automl_opt("db", *arguments, folder=copy)

    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert not (copy / "export").exists()
    assert not (copy / "none.db").exists()


def test_import_copies_a_study_once(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    source = str(finished / "automl_opt.db")

    cli.main(["db", "import", source, "--json"], standalone_mode=False)

    assert json.loads(capsys.readouterr().out) == [{"study": "line", "arms": 2, "trials": 4}]
    for words, said in [
        ([source], "has a study 'line' already"),
        (["none.db"], "sqlite:///none.db: there is no such file"),
        ([source, "--study", "lime"], "did you mean 'line'"),
    ]:
        with pytest.raises(StoreError, match=said):
            cli.main(["db", "import", *words], standalone_mode=False)
    assert asked(tmp_path, "SELECT count(*) FROM hpo_v_trial") == [(4,)]


def test_prune_thins_old_epochs_and_says_so_before(copy):
    with closing(sqlite3.connect(copy / "automl_opt.db")) as database, database:
        database.execute("UPDATE hpo_trial_run SET ended_at = '2020-01-01 00:00:00.000000'")
        database.execute(
            "INSERT INTO hpo_epoch_metric SELECT run_id, metric_id, split, epoch + 10, value, 1 "
            "FROM hpo_epoch_metric WHERE split = 'train'"
        )
    before = asked(copy, "SELECT count(*) FROM hpo_epoch_metric")[0][0]
    arguments = ("db", "prune", "--older-than", "30d", "--keep-every", "0")

    told = automl_opt(*arguments, "--dry-run", folder=copy)
    assert asked(copy, "SELECT count(*) FROM hpo_epoch_metric")[0][0] == before
    done = automl_opt(*arguments, "--json", folder=copy)

    after = asked(copy, "SELECT count(*) FROM hpo_epoch_metric")[0][0]
    assert json.loads(done.out) == {
        "dry_run": False,
        "orphans": [],
        "epochs": {"rows": before - after, "trials": 4},
    }
    assert told.out == (
        "Every study is still in Optuna's tables.\n"
        f"{before - after} epoch rows of 4 trials would be deleted\n"
    )
    assert before > after
    assert automl_opt("report", ".", folder=copy).code == 0


def test_prune_sweeps_what_optuna_deleted_and_the_study_runs_anew(copy):
    code = f"import optuna; optuna.delete_study(study_name='line/sgd', storage='{URL}')"
    deleted = command([sys.executable, "-c", code], copy)
    assert deleted.code == 0, deleted.err

    refused = automl_opt("run", ".", folder=copy)
    told = automl_opt("db", "prune", "--dry-run", folder=copy)
    swept = automl_opt("db", "prune", folder=copy)
    again = automl_opt("run", ".", folder=copy)

    assert refused.code == 2
    assert "'automl-opt db prune' sweeps away what it left" in refused.err
    assert swept.out == "line/sgd: 2 trials no longer in Optuna's tables, deleted\n"
    assert told.out == swept.out.replace("deleted", "would be deleted")
    assert again.code == 0, again.err
    assert asked(copy, "SELECT arm, trials FROM hpo_v_leaderboard ORDER BY arm") == [
        ("adamw", 2),
        ("sgd", 2),
    ]
