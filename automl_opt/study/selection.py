"""What can be said of a study now: the standing verdicts and the audit, from rows alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from automl_opt.core.spec import StudySpec
from automl_opt.core.verdict import Finding, Outcome, Score, Verdict
from automl_opt.plugin.catalog import Catalog
from automl_opt.store import Store, StudyRow, TrialRow, VerdictRow, VerdictRun
from automl_opt.study.audit import audit
from automl_opt.study.finalists import Plan
from automl_opt.study.judge import judge
from automl_opt.study.ranking import known_arms
from automl_opt.study.wording import sentences


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The answer to "which one, and how sure".

    Args:
        said: sentences, the verdict first.
        verdict: ``None`` where no finalist was trained yet.
        arm_verdict: the last one on arms, as plain data; ``None`` without re-tuning.
        runs: what the recipe verdict stands on.
        seconds: of training, by stage: the search, screening, the verdict, re-tuning.
    """

    study: str
    question: str
    said: tuple[str, ...]
    verdict: Verdict | None
    arm_verdict: Mapping[str, Any] | None
    plan: Plan | None
    runs: tuple[VerdictRun, ...]
    findings: tuple[Finding, ...]
    seconds: Mapping[str, float]

    def data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "study": self.study,
            "question": self.question,
            "said": list(self.said),
            "verdict": self.verdict and self.verdict.data(),
            "arm_verdict": self.arm_verdict,
            "recipes": {
                name: json.loads(each.recipe.to_json())
                for name, each in (self.plan.candidates.items() if self.plan else ())
            },
            "findings": [finding.data() for finding in self.findings],
            "seconds": dict(self.seconds),
        }


def selection_of(spec: StudySpec, store: Store, catalog: Catalog) -> Selection:
    """Judge and audit what the database holds; trains nothing and writes nothing.

    Raises:
        StoreError: it holds no such study.
        VerdictError: what was measured allows no verdict.
        UnknownComponent: a component that the trials used is not installed any more.
    """
    known_arms(store, spec.name)
    studies, trials = store.studies(spec.name), store.trials(spec.name)
    settings = json.loads(studies[0].spec_json)
    findings = audit(studies, trials, catalog, search_score(spec, studies[0]))
    found = standing(store, spec.name)
    plan, runs, verdict = None, list[VerdictRun](), None
    said = ["No verdict yet: no recipe was trained with fresh seeds; --confirm does."]
    if found is not None:
        row, plan = found
        runs = store.verdict_runs(row)
        verdict = judged(plan, runs)
        said = [
            *sentences(verdict, settings["compare"]),
            *_not_said(verdict, plan, trials, spec.judging.seeds),
        ]
    arms = [row for row in store.verdicts(spec.name, "arm") if row.verdict_json is not None]
    if arms:
        said += (arms[-1].said or "").splitlines()
    return Selection(
        study=spec.name,
        question=settings["question"],
        said=tuple(said),
        verdict=verdict,
        arm_verdict=json.loads(arms[-1].verdict_json or "null") if arms else None,
        plan=plan,
        runs=tuple(runs),
        findings=tuple(findings),
        seconds={
            "search": math.fsum(trial.seconds for trial in trials),
            **{
                stage: math.fsum(run.seconds for run in runs if run.stage == stage)
                for stage in ("screen", "confirm")
            },
            "retune": math.fsum(trial.seconds for trial in _retuned(store, spec.name)),
        },
    )


def select(spec: StudySpec, store: Store, catalog: Catalog) -> Selection:
    """:func:`selection_of`, and what the audit found is kept for the views."""
    found = selection_of(spec, store, catalog)
    store.save_findings(spec.name, found.findings)
    return found


def _retuned(store: Store, name: str) -> Iterator[TrialRow]:
    """The trials of all re-tunings of the study *name*: each pair is a study of its own."""
    for row in store.verdicts(name, "arm"):
        for pair in {each.name for each in store.studies()}:
            if pair.startswith(f"{name}.retune{row.number}."):
                yield from store.trials(pair)


def standing(store: Store, name: str) -> tuple[VerdictRow, Plan] | None:
    """The last recipe verdict that was begun on the study *name*, and its plan."""
    rows = store.verdicts(name, "recipe")
    return (rows[-1], Plan.from_data(json.loads(rows[-1].plan_json))) if rows else None


def judged(plan: Plan, runs: Sequence[VerdictRun]) -> Verdict:
    """The verdict that *runs* give; raises ``VerdictError`` where they allow none."""
    values: dict[str, list[float | None]] = {name: [] for name in plan.finalists(runs)}
    for run in sorted(runs, key=lambda run: run.seed):
        row = values.get(run.recipe)
        if run.stage == "confirm" and row is not None and len(row) == run.seed:
            row.append(run.value)
    measured = [value for row in values.values() for value in row if value is not None]
    resolution = _resolution(plan.score, measured, plan.examples)
    return judge(values, replace(plan.score, resolution=resolution))


def _resolution(score: Score, values: Sequence[float], examples: int) -> float:
    """Half an example's worth, of a metric that is a share of the test examples."""
    counts = [value * examples for value in values]
    counting = all(math.isclose(c, round(c), abs_tol=1e-4) for c in counts)
    return 0.5 / examples if score.scale == "plain" and counts and counting else 0.0


def search_score(spec: StudySpec, row: StudyRow) -> Score:
    """What counts as a difference in the search: the verdict's margin on the study's metric.

    Args:
        row: of any arm of the study.
    """
    settings = json.loads(row.spec_json)
    maximize = settings["[objective] direction"] == "maximize"
    return Score(
        metric=settings["[objective] metric"],
        maximize=maximize,
        scale=spec.judging.scale or ("plain" if maximize else "log"),
        margin=spec.judging.margin,
    )


def _not_said(verdict: Verdict, plan: Plan, trials: Sequence[TrialRow], seeds: int) -> list[str]:
    """What stands in the way of reading the verdict as the last word."""
    notes = []
    due = verdict.next_seeds
    if verdict.outcome is Outcome.UNDECIDED and due is not None and due > seeds:
        notes.append(f"The study allows {seeds} seeds: --confirm --seeds {due} goes on.")
    more = sum(trial.status.is_final for trial in trials) - plan.trials
    if more > 0:
        notes.append(
            f"Preliminary: {more} trials ended since the verdict began; --confirm looks at them."
        )
    return notes
