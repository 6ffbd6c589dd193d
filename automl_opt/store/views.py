"""The public views ``hpo_v_*``: all of them, and how they get into a database.

Views hold no data, so they are no part of the migrations: whenever a database is brought to our
schema, all of them are dropped before its tables change and made anew afterwards. Each is therefore
defined once, in the two modules imported here; a change needs a new version in ``schema.py``.

A view keeps its columns and their meaning: a column may be added, and what has to break comes
under a new name, ``hpo_v2_*``. They read our tables only. Optuna's are Optuna's to alter, which
PostgreSQL refuses for a column that a view reads.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, inspect, text

from automl_opt.store.views_of_trials import TRIAL_VIEWS
from automl_opt.store.views_of_verdicts import VERDICT_VIEWS

VIEWS: Final = (*TRIAL_VIEWS, *VERDICT_VIEWS)
"""Every public view, in the order of the documentation."""


def drop(connection: Connection) -> None:
    """Take all public views away, those of other versions too: tables can change then."""
    for name in sorted(inspect(connection).get_view_names()):
        if name.startswith("hpo_v"):
            connection.execute(text(f"DROP VIEW {name}"))


def create(connection: Connection) -> None:
    """Make all public views, in the place of what there is; the tables must be ours, as now."""
    drop(connection)
    for view in VIEWS:
        query = view.query(connection.dialect)
        connection.exec_driver_sql(f"CREATE VIEW {view.name} AS {query.strip()}")
