"""What makes a comparison unfair, found in the rows of a study, each with what to do about it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from automl_opt.api import SchedulerSpec
from automl_opt.core.recipe import Part, Recipe
from automl_opt.core.result import Status
from automl_opt.core.verdict import Finding, Score
from automl_opt.plugin.catalog import Catalog, Component
from automl_opt.store import StudyRow, TrialRow
from automl_opt.study.edges import Edge, edges
from automl_opt.study.ranking import is_spent

FEW_TRIALS = 10
LATE = 0.75
"""The share of an arm's trials after which its best value should not fall any more."""

MANY_FAILURES = 0.1
MANY_MID_SCHEDULE = 0.1
UNEVEN_TRIALS = 1.1
UNEVEN_SECONDS = 2.0


def audit(
    studies: Sequence[StudyRow], trials: Sequence[TrialRow], catalog: Catalog, score: Score
) -> list[Finding]:
    """Every finding, those of the whole study first.

    Args:
        studies: the arms, as ``Store.studies`` gives them.
        trials: one row a trial, as ``Store.trials`` gives them.
        score: of the study's metric on the validation split: what counts as a difference.

    Raises:
        UnknownComponent: a component that the trials used is not installed any more.
    """
    settings = json.loads(studies[0].spec_json)
    arms = _arms(studies, trials, score)
    ended = {arm.name: len(arm.ended) for arm in arms}
    found = [
        *([] if is_spent(settings, ended) else _preliminary(arms)),
        *_unequal_spend(arms),
        *_special_cases(arms, settings["compare"], catalog),
    ]
    for arm in arms:
        found += _too_few(arm)
        found += _failures(arm)
        found += _edges(arm, catalog)
        found += _still_improving(arm)
        found += _mid_schedule(arm, catalog)
    return found


class _Arm:
    """One arm's trials, and what the findings ask of them."""

    def __init__(
        self, row: StudyRow, trials: list[TrialRow], settings: Mapping[str, Any], score: Score
    ) -> None:
        self.name = row.arm
        self.entries = {entry["name"]: entry for entry in json.loads(row.space_json)}
        self.budget: int = settings["[search] trials"]
        self.epochs: int = settings["[training] epochs"]
        self.ended = [trial for trial in trials if trial.status.is_final]
        self.complete = [
            (trial, score.of(trial.value))
            for trial in self.ended
            if trial.status is Status.COMPLETE and trial.value is not None
        ]
        self.failed = [trial for trial in self.ended if trial.status.is_failure]
        self.seconds = sum(trial.seconds for trial in trials)
        self.score = score

    @property
    def best(self) -> tuple[TrialRow, float] | None:
        """The best complete trial, the earlier of equals, and its score."""
        return max(self.complete, key=lambda pair: pair[1], default=None)

    def edges(self, catalog: Catalog) -> Iterator[tuple[TrialRow, Edge]]:
        """The best trial with each number of its recipe that lies near an end of its range."""
        if self.best is not None:
            trial, _ = self.best
            for edge in edges(Recipe.from_json(trial.recipe_json), self.entries, catalog):
                yield trial, edge


def all_edges(
    studies: Sequence[StudyRow], trials: Sequence[TrialRow], catalog: Catalog, score: Score
) -> list[Edge]:
    """Every edge that :func:`audit` finds; its arguments."""
    return [edge for arm in _arms(studies, trials, score) for _, edge in arm.edges(catalog)]


def _arms(studies: Sequence[StudyRow], trials: Sequence[TrialRow], score: Score) -> list[_Arm]:
    settings = json.loads(studies[0].spec_json)
    return [
        _Arm(row, [trial for trial in trials if trial.arm == row.arm], settings, score)
        for row in studies
        if row.arm in settings["arms"]
    ]


def _preliminary(arms: Sequence[_Arm]) -> Iterator[Finding]:
    done, due = sum(len(arm.ended) for arm in arms), sum(arm.budget for arm in arms)
    yield Finding(
        kind="preliminary",
        arm=None,
        evidence=f"{done} of {due} trials have ended",
        advice="what is said is of the trials so far; 'automl-opt run' goes on with the study",
    )


def _too_few(arm: _Arm) -> Iterator[Finding]:
    if len(arm.complete) < FEW_TRIALS:
        yield Finding(
            kind="too_few_trials",
            arm=arm.name,
            evidence=f"{len(arm.complete)} of {len(arm.ended)} trials are complete; "
            f"{FEW_TRIALS} are the least",
            advice="raise [search] trials, or choose a pruner that stops fewer",
        )


def _failures(arm: _Arm) -> Iterator[Finding]:
    failed, ended = len(arm.failed), len(arm.ended)
    if failed >= 2 and failed >= MANY_FAILURES * ended:
        reason = " ".join((arm.failed[-1].reason or str(arm.failed[-1].status)).split())
        yield Finding(
            kind="failures",
            arm=arm.name,
            evidence=f"{failed} of {ended} trials failed, the last with: {reason}",
            advice="the arm had so many trials fewer to find something; take the part of the "
            "range away in which they failed, or raise its trials",
        )


def _edges(arm: _Arm, catalog: Catalog) -> Iterator[Finding]:
    for trial, edge in arm.edges(catalog):
        scale = ", log" if edge.log else ""
        yield Finding(
            kind="edge",
            arm=arm.name,
            evidence=f"the best trial (#{trial.number}) has {edge.entry} = {edge.value:.3g}, near "
            f"the {edge.end} end of {edge.low:g} … {edge.high:g}{scale}",
            advice="better values may lie outside: --extend searches further out, in a study of "
            "another name",
        )


def _special_cases(arms: Sequence[_Arm], kind: str, catalog: Catalog) -> Iterator[Finding]:
    by_id: dict[str, tuple[_Arm, Component]] = {}
    for arm in arms:
        if arm.best is not None and arm.name != "none":
            component = catalog.whole(kind, arm.name)
            by_id[component.name] = (arm, component)
    for arm, component in by_id.values():
        for special in component.spec.generalises:
            other, _ = by_id.get(catalog.find(kind, special).id, (None, None))
            if other is None or other.best is None or arm.best is None:
                continue
            ahead = other.best[1] - arm.best[1]
            if ahead > arm.score.delta:
                yield Finding(
                    kind="special_case",
                    arm=arm.name,
                    evidence=f"{other.name}, a special case of {arm.name}, reached "
                    f"{other.best[0].value:.4g} and {arm.name} {arm.best[0].value:.4g}",
                    advice="an arm can do whatever its special case does, so it was not tuned "
                    "enough: raise [search] trials",
                )


def _still_improving(arm: _Arm) -> Iterator[Finding]:
    """The arm's own order of trials: an expected best of random ones could not show learning."""
    late = LATE * len(arm.ended)
    numbers = sorted(trial.number for trial in arm.ended)
    early = [score for trial, score in arm.complete if numbers.index(trial.number) < late]
    if not early or arm.best is None:
        return
    gained = arm.best[1] - max(early)
    if gained > arm.score.delta:
        yield Finding(
            kind="still_improving",
            arm=arm.name,
            evidence=f"the last quarter of its {len(arm.ended)} trials still gained "
            f"{_amount(gained, arm.score)} of {arm.score.metric}",
            advice="more trials would help it further: raise [search] trials",
        )


def _amount(difference: float, score: Score) -> str:
    if score.scale == "log":
        return f"{100 * math.expm1(difference):.1f} %"
    return f"{difference:.3g}"


def _unequal_spend(arms: Sequence[_Arm]) -> Iterator[Finding]:
    if len(arms) < 2:
        return
    for what, spent, limit in (
        ("trials", {arm.name: float(len(arm.ended)) for arm in arms}, UNEVEN_TRIALS),
        ("seconds of training", {arm.name: arm.seconds for arm in arms}, UNEVEN_SECONDS),
    ):
        least, most = min(spent, key=spent.__getitem__), max(spent, key=spent.__getitem__)
        if spent[most] > limit * spent[least]:
            yield Finding(
                kind="unequal_spend",
                arm=None,
                evidence=f"{most} had {spent[most]:.3g} {what}, {least} {spent[least]:.3g}",
                advice="an arm with more had more chances: compare at equal budgets, or say so",
            )


def _mid_schedule(arm: _Arm, catalog: Catalog) -> Iterator[Finding]:
    cut = [
        trial
        for trial in arm.ended
        if trial.status is Status.PRUNED
        and _still_changing(
            Recipe.from_json(trial.recipe_json).scheduler, trial.epochs, arm.epochs, catalog
        )
    ]
    if len(cut) >= 2 and len(cut) >= MANY_MID_SCHEDULE * len(arm.ended):
        yield Finding(
            kind="mid_schedule",
            arm=arm.name,
            evidence=f"{len(cut)} of {len(arm.ended)} trials were pruned while their learning "
            "rate was still to change",
            advice="rankings turn over during decay: prune later, or search a constant schedule",
        )


def _still_changing(part: Part, epoch: int, epochs: int, catalog: Catalog) -> bool:
    """Whether the schedule's factor was to leave its value at the end of *epoch*."""
    factor = _factor(catalog.whole("scheduler", part.name), part)
    if factor is None:
        return False
    steps = 100  # an epoch: what a schedule does is a matter of the share of the run
    total, now = steps * epochs, steps * epoch
    at = factor(min(now, total - 1), total)
    return any(abs(factor(s, total) - at) > 0.01 * at for s in range(now, total, steps // 4))


def _factor(component: Component, part: Part) -> Any:
    """``factor(step, total)``, its parameters filled in; ``None`` for one that observes."""
    spec = component.spec
    assert isinstance(spec, SchedulerSpec)
    if spec.factor is not None:
        return partial(component.code(spec.factor), **part.params)
    if spec.wrap is None or component.base is None or part.base is None:
        return None
    inner = _factor(component.base, part.base)
    wrap = component.code(spec.wrap)
    return partial(wrap, inner or (lambda step, total: 1.0), **part.params)
