"""Views of verdicts: what was decided, on which runs, and what speaks against it."""

from __future__ import annotations

from typing import Final

from automl_opt.store.view import STATE, STUDY, Column, View

KIND = Column("kind", "text", "`recipe`: which recipe to use; `arm`: which search found better")
SEEDS = Column("seeds", "integer", "common seeds that were trained; of `arm`, pairs of tunings")

VERDICT_VIEWS: Final = (
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
        "hpo_v_confirmed_curve",
        "one metric on one split after one epoch of a run of the latest verdict",
        (
            STUDY,
            Column("recipe", "text", "as the verdict calls it"),
            Column("seed", "integer", "which of the common seeds, from 0"),
            Column("metric", "text", "the metric's name"),
            Column("split", "text", "`train` or `valid`"),
            Column("epoch", "integer", "counts from 1"),
            Column("value", "real", "NULL where it was no number", "the metric's"),
        ),
        """
SELECT v.name AS study, e.recipe, e.seed, m.name AS metric, e.split, e.epoch, e.value
FROM hpo_verdict v
JOIN hpo_verdict_epoch e ON e.verdict_id = v.id
JOIN hpo_metric m ON m.id = e.metric_id
WHERE e.stage = 'confirm' AND v.number = (
    SELECT max(w.number) FROM hpo_verdict w WHERE w.name = v.name AND w.kind = v.kind
)
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
            Column(
                "mean",
                "real",
                "mean of the differences seed by seed, above 0 where the leader is ahead: of the "
                "logarithm of the metric where the verdict compares that",
                "the score's",
            ),
            Column("low", "real", "lower end of the interval", "the score's"),
            Column("high", "real", "upper end of the interval", "the score's"),
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
