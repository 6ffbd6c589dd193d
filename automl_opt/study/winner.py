"""The recipe to use: the verdict's leader, or what the search found, and what to expect of it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from scipy.stats import t

from automl_opt.core.errors import StudyChanged, VerdictError, did_you_mean
from automl_opt.core.recipe import Recipe
from automl_opt.core.result import Status
from automl_opt.core.seeds import Seeds
from automl_opt.core.spec import StudySpec
from automl_opt.core.verdict import Score
from automl_opt.store import Store
from automl_opt.study.ranking import known_arms
from automl_opt.study.selection import judged, search_score, standing

TRAINED_WITH = ("task", "[training] epochs", "[training] accumulate", "[training] precision")
RUNS_INSIDE = 0.99
"""The share of further runs that the expected interval is to hold."""


@dataclass(frozen=True, kw_only=True)
class Winner:
    """A recipe, and what it reached.

    Args:
        title: what it is, for people: ``adam #16``.
        score: what was compared.
        values: of it on the test split, one a fresh seed; empty without a verdict.
        seeds: those of a run that gave *recorded*.
        maximize: of the metric that was searched by.
    """

    title: str
    recipe: Recipe
    score: Score
    values: tuple[float, ...]
    seeds: Seeds
    recorded: float | None
    maximize: bool

    def expected(self) -> tuple[float, float] | None:
        """Where 99 of 100 further runs are expected, by Student's t.

        ``mean ± t · s · sqrt(1 + 1/n)`` on the score's scale, the spread not below the metric's
        resolution; ``None`` of fewer than two runs.
        """
        scores = [self.score.of(value) for value in self.values]
        n = len(scores)
        if n < 2:
            return None
        mean = math.fsum(scores) / n
        spread = math.sqrt(math.fsum((s - mean) ** 2 for s in scores) / (n - 1))
        reach = float(t.ppf((1 + RUNS_INSIDE) / 2, n - 1)) * math.sqrt(1 + 1 / n)
        half = reach * max(spread, self.score.resolution)
        low, high = mean - half, mean + half
        if not self.score.maximize:
            low, high = -high, -low
        if self.score.scale == "log":
            return math.exp(low), math.exp(high)
        if self.score.resolution:  # a share of the examples
            return max(low, 0.0), min(high, 1.0)
        return low, high


def winner(spec: StudySpec, store: Store, arm: str | None = None) -> Winner:
    """The leader of the standing verdict, or the recipe of *arm*; without a verdict, the best.

    Raises:
        StoreError: the database holds no such study.
        VerdictError: there is no such arm, or no recipe of it that ended.
    """
    arms = known_arms(store, spec.name)
    if arm is not None and arm not in arms:
        raise VerdictError(f"study {spec.name!r} has no arm {arm!r}; {did_you_mean(arm, arms)}")
    return _confirmed(spec, store, arm) or _searched(spec, store, arm)


def refuse_other_training(spec: StudySpec, store: Store) -> None:
    """Raise :class:`StudyChanged` where the file no longer says how the recipes were trained."""
    stored = json.loads(store.studies(spec.name)[0].spec_json)
    for key in TRAINED_WITH:
        now = spec.settings()[key]
        if now != stored[key]:
            raise StudyChanged(
                f"{spec.source}, {key}: is {now!r}, but the study {spec.name!r} in "
                f"{store.shown_url} was trained with {stored[key]!r}. Set it back, in the file or "
                "with --set."
            )


def _confirmed(spec: StudySpec, store: Store, arm: str | None) -> Winner | None:
    found = standing(store, spec.name)
    if found is None:
        return None
    row, plan = found
    runs = store.verdict_runs(row)
    verdict = judged(plan, runs)
    name = verdict.leader
    if arm is not None:
        of_arm = [n for n in verdict.recipes if plan.candidates[n].arm == arm]
        name = of_arm[0] if of_arm else None
    own = [run for run in runs if run.stage == "confirm" and run.recipe == name]
    ended = [run for run in own if run.value is not None]
    if name is None or not ended:
        return None
    return Winner(
        title=name,
        recipe=plan.candidates[name].recipe,
        score=verdict.score,
        values=tuple(run.value for run in ended if run.value is not None),
        seeds=ended[0].seeds,
        recorded=ended[0].value,
        maximize=plan.maximize,
    )


def _searched(spec: StudySpec, store: Store, arm: str | None) -> Winner:
    score = search_score(spec, store.studies(spec.name)[0])
    complete = [
        (trial.value, trial)
        for trial in store.trials(spec.name)
        if trial.status is Status.COMPLETE and trial.value is not None and arm in (None, trial.arm)
    ]
    if not complete:
        raise VerdictError(
            f"study {spec.name!r} has no complete trial{f' of {arm}' if arm else ''} yet: there "
            "is no recipe"
        )
    sign = -1.0 if score.maximize else 1.0
    _, best = min(complete, key=lambda pair: (sign * pair[0], pair[1].number))
    test = [
        row.value
        for row in store.curve(best.trial_id)
        if row.split == "test" and row.metric == score.metric
    ]
    return Winner(
        title=f"{best.arm} #{best.number}",
        recipe=best.trial.recipe,
        score=score,
        values=(),
        seeds=best.trial.seeds,
        recorded=test[-1] if test else None,
        maximize=score.maximize,
    )
