"""Who competes for a verdict: the leading recipes of the leading arms, and a baseline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

from automl_opt.core.errors import VerdictError
from automl_opt.core.params import Param
from automl_opt.core.recipe import Recipe
from automl_opt.core.result import Status
from automl_opt.core.spec import StudySpec
from automl_opt.core.verdict import Score
from automl_opt.plugin.catalog import Catalog
from automl_opt.search.space import arms_of
from automl_opt.store import TrialRow, VerdictRun

MOST_ARMS = 3
SCREENED = 3
"""Recipes an arm that are screened, and the seeds that each is given for it."""

SCREEN_FROM = 50
"""Trials an arm from which its best value is so lucky that screening pays."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A recipe that may be compared.

    Args:
        arm: ``None`` for the baseline.
        trial: its number within the arm.
        value: what it reached on the validation split.
    """

    arm: str | None
    trial: int | None
    value: float | None
    recipe: Recipe


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is compared and how, fixed before the first run.

    Args:
        candidates: by the name that rows and sentences give them: ``adam #7``.
        screen: whether the recipes of an arm are screened first.
        maximize: of the study's metric, which screening goes by.
        examples: of the test split.
        trials: that had ended when the plan was made.
    """

    score: Score
    candidates: Mapping[str, Candidate]
    screen: bool
    maximize: bool
    examples: int
    trials: int

    def data(self) -> dict[str, Any]:
        """The plan as plain data; :meth:`from_data` reads it back."""
        candidates = [
            {"name": name, **vars(each), "recipe": each.recipe.to_json()}
            for name, each in self.candidates.items()
        ]
        return {**vars(self), "score": asdict(self.score), "candidates": candidates}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Plan:
        candidates = {}
        for each in data["candidates"]:
            fields = {key: value for key, value in each.items() if key != "name"}
            fields["recipe"] = Recipe.from_json(each["recipe"])
            candidates[each["name"]] = Candidate(**fields)
        return cls(**{**data, "score": Score(**data["score"]), "candidates": candidates})

    def is_about(self, other: Plan) -> bool:
        """Whether both compare the same recipes."""
        return {name: each.recipe for name, each in self.candidates.items()} == {
            name: each.recipe for name, each in other.candidates.items()
        }

    def finalists(self, runs: Iterable[VerdictRun]) -> tuple[str, ...]:
        """Who goes on to the verdict: at most three arms, one recipe each, and the baseline.

        Args:
            runs: the screening, complete; where there is none, everyone goes on.
        """
        if not self.screen:
            return tuple(self.candidates)
        values: dict[str, list[float]] = {}
        for run in runs:
            if run.stage == "screen":
                worst = -math.inf if self.maximize else math.inf
                values.setdefault(run.recipe, []).append(worst if run.value is None else run.value)
        sign = -1.0 if self.maximize else 1.0
        ranked = sorted(values, key=lambda name: sign * math.fsum(values[name]))
        best: dict[str | None, str] = {}
        for name in ranked:
            best.setdefault(self.candidates[name].arm, name)
        baseline = [name for name, each in self.candidates.items() if each.arm is None]
        return (*list(best.values())[:MOST_ARMS], *baseline)


def plan_of(
    spec: StudySpec,
    trials: Sequence[TrialRow],
    catalog: Catalog,
    model: Mapping[str, Param],
    score: Score,
    examples: int,
) -> Plan:
    """The plan that the rows of a study give.

    Args:
        spec: with its direction settled.
        trials: one row a trial, as ``Store.trials`` gives them.
        model: the ranges of the model's hyperparameters, for the baseline.
        examples: of the test split.

    Raises:
        VerdictError: nothing to compare, with the reason.
        UnknownComponent: the baseline is no optimizer.
    """
    sign = -1.0 if spec.direction == "maximize" else 1.0
    arms: dict[str, list[tuple[float, TrialRow]]] = {}
    for trial in trials:
        arms.setdefault(trial.arm, [])
        if trial.status is Status.COMPLETE and trial.value is not None:
            arms[trial.arm].append((sign * trial.value, trial))
    found = {
        arm: sorted(rows, key=lambda pair: (pair[0], pair[1].number))
        for arm, rows in arms.items()
        if rows
    }
    if not found:
        failed = sum(trial.status.is_failure for trial in trials)
        raise VerdictError(
            f"study {spec.name!r} has no complete trial yet ({len(trials)} trials, {failed} "
            "failed): there is no recipe to judge"
        )
    screen = max(sum(t.arm == arm for t in trials) for arm in found) >= SCREEN_FROM
    leading = sorted(found, key=lambda arm: found[arm][0][0])
    chosen = [
        row
        for arm in (leading if screen else leading[:MOST_ARMS])
        for _, row in found[arm][: SCREENED if screen else 1]
    ]
    candidates = {
        f"{row.arm} #{row.number}": Candidate(
            arm=row.arm,
            trial=row.number,
            value=row.value,
            recipe=Recipe.from_json(row.recipe_json),
        )
        for row in chosen
    }
    baseline = baseline_of(spec, catalog, model)
    if baseline is not None:
        name, recipe = baseline
        if all(each.recipe != recipe for each in candidates.values()):
            candidates[name] = Candidate(arm=None, trial=None, value=None, recipe=recipe)
    if len(candidates) < 2:
        raise VerdictError(
            f"study {spec.name!r} has one recipe to judge, {next(iter(candidates))}, and nothing "
            "to compare it with: add an arm, or name an optimizer as [verdict] baseline"
        )
    return Plan(
        score=score,
        candidates=candidates,
        screen=screen,
        maximize=spec.direction == "maximize",
        examples=examples,
        trials=sum(trial.status.is_final for trial in trials),
    )


def baseline_of(
    spec: StudySpec, catalog: Catalog, model: Mapping[str, Param]
) -> tuple[str, Recipe] | None:
    """Name and recipe of the untuned baseline; ``None`` where the study wants none."""
    name = spec.judging.baseline
    if name == "none":
        return None
    with spec.blame("[verdict] baseline"):
        catalog.whole("optimizer", name)
    alone = {
        "optimizer": (name,),
        "scheduler": ("constant",),
        "regularizer": (),
        "initializer": ("default",),
    }
    plain = replace(spec, compare="optimizer", components=MappingProxyType(alone))
    [space] = arms_of(plain, catalog, model)
    return f"{space.arm} untuned", space.default()
