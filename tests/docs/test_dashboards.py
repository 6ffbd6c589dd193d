"""The Grafana dashboard reads our views only, and every query of it runs."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError

from automl_opt.store import Store, views
from automl_opt.store.views import VIEWS

from .page import blocks

HOWTO = Path(__file__).parents[2] / "docs" / "howto"
DASHBOARD = json.loads((HOWTO / "grafana" / "study.json").read_text("utf-8"))
MAY_BE_EMPTY = {
    "In training",
    "Verdict over common seeds",
    "Failures",
    "What speaks against it",
    "Learning curves of the finalists",
}


def queries() -> Iterator[tuple[str, str]]:
    """``(whose, SQL)`` as Grafana has it, macros and variables and all."""
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["rawSql"]


QUERIES = list(queries())


def asked(sql: str, **values: list[str]) -> str:
    """What Grafana sends for *sql*: its time filter and variables filled in."""
    sql = re.sub(
        r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN '2000-01-01T00:00:00Z' AND '2100-01-01'", sql
    )
    for name, chosen in values.items():
        listed = ", ".join("'" + each.replace("'", "''") + "'" for each in chosen)
        sql = sql.replace(f"${{{name}:sqlstring}}", listed)
    assert "$" not in sql, sql
    return sql


def test_it_reads_our_views_only():
    ours = {view.name for view in VIEWS}
    read = {name for _, sql in QUERIES for name in re.findall(r"(?:FROM|JOIN)\s+(\w+)", sql)}

    assert len(QUERIES) > 12
    assert read <= ours
    assert len(read) >= 9


@pytest.mark.parametrize(("whose", "sql"), QUERIES, ids=[whose for whose, _ in QUERIES])
def test_a_query_answers_on_the_database_of_a_study(whose, sql, with_a_study):
    with closing(sqlite3.connect(with_a_study.folder / "automl_opt.db")) as connection:
        arms = [arm for (arm,) in connection.execute("SELECT arm FROM hpo_v_study")]
        cursor = connection.execute(asked(sql, study=["digits"], arm=arms, param=["lr"]))
        rows = cursor.fetchall()

    assert rows or whose in MAY_BE_EMPTY


@pytest.mark.parametrize(("whose", "sql"), QUERIES, ids=[whose for whose, _ in QUERIES])
def test_a_query_is_understood_by_every_database(whose, sql, database):
    with Store.open(database) as store, store.engine.connect() as connection:
        query = asked(sql, study=["it's"], arm=["a", "b"], param=["lr"])
        assert connection.exec_driver_sql(query).fetchall() == []


FINALISTS = """
INSERT INTO hpo_verdict (id, name, kind, number, plan_json, created_at, updated_at)
    VALUES (1, 'digits', 'recipe', 0, '{}', '2026-01-01', '2026-01-01');
INSERT INTO hpo_verdict_run SELECT 1, 'confirm', 'sgd #0', s.value, '{}', 'complete', NULL, 0.5,
    '{}', 1, 1.0, 'here', 'cpu', '2026-01-01', min(e.id)
    FROM hpo_environment e JOIN json_each('[0, 1]') s GROUP BY s.value;
INSERT INTO hpo_verdict_epoch SELECT 1, 'confirm', 'sgd #0', s.value, m.id, p.value, 1,
    s.value + 0.25, 1.0
    FROM hpo_metric m JOIN json_each('[0, 1]') s JOIN json_each('["train", "valid"]') p
"""


def test_the_curve_of_a_finalist_is_the_mean_over_its_seeds(with_a_study):
    [sql] = [sql for whose, sql in QUERIES if whose == "Learning curves of the finalists"]
    with closing(sqlite3.connect(":memory:")) as connection:
        with closing(sqlite3.connect(with_a_study.folder / "automl_opt.db")) as original:
            original.backup(connection)
        connection.executescript(FINALISTS)
        metrics = connection.execute("SELECT count(*) FROM hpo_metric").fetchone()
        found = connection.execute(asked(sql, study=["digits"])).fetchall()

    assert metrics > (1,)
    assert found == [("sgd #0", 1, 0.75)]


def test_charts_draw_columns_that_their_query_gives(with_a_study):
    charts = [panel for panel in DASHBOARD["panels"] if panel["type"] == "xychart"]
    assert len(charts) == 5
    for panel in charts:
        [series] = panel["options"]["series"]
        [by] = panel["transformations"][0]["options"]["fields"]
        drawn = {series[axis]["matcher"]["options"] for axis in ("x", "y")} | {by}
        with closing(sqlite3.connect(with_a_study.folder / "automl_opt.db")) as connection:
            query = asked(panel["targets"][0]["rawSql"], study=[""], arm=[""], param=[""])
            columns = {column[0] for column in connection.execute(query).description}
        assert drawn == columns


def test_every_panel_has_its_own_place_and_number():
    panels = DASHBOARD["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_the_role_of_the_page_reads_and_cannot_write(postgresql):
    page = (HOWTO / "dashboards.md").read_text("utf-8")
    [statements] = [block.text for block in blocks(page) if block.language == "sql"]
    url = postgresql.new_database()
    Store.open(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(statements)
    with engine.begin() as connection:
        views.create(connection)  # as an upgrade does

    with engine.connect() as connection:
        connection.execute(text("SET ROLE grafana"))
        for view in VIEWS:
            connection.exec_driver_sql(f"SELECT * FROM {view.name}")
        with pytest.raises(ProgrammingError, match="permission denied"):
            connection.exec_driver_sql("DELETE FROM hpo_study")
    engine.dispose()
