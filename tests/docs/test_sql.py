"""What the page on SQL says of the views is so, and each of its queries runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from automl_opt.store import Store
from automl_opt.store.views import VIEWS

from .page import blocks

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "sql.md").read_text("utf-8")
QUERIES = [block.text for block in blocks(PAGE) if block.language == "sql"]
MAY_BE_EMPTY = (  # nothing failed, nothing was judged
    "hpo_v_failure",
    "hpo_v_confirmed",
    "hpo_v_confirmed_curve",
)


def of(query: str) -> str:
    """The first view that *query* reads."""
    return query.partition("FROM ")[2].split()[0]


def test_every_view_is_there_with_its_columns():
    for view in VIEWS:
        section = PAGE.partition(f"\n### {view.name}\n")[2].partition("\n### ")[0]
        for column in view.columns:
            assert f"| `{column.name}` | {column.type} | {column.meaning} |" in section


@pytest.mark.parametrize("query", QUERIES, ids=of)
def test_a_query_answers_on_the_database_of_a_study(query, with_a_study):
    with closing(sqlite3.connect(with_a_study.folder / "automl_opt.db")) as connection:
        rows = connection.execute(query).fetchall()

    assert rows or of(query) in MAY_BE_EMPTY


@pytest.mark.parametrize("query", QUERIES, ids=of)
def test_a_query_is_understood_by_every_database(query, database):
    with Store.open(database) as store, store.engine.connect() as connection:
        assert connection.execute(text(query)).fetchall() == []


def test_the_queries_cover_what_dashboards_ask_for():
    asked = {view.name for view in VIEWS for query in QUERIES if view.name in query}

    assert asked >= {
        "hpo_v_leaderboard",
        "hpo_v_confirmed",
        "hpo_v_curve",
        "hpo_v_budget",
        "hpo_v_resource",
        "hpo_v_failure",
        "hpo_v_plugin",
    }
