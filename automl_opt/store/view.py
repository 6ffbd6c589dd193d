"""What a public view is made of: a query, and the meaning of each of its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Dialect

from automl_opt.core.errors import StoreError


class Column(NamedTuple):
    """A column of a view; *type* is text, integer, real or time, which is in UTC."""

    name: str
    type: str
    meaning: str
    unit: str = ""


@dataclass(frozen=True)
class View:
    """One view.

    Args:
        row: what a row is, as the end of "a row is …".
        sql: a query that SQLite and PostgreSQL accept once the names in braces are those of
            :data:`DIALECTS`.
    """

    name: str
    row: str
    columns: tuple[Column, ...]
    sql: str

    def query(self, dialect: Dialect) -> str:
        """The query behind the view, for one *dialect*.

        Raises:
            StoreError: the views are not written for it.
        """
        if dialect.name not in DIALECTS:
            raise StoreError(
                f"our views are written for {' and '.join(DIALECTS)}, not for {dialect.name}"
            )
        return self.sql.format(**DIALECTS[dialect.name])


DIALECTS: Final = {
    "sqlite": {
        "question": "json_extract(s.spec_json, '$.question')",
        "metric": "json_extract(s.spec_json, '$.\"[objective] metric\"')",
        "direction": "json_extract(s.spec_json, '$.\"[objective] direction\"')",
        "budget": "json_extract(s.spec_json, '$.\"[search] trials\"')",
        "strategy": "json_extract(s.spec_json, '$.\"[search] strategy\".name')",
        "pruner": "json_extract(s.spec_json, '$.\"[search] pruner\".name')",
        "python": "json_extract(e.json, '$.python')",
        "torch": "json_extract(e.json, '$.torch')",
        "optuna": "json_extract(e.json, '$.optuna')",
        "automl_opt": "json_extract(e.json, '$.\"automl-opt\"')",
        "platform": "json_extract(e.json, '$.platform')",
        "each_param": "json_each(p.params_json) e",
        "each_model": "json_each(r.recipe_json, '$.model') e",
        "each_setting": "json_each(r.recipe_json) e",
        "as_text": "CASE e.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false'"
        " ELSE CAST(e.value AS TEXT) END",
        "as_number": "CASE WHEN e.type IN ('integer', 'real') THEN CAST(e.value AS REAL) END",
    },
    "postgresql": {
        "question": "s.spec_json::json ->> 'question'",
        "metric": "s.spec_json::json ->> '[objective] metric'",
        "direction": "s.spec_json::json ->> '[objective] direction'",
        "budget": "(s.spec_json::json ->> '[search] trials')::integer",
        "strategy": "s.spec_json::json -> '[search] strategy' ->> 'name'",
        "pruner": "s.spec_json::json -> '[search] pruner' ->> 'name'",
        "python": "e.json::json ->> 'python'",
        "torch": "e.json::json ->> 'torch'",
        "optuna": "e.json::json ->> 'optuna'",
        "automl_opt": "e.json::json ->> 'automl-opt'",
        "platform": "e.json::json ->> 'platform'",
        "each_param": "json_each(p.params_json::json) e",
        "each_model": "json_each(r.recipe_json::json -> 'model') e",
        "each_setting": "json_each(r.recipe_json::json) e",
        "as_text": "e.value #>> '{}'",
        "as_number": "CASE WHEN json_typeof(e.value) = 'number'"
        " THEN (e.value #>> '{}')::double precision END",
    },
}
"""What the two databases write differently, all of it JSON."""

STUDY = Column("study", "text", "the study's name")
ARM = Column("arm", "text", "the arm's name")
TRIAL = Column("trial", "integer", "the trial's number within its arm, from 0")
STATE = Column(
    "state",
    "text",
    "`running`; `stopped` or `preempted` (its process was lost), to go on; `complete`, `pruned`, "
    "`diverged`, `out_of_memory` or `failed`",
)
