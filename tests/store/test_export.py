from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime

import pytest
from pyarrow import parquet

from automl_opt.core.errors import StoreError
from automl_opt.store.export import export_views
from automl_opt.store.views import VIEWS

from .examples import report, result, save, start, trial


@pytest.fixture
def study(store):
    """A trial that ended, with what spoils a careless table: quotes, a line's end, infinity."""
    start(store, trial())
    store.epoch(report(trial(), 1, loss=float("inf")))
    store.finish(result(trial(), 1, value=0.1 + 0.2, reason='it said "no",\nand stopped'))
    save(store, study_id=2, name="other", arm="adam")
    return store


def read(file) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_view_is_a_file_with_its_columns_and_its_rows(study, tmp_path):
    written = export_views(study.engine, tmp_path / "out")

    assert sorted(file.name for file in written) == sorted(f"{view.name}.csv" for view in VIEWS)
    assert sorted(written) == sorted((tmp_path / "out").iterdir())
    for view in VIEWS:
        file = tmp_path / "out" / f"{view.name}.csv"
        assert file.read_text("utf-8").partition("\n")[0].split(",") == [
            column.name for column in view.columns
        ]
        assert len(read(file)) == written[file]


def test_what_is_read_back_is_what_was_written(study, tmp_path):
    export_views(study.engine, tmp_path, names=["hpo_v_trial", "hpo_v_curve"])

    [row] = read(tmp_path / "hpo_v_trial.csv")
    assert float(row["value"]) == 0.1 + 0.2
    assert row["reason"] == 'it said "no",\nand stopped'
    assert row["lease_until"] == ""
    ended = datetime.fromisoformat(row["ended_at"])
    assert ended.utcoffset().total_seconds() == 0
    assert abs((datetime.now(UTC) - ended).total_seconds()) < 60
    losses = [
        each["value"]
        for each in read(tmp_path / "hpo_v_curve.csv")
        if each["metric"] == "loss" and each["split"] == "train"
    ]
    assert losses == ["inf"]


def test_only_what_belongs_to_a_study_is_written(study, tmp_path):
    written = export_views(study.engine, tmp_path, names=["hpo_v_study"], study="other")

    assert [row["arm"] for row in read(*written)] == ["adam"]


def test_an_unknown_view_or_study_is_told_and_nothing_is_written(study, tmp_path):
    with pytest.raises(StoreError, match="did you mean 'hpo_v_trial'"):
        export_views(study.engine, tmp_path / "out", names=["hpo_v_trail"])
    with pytest.raises(StoreError, match="has no study 'othre'; did you mean 'other'"):
        export_views(study.engine, tmp_path / "out", study="othre")

    assert not (tmp_path / "out").exists()


def test_a_file_is_replaced_once_the_new_one_is_whole(study, tmp_path, monkeypatch):
    [file] = export_views(study.engine, tmp_path, names=["hpo_v_trial"])
    before = file.read_text("utf-8")
    monkeypatch.setattr("automl_opt.store.export._field", lambda value: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        export_views(study.engine, tmp_path, names=["hpo_v_trial"])

    assert file.read_text("utf-8") == before
    assert [each.name for each in tmp_path.glob("*.part")] == []


def test_parquet_has_the_types_of_the_views(study, tmp_path):
    written = export_views(study.engine, tmp_path, format="parquet")

    assert len(written) == len(VIEWS)
    table = parquet.read_table(tmp_path / "hpo_v_trial.parquet")
    [row] = table.to_pylist()
    assert [str(table.schema.field(name).type) for name in ("study", "trial", "value")] == [
        "string",
        "int64",
        "double",
    ]
    assert row["value"] == 0.1 + 0.2
    assert row["lease_until"] is None
    assert abs((datetime.now(UTC) - row["ended_at"]).total_seconds()) < 60


def test_parquet_without_pyarrow_says_what_to_install(study, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(StoreError, match=r"pip install 'automl-opt\[parquet\]'"):
        export_views(study.engine, tmp_path, format="parquet")
