"""The public views ``hpo_v_*``: what they are made of, and what each of their columns means.

Views hold no data, so they are no part of the migrations: whenever a database is brought to our
schema, all of them are dropped before its tables change and made anew afterwards. What is written
here is therefore the one definition of each; a change needs a new version in ``schema.py``.

A view keeps its columns and their meaning: a column may be added, and what has to break comes
under a new name, ``hpo_v2_*``. They read our tables only. Optuna's are Optuna's to alter, which
PostgreSQL refuses for a column that a view reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, Dialect, inspect, text

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
    "`running`, `interrupted`, `complete`, `pruned`, `diverged`, `out_of_memory` or `failed`",
)
KIND = Column("kind", "text", "`recipe`: which recipe to use; `arm`: which search found better")
SEEDS = Column("seeds", "integer", "common seeds that were trained")

_LATEST = """NOT EXISTS (
        SELECT 1 FROM hpo_trial_run l WHERE l.trial_id = r.trial_id AND l.attempt > r.attempt
    )"""

VIEWS: Final = (
    View(
        "hpo_v_study",
        "an arm of a study and what it was asked for",
        (
            Column("study_id", "integer", "the number of the arm's study in Optuna's tables"),
            STUDY,
            ARM,
            Column("question", "text", "the question that the study file asks"),
            Column("metric", "text", "the metric that is searched for, on the validation split"),
            Column("direction", "text", "`minimize` or `maximize`"),
            Column("budget", "integer", "trials that each arm may have", "trials"),
            Column("strategy", "text", "the search strategy"),
            Column("pruner", "text", "the pruner"),
            Column("space_hash", "text", "SHA-256 of the arm's search space"),
            Column("created_at", "time", "when the arm was begun"),
        ),
        """
SELECT s.study_id, s.name AS study, s.arm, {question} AS question, {metric} AS metric,
    {direction} AS direction, {budget} AS budget, {strategy} AS strategy, {pruner} AS pruner,
    s.space_hash, s.created_at
FROM hpo_study s
""",
    ),
    View(
        "hpo_v_trial",
        "a trial, as its latest attempt has it",
        (
            STUDY,
            ARM,
            TRIAL,
            Column("trial_id", "integer", "the trial's number in Optuna's tables"),
            Column("attempt", "integer", "how many times it was begun; more than 1 if resumed"),
            STATE,
            Column("reason", "text", "why it failed or was stopped"),
            Column("value", "real", "the searched metric on the validation split", "the metric's"),
            Column("epochs", "integer", "epochs trained; while running, up to the checkpoint"),
            Column("seconds", "real", "time in training, over all attempts", "s"),
            Column("worker", "text", "host and process that trained it"),
            Column("device", "text", "the device it was trained on"),
            Column("started_at", "time", "when the latest attempt began"),
            Column("ended_at", "time", "when it ended"),
            Column("lease_until", "time", "while running: when others may take it over"),
        ),
        f"""
SELECT s.name AS study, s.arm, r.number AS trial, r.trial_id, r.attempt, r.state, r.reason,
    r.value, r.epochs, r.seconds, r.worker, r.device, r.started_at, r.ended_at, r.lease_until
FROM hpo_study s
JOIN hpo_trial_run r ON r.study_id = s.study_id
WHERE {_LATEST}
""",
    ),
    View(
        "hpo_v_param",
        "a parameter of a trial's recipe",
        (
            STUDY,
            ARM,
            TRIAL,
            Column(
                "role",
                "text",
                "`optimizer`, `scheduler`, `regularizer`, `initializer`, `model`, or `recipe` for "
                "`batch_size`, `accumulate` and `lr_scaling`",
            ),
            Column("position", "integer", "place within the role, from 0; a wrapper comes first"),
            Column("component", "text", "the component's id; NULL for `model` and `recipe`"),
            Column("param", "text", "the parameter's name"),
            Column("value", "text", "its value, as text; SQLite gives 15 digits"),
            Column("number", "real", "its value, where it is a number", "the parameter's"),
        ),
        f"""
SELECT s.name AS study, s.arm, r.number AS trial, p.role, p.position, c.name AS component,
    e.key AS param, {{as_text}} AS value, {{as_number}} AS number
FROM hpo_study s
JOIN hpo_trial_run r ON r.study_id = s.study_id
JOIN hpo_run_plugin p ON p.run_id = r.run_id
JOIN hpo_plugin c ON c.id = p.plugin_id
CROSS JOIN {{each_param}}
WHERE {_LATEST}
UNION ALL
SELECT s.name, s.arm, r.number, 'model', 0, NULL, e.key, {{as_text}}, {{as_number}}
FROM hpo_study s
JOIN hpo_trial_run r ON r.study_id = s.study_id
CROSS JOIN {{each_model}}
WHERE {_LATEST}
UNION ALL
SELECT s.name, s.arm, r.number, 'recipe', 0, NULL, e.key, {{as_text}}, {{as_number}}
FROM hpo_study s
JOIN hpo_trial_run r ON r.study_id = s.study_id
CROSS JOIN {{each_setting}}
WHERE e.key IN ('batch_size', 'accumulate', 'lr_scaling') AND {_LATEST}
""",
    ),
    View(
        "hpo_v_curve",
        "one metric on one split after one epoch of a trial",
        (
            STUDY,
            ARM,
            TRIAL,
            Column("metric", "text", "the metric's name"),
            Column("split", "text", "`train`, `valid` or, once at the end, `test`"),
            Column("epoch", "integer", "counts from 1"),
            Column("value", "real", "NULL where it was no number", "the metric's"),
            Column("seconds", "real", "the epoch's time, the same in each of its rows", "s"),
        ),
        """
SELECT s.name AS study, s.arm, r.number AS trial, m.name AS metric, e.split, e.epoch, e.value,
    e.seconds
FROM hpo_study s
JOIN hpo_trial_run r ON r.study_id = s.study_id
JOIN hpo_epoch_metric e ON e.run_id = r.run_id
JOIN hpo_metric m ON m.id = e.metric_id
""",
    ),
    View(
        "hpo_v_leaderboard",
        "an arm and how its trials did on the validation split: a ranking, no verdict",
        (
            STUDY,
            ARM,
            Column("metric", "text", "the metric that is searched for"),
            Column("direction", "text", "`minimize` or `maximize`"),
            Column("trials", "integer", "trials begun"),
            Column("running", "integer", "of these: in training, or interrupted"),
            Column("complete", "integer", "of these: complete"),
            Column("pruned", "integer", "of these: pruned"),
            Column("failed", "integer", "of these: diverged, out of memory or failed"),
            Column("best", "real", "best value of a complete trial", "the metric's"),
            Column("best_trial", "integer", "the first trial that has it"),
            Column("mean", "real", "mean value of the complete trials", "the metric's"),
            Column(
                "standard_error",
                "real",
                "of that mean, over trials of different recipes; NULL below two",
                "the metric's",
            ),
            Column("seconds", "real", "time in training, failed and pruned trials too", "s"),
        ),
        f"""
SELECT t.study, t.arm, t.metric, t.direction, t.trials,
    t.trials - t.complete - t.pruned - t.failed AS running, t.complete, t.pruned, t.failed,
    CASE t.direction WHEN 'maximize' THEN t.highest ELSE t.lowest END AS best,
    (
        SELECT min(r.number) FROM hpo_trial_run r
        WHERE r.study_id = t.study_id AND r.state = 'complete'
            AND r.value = CASE t.direction WHEN 'maximize' THEN t.highest ELSE t.lowest END
            AND {_LATEST}
    ) AS best_trial,
    t.mean,
    CASE WHEN t.complete > 1 THEN (
        SELECT sqrt(sum((r.value - t.mean) * (r.value - t.mean)) / (count(r.value) - 1.0)
            / count(r.value))
        FROM hpo_trial_run r
        WHERE r.study_id = t.study_id AND r.state = 'complete' AND {_LATEST}
    ) END AS standard_error,
    t.seconds
FROM (
    SELECT s.study_id, s.name AS study, s.arm, {{metric}} AS metric, {{direction}} AS direction,
        count(r.run_id) AS trials,
        count(CASE r.state WHEN 'complete' THEN 1 END) AS complete,
        count(CASE r.state WHEN 'pruned' THEN 1 END) AS pruned,
        count(CASE WHEN r.state IN ('diverged', 'out_of_memory', 'failed') THEN 1 END) AS failed,
        min(CASE r.state WHEN 'complete' THEN r.value END) AS lowest,
        max(CASE r.state WHEN 'complete' THEN r.value END) AS highest,
        avg(CASE r.state WHEN 'complete' THEN r.value END) AS mean,
        coalesce(sum(r.seconds), 0.0) AS seconds
    FROM hpo_study s
    LEFT JOIN hpo_trial_run r ON r.study_id = s.study_id AND {_LATEST}
    GROUP BY s.name, s.arm, s.study_id, s.spec_json
) t
""",
    ),
    View(
        "hpo_v_budget",
        "a trial that has ended, and the best value found with what was spent until then",
        (
            STUDY,
            ARM,
            TRIAL,
            STATE,
            Column("ended_at", "time", "when it ended"),
            Column("value", "real", "of a complete trial", "the metric's"),
            Column("trials", "integer", "trials of the arm that had ended, this one too"),
            Column("seconds", "real", "time they were in training", "s"),
            Column("best", "real", "the best of their values", "the metric's"),
            Column("study_trials", "integer", "trials of all arms that had ended"),
            Column("study_seconds", "real", "time they were in training", "s"),
            Column("study_best", "real", "the best of their values", "the metric's"),
        ),
        f"""
SELECT a.study, a.arm, a.trial, a.state, a.ended_at, a.value, a.trials, a.seconds,
    a.sign * a.least AS best,
    count(*) OVER of_study AS study_trials,
    sum(a.own_seconds) OVER of_study AS study_seconds,
    a.sign * min(a.sign * a.value) OVER of_study AS study_best
FROM (
    SELECT t.study, t.arm, t.trial, t.trial_id, t.state, t.ended_at, t.value, t.own_seconds, t.sign,
        count(*) OVER of_arm AS trials,
        sum(t.own_seconds) OVER of_arm AS seconds,
        min(t.sign * t.value) OVER of_arm AS least
    FROM (
        SELECT s.name AS study, s.arm, r.number AS trial, r.trial_id, r.state, r.ended_at,
            r.seconds AS own_seconds,
            CASE {{direction}} WHEN 'maximize' THEN -1 ELSE 1 END AS sign,
            CASE r.state WHEN 'complete' THEN r.value END AS value
        FROM hpo_study s
        JOIN hpo_trial_run r ON r.study_id = s.study_id
        WHERE r.state NOT IN ('running', 'interrupted') AND {_LATEST}
    ) t
    WINDOW of_arm AS (
        PARTITION BY t.study, t.arm ORDER BY t.ended_at, t.trial_id ROWS UNBOUNDED PRECEDING
    )
) a
WINDOW of_study AS (PARTITION BY a.study ORDER BY a.ended_at, a.trial_id ROWS UNBOUNDED PRECEDING)
""",
    ),
    View(
        "hpo_v_resource",
        "what an arm's trials took on one device in one environment",
        (
            STUDY,
            ARM,
            Column("device", "text", "the device they were trained on"),
            Column("environment", "text", "SHA-256 of all that is known of the environment"),
            Column("automl_opt", "text", "the version of automl-opt"),
            Column("torch", "text", "the version of torch"),
            Column("optuna", "text", "the version of Optuna"),
            Column("python", "text", "the version of Python"),
            Column("platform", "text", "the operating system"),
            Column("trials", "integer", "trials whose latest attempt ran there"),
            Column("workers", "integer", "processes that trained them"),
            Column("epochs", "integer", "epochs trained"),
            Column("seconds", "real", "time in training", "s"),
            Column("first_at", "time", "when the first of them began"),
            Column("last_at", "time", "when the last of them ended"),
        ),
        f"""
SELECT t.study, t.arm, t.device, e.sha256 AS environment, {{automl_opt}} AS automl_opt,
    {{torch}} AS torch, {{optuna}} AS optuna, {{python}} AS python, {{platform}} AS platform,
    t.trials, t.workers, t.epochs, t.seconds, t.first_at, t.last_at
FROM (
    SELECT s.name AS study, s.arm, r.device, r.env_id, count(*) AS trials,
        count(DISTINCT r.worker) AS workers, sum(r.epochs) AS epochs, sum(r.seconds) AS seconds,
        min(r.started_at) AS first_at, max(r.ended_at) AS last_at
    FROM hpo_study s
    JOIN hpo_trial_run r ON r.study_id = s.study_id
    WHERE {_LATEST}
    GROUP BY s.name, s.arm, r.device, r.env_id
) t
JOIN hpo_environment e ON e.id = t.env_id
""",
    ),
    View(
        "hpo_v_failure",
        "a reason for which trials of an arm failed",
        (
            STUDY,
            ARM,
            Column("state", "text", "`diverged`, `out_of_memory` or `failed`"),
            Column("reason", "text", "the reason in words"),
            Column("trials", "integer", "trials that ended so"),
            Column("seconds", "real", "time they were in training", "s"),
            Column("first_trial", "integer", "the first of them, by number"),
            Column("last_at", "time", "when the last of them ended"),
        ),
        f"""
SELECT s.name AS study, s.arm, r.state, r.reason, count(*) AS trials, sum(r.seconds) AS seconds,
    min(r.number) AS first_trial, max(r.ended_at) AS last_at
FROM hpo_study s
JOIN hpo_trial_run r ON r.study_id = s.study_id
WHERE r.state IN ('diverged', 'out_of_memory', 'failed') AND {_LATEST}
GROUP BY s.name, s.arm, r.state, r.reason
""",
    ),
    View(
        "hpo_v_plugin",
        "a version of a component that trials of an arm were trained with",
        (
            STUDY,
            ARM,
            Column("role", "text", "`optimizer`, `scheduler`, `regularizer` or `initializer`"),
            Column("component", "text", "the component's id"),
            Column("version", "integer", "the version of its formula"),
            Column("distribution", "text", "the distribution that brought it"),
            Column("distribution_version", "text", "that distribution's version"),
            Column("sha256", "text", "SHA-256 of its source"),
            Column("trials", "integer", "trials that used it"),
        ),
        f"""
SELECT t.study, t.arm, t.role, c.name AS component, c.version, c.distribution,
    c.distribution_version, c.sha256, t.trials
FROM (
    SELECT s.name AS study, s.arm, p.role, p.plugin_id, count(DISTINCT r.run_id) AS trials
    FROM hpo_study s
    JOIN hpo_trial_run r ON r.study_id = s.study_id
    JOIN hpo_run_plugin p ON p.run_id = r.run_id
    WHERE {_LATEST}
    GROUP BY s.name, s.arm, p.role, p.plugin_id
) t
JOIN hpo_plugin c ON c.id = t.plugin_id
""",
    ),
    View(
        "hpo_v_verdict",
        "the latest verdict of each kind on a study",
        (
            STUDY,
            KIND,
            Column("outcome", "text", "what was decided; NULL before it was judged"),
            Column("leader", "text", "who leads"),
            SEEDS,
            Column("said", "text", "the verdict in sentences, one a line"),
            Column("updated_at", "time", "when it was judged"),
        ),
        """
SELECT v.name AS study, v.kind, v.outcome, v.leader, v.seeds, v.said, v.updated_at
FROM hpo_verdict v
WHERE v.number = (
    SELECT max(w.number) FROM hpo_verdict w WHERE w.name = v.name AND w.kind = v.kind
)
""",
    ),
    View(
        "hpo_v_confirmed",
        "a recipe of the latest verdict, over the common seeds, on the test split",
        (
            STUDY,
            KIND,
            Column("recipe", "text", "as the verdict calls it, for example `adam #3`"),
            SEEDS,
            Column("failed", "integer", "of these: runs without a value"),
            Column("mean", "real", "mean value of the others", "the metric's"),
            Column(
                "standard_error", "real", "of that mean over seeds; NULL below two", "the metric's"
            ),
            Column("lowest", "real", "the lowest value", "the metric's"),
            Column("highest", "real", "the highest value", "the metric's"),
            Column("seconds", "real", "time in training", "s"),
        ),
        """
SELECT t.study, t.kind, t.recipe, t.seeds, t.seeds - t.complete AS failed, t.mean,
    CASE WHEN t.complete > 1 THEN (
        SELECT sqrt(sum((r.value - t.mean) * (r.value - t.mean)) / (t.complete - 1.0) / t.complete)
        FROM hpo_verdict_run r
        WHERE r.verdict_id = t.verdict_id AND r.stage = 'confirm' AND r.recipe = t.recipe
    ) END AS standard_error,
    t.lowest, t.highest, t.seconds
FROM (
    SELECT v.id AS verdict_id, v.name AS study, v.kind, r.recipe, count(*) AS seeds,
        count(r.value) AS complete, avg(r.value) AS mean, min(r.value) AS lowest,
        max(r.value) AS highest, sum(r.seconds) AS seconds
    FROM hpo_verdict v
    JOIN hpo_verdict_run r ON r.verdict_id = v.id
    WHERE r.stage = 'confirm' AND v.number = (
        SELECT max(w.number) FROM hpo_verdict w WHERE w.name = v.name AND w.kind = v.kind
    )
    GROUP BY v.id, v.name, v.kind, r.recipe
) t
""",
    ),
    View(
        "hpo_v_look",
        "the leader against another recipe at one look",
        (
            STUDY,
            KIND,
            Column("number", "integer", "the verdict's number within study and kind, from 0"),
            SEEDS,
            Column("leader", "text", "the leader at this look"),
            Column("other", "text", "the one it is compared with"),
            Column("alpha", "real", "the level that this look may spend"),
            Column("mean", "real", "mean of the differences seed by seed", "the metric's"),
            Column("low", "real", "lower end of the interval", "the metric's"),
            Column("high", "real", "upper end of the interval", "the metric's"),
            Column("wins", "integer", "seeds on which the leader was better"),
            Column("losses", "integer", "seeds on which the other was better"),
            Column("ties", "integer", "seeds on which neither was"),
            Column("p", "real", "the sign test's p, where a run failed"),
            Column("outcome", "text", "what this look says"),
        ),
        """
SELECT v.name AS study, v.kind, v.number, l.seeds, l.leader, l.other, l.alpha, l.mean,
    l.low, l.high, l.wins, l.losses, l.ties, l.p, l.outcome
FROM hpo_look l
JOIN hpo_verdict v ON v.id = l.verdict_id
""",
    ),
    View(
        "hpo_v_verdict_run",
        "one recipe trained with one common seed, for a verdict",
        (
            STUDY,
            Column("number", "integer", "the verdict's number within study and kind, from 0"),
            Column("stage", "text", "`screen`, on the validation split, or `confirm`, on the test"),
            Column("recipe", "text", "as the verdict calls it"),
            Column("seed", "integer", "which of the common seeds, from 0"),
            STATE,
            Column("value", "real", "NULL where the run failed", "the metric's"),
            Column("epochs", "integer", "epochs trained"),
            Column("seconds", "real", "time in training", "s"),
            Column("ended_at", "time", "when it ended"),
        ),
        """
SELECT v.name AS study, v.number, r.stage, r.recipe, r.seed, r.state, r.value, r.epochs,
    r.seconds, r.ended_at
FROM hpo_verdict_run r
JOIN hpo_verdict v ON v.id = r.verdict_id
""",
    ),
    View(
        "hpo_v_finding",
        "what the last audit of a study found",
        (
            STUDY,
            Column("kind", "text", "what was looked at"),
            Column("arm", "text", "the arm; NULL where it is about the study"),
            Column("evidence", "text", "what was seen"),
            Column("advice", "text", "what to do"),
            Column("found_at", "time", "when"),
        ),
        """
SELECT f.name AS study, f.kind, f.arm, f.evidence, f.advice, f.found_at
FROM hpo_finding f
""",
    ),
)
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
