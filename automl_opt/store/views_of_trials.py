"""Views of studies and trials: what was asked, what came out, what it took."""

from __future__ import annotations

from typing import Final

from automl_opt.store.view import ARM, STATE, STUDY, TRIAL, Column, View

_LATEST = """NOT EXISTS (
        SELECT 1 FROM hpo_trial_run l WHERE l.trial_id = r.trial_id AND l.attempt > r.attempt
    )"""

TRIAL_VIEWS: Final = (
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
            Column("running", "integer", "of these: in training, stopped or preempted"),
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
        # an attempt that came to its end is the last one, so none is asked for later ones
        """
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
            CASE {direction} WHEN 'maximize' THEN -1 ELSE 1 END AS sign,
            CASE r.state WHEN 'complete' THEN r.value END AS value
        FROM hpo_study s
        JOIN hpo_trial_run r ON r.study_id = s.study_id
        WHERE r.state NOT IN ('running', 'stopped', 'preempted')
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
        # runs are counted by their parts, in the index; one run of each count says which these are
        """
SELECT t.study, t.arm, p.role, c.name AS component, c.version, c.distribution,
    c.distribution_version, c.sha256, CAST(sum(t.trials) AS bigint) AS trials
FROM (
    SELECT s.name AS study, s.arm, min(r.run_id) AS run_id, count(*) AS trials
    FROM hpo_study s
    JOIN hpo_trial_run r ON r.study_id = s.study_id
    WHERE r.run_id NOT IN (
        SELECT e.run_id FROM hpo_trial_run l
        JOIN hpo_trial_run e ON e.trial_id = l.trial_id AND e.attempt < l.attempt
        WHERE l.attempt > 1
    )
    GROUP BY s.name, s.arm, r.parts
) t
JOIN hpo_run_plugin p ON p.run_id = t.run_id
JOIN hpo_plugin c ON c.id = p.plugin_id
WHERE NOT EXISTS (
    SELECT 1 FROM hpo_run_plugin b
    WHERE b.run_id = p.run_id AND b.role = p.role AND b.plugin_id = p.plugin_id
        AND b.position < p.position
)
GROUP BY t.study, t.arm, p.role, c.id, c.name, c.version, c.distribution, c.distribution_version,
    c.sha256
""",
    ),
)
