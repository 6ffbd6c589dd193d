"""A study copied to another database says what it said, and goes on as it would have."""

from __future__ import annotations

import csv
import itertools
import os
import shutil
import signal
from pathlib import Path

import optuna
import pytest
from sqlalchemy import text

from automl_opt.core.errors import StoreError
from automl_opt.core.result import Status
from automl_opt.core.seeds import Seeds
from automl_opt.core.verdict import Finding
from automl_opt.search.arms import storage_at
from automl_opt.store import Store, VerdictRun
from automl_opt.store.export import export_views
from automl_opt.store.importing import Imported, import_studies
from automl_opt.study.progress import Progress

from .examples import NAME, contents, run, write_study

PARENTS = "BaseGASampler:parent:1"
FEW = "search.trials=4"


class InterruptAt(Progress):
    def __init__(self, n: int) -> None:
        self.n, self.seen = n, []

    def epoch(self, report):
        self.seen.append(report)
        if len(self.seen) == self.n:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, host) -> Path:
    """A folder with a study that was interrupted in a trial, and has a verdict all the same."""
    folder = tmp_path_factory.mktemp("stopped")
    url = f"sqlite:///{folder}/study.db"
    study = write_study(folder / "study")
    progress = InterruptAt(17)
    assert run(study, url, FEW, host=host, progress=progress).stopped == "SIGINT"
    with Store.open(url) as store:
        store.begin_verdict(NAME, "recipe", {"old": True})
        row = store.begin_verdict(NAME, "recipe", {"candidates": []})
        for seed in range(2):
            ended = VerdictRun(
                stage="confirm",
                recipe="sgd #1",
                seed=seed,
                seeds=Seeds.of_trial(0, "confirm", seed),
                status=Status.COMPLETE,
                reason=None,
                value=0.1 + seed,
                metrics={"loss": 0.1},
                epochs=2,
                seconds=1.5,
                worker="here:1",
                device="cpu",
            )
            store.save_verdict_run(row, ended, {"torch": "2"}, progress.seen[:2])
        store.save_findings(NAME, [Finding(kind="edge", arm="sgd", evidence="seen", advice="do")])
    with storage_at(url) as storage:
        arm = optuna.load_study(study_name=f"{NAME}/adamw", storage=storage)
        arm.set_user_attr("mine", [1, 2])
        ids = [each._trial_id for each in arm.trials]
        storage.set_study_system_attr(arm._study_id, PARENTS, ids)
    return folder


def taken(url: str) -> str:
    """The same *url*, with rows in its tables and in Optuna's, so no id will be what it was."""
    with Store.open(url) as store, store.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO hpo_plugin (kind, name, version, distribution, distribution_version) "
            "VALUES ('optimizer', 'acme.other', 1, 'acme', '1.0')"
        )
        connection.exec_driver_sql("INSERT INTO hpo_metric (name) VALUES ('other')")
        connection.exec_driver_sql("INSERT INTO hpo_environment (sha256, json) VALUES ('0', '{}')")
    with Store.open(url) as store:
        store.begin_verdict("other", "recipe", {})
    with storage_at(url) as storage:
        for name in ("a", "b", "c"):
            optuna.create_study(storage=storage, study_name=name).enqueue_trial({})
    return url


def copy(source: str, target: str, *names: str) -> list[Imported]:
    with Store.open_to_read(source) as origin, Store.open(target) as store, storage_at(target):
        return import_studies(origin.engine, store.engine, names)


def views(url: str, folder: Path) -> dict[str, list[dict[str, str]]]:
    """Every row of the study in every view, but for ids and the 15 digits of SQLite's text."""
    with Store.open_to_read(url) as store:
        files = export_views(store.engine, folder, study=NAME)
    found = {}
    for file in files:
        with file.open(encoding="utf-8", newline="") as stream:
            rows = [dict(row) for row in csv.DictReader(stream)]
        for row in rows:
            row.pop("study_id", None)
            row.pop("trial_id", None)
            for key, value in row.items():
                try:
                    row[key] = f"{float(value):.12g}"
                except ValueError:
                    row[key] = value
        found[file.stem] = sorted(rows, key=lambda row: sorted(row.items()))
    return found


def test_a_study_goes_through_both_databases_and_on_as_it_would_have(
    stopped, postgresql, host, tmp_path
):
    urls = [
        f"sqlite:///{stopped}/study.db",
        taken(postgresql.new_database()),
        taken(f"sqlite:///{tmp_path}/a.db"),
        f"sqlite:///{tmp_path}/b.db",
    ]

    for source, target in itertools.pairwise(urls):
        [done] = copy(source, target)
        assert (done.study, done.arms) == (NAME, 2)

    first, *others = (views(url, tmp_path / f"views{i}") for i, url in enumerate(urls))
    assert {name for name, rows in first.items() if not rows} <= {"hpo_v_failure", "hpo_v_look"}
    assert others == [first, first, first]
    assert len(first["hpo_v_confirmed_curve"]) == 2 * 2 * 3
    for url in urls:
        with storage_at(url) as storage:
            arm = optuna.load_study(study_name=f"{NAME}/adamw", storage=storage)
            parents = storage.get_study_system_attrs(arm._study_id)[PARENTS]
            assert parents == [each._trial_id for each in arm.trials]
            assert arm.user_attrs == {"mine": [1, 2]}

    original = shutil.copytree(stopped, tmp_path / "original")
    run(stopped / "study", f"sqlite:///{original}/study.db", FEW, host=host)
    run(stopped / "study", urls[-1], FEW, host=host)
    assert contents(urls[-1]) == contents(f"sqlite:///{original}/study.db")


def test_a_study_by_name_comes_with_its_retunings_and_no_other(tmp_path):
    names = [NAME, f"{NAME}.retune0.3", f"{NAME}.extended", f"{NAME}.retuned"]
    source = f"sqlite:///{tmp_path}/source.db"
    with storage_at(source) as storage, Store.open(source) as store:
        for name in names:
            theirs = optuna.create_study(storage=storage, study_name=f"{name}/sgd")
            given = {"spec_json": "{}", "space_json": "[]", "space_hash": "0"}
            store.save_study(study_id=theirs._study_id, name=name, arm="sgd", **given)

    done = copy(source, f"sqlite:///{tmp_path}/target.db", NAME)

    assert [each.study for each in done] == names[:2]


def rows(url: str) -> list[int]:
    with Store.open_to_read(url) as store, store.engine.connect() as connection:
        tables = ("hpo_study", "hpo_trial_run", "hpo_epoch_metric", "hpo_verdict", "trials")
        return [connection.scalar(text(f"SELECT count(*) FROM {name}")) for name in tables]


def test_a_name_that_is_taken_is_refused_and_nothing_is_written(stopped, tmp_path):
    source, target = f"sqlite:///{stopped}/study.db", f"sqlite:///{tmp_path}/other.db"
    copy(source, target, NAME)
    before = rows(target)

    for wrong, said in [
        ((), f"has a study '{NAME}' already, .* nothing was imported"),
        (("cloud",), f"has no study 'cloud'; did you mean '{NAME}'"),
    ]:
        with pytest.raises(StoreError, match=said):
            copy(source, target, *wrong)
    assert rows(target) == before


def test_what_fails_at_its_last_row_leaves_none(stopped, tmp_path):
    target = f"sqlite:///{tmp_path}/full.db"
    with Store.open(target) as store, store.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER no_room BEFORE INSERT ON hpo_finding "
            "BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )

    with pytest.raises(StoreError, match="nothing was kept: no room"):
        copy(f"sqlite:///{stopped}/study.db", target)

    assert rows(target) == [0] * 5


def test_a_study_in_training_is_refused(stopped, tmp_path):
    source = shutil.copytree(stopped, tmp_path / "running")
    with Store.open(f"sqlite:///{source}/study.db") as store, store.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE hpo_trial_run SET state = 'running', lease_until = '9999-01-01 00:00:00' "
            "WHERE state = 'stopped'"
        )

    with pytest.raises(StoreError, match="a study is in training, by "):
        copy(f"sqlite:///{source}/study.db", f"sqlite:///{tmp_path}/other.db")
