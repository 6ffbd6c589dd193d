"""All that can be said of a study on one page: as data, as Markdown, as HTML."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from automl_opt.core.recipe import Recipe
from automl_opt.core.result import Status
from automl_opt.core.spec import StudySpec
from automl_opt.plugin.catalog import Catalog
from automl_opt.search.arms import storage_at
from automl_opt.search.importance import Importance, importances
from automl_opt.search.interaction import Interaction, interactions
from automl_opt.store import EpochRow, Store, TrialRow
from automl_opt.store.rows import ComponentRow
from automl_opt.study.cost import Costs, costs_of
from automl_opt.study.edges import position, searched
from automl_opt.study.ranking import Ranking, ranking_of
from automl_opt.study.secondary import Factor, secondary
from automl_opt.study.selection import Selection, selection_of, standing
from automl_opt.study.winner import Winner, winner

BAND = (0.25, 0.5, 0.75)


@dataclass(frozen=True, kw_only=True)
class Trials:
    """The complete trials of one arm, as lines across what all of them chose.

    Args:
        entries: of the search space, numbers that every one of these trials has.
        rows: a trial's value, and its place in each entry's range, from 0 to 1 on its scale.
    """

    arm: str
    entries: Sequence[Mapping[str, Any]]
    rows: Sequence[tuple[float, Sequence[float]]]


@dataclass(frozen=True, kw_only=True)
class Band:
    """Curves as one: their median, and the band that holds half of them.

    Args:
        runs: how many curves there are.
        points: ``(epoch, low, median, high)`` of those that reached the epoch.
    """

    runs: int
    points: Sequence[tuple[int, float, float, float]]


@dataclass(frozen=True, kw_only=True)
class Report:
    """A study's answer and what it stands on.

    Args:
        curves: by arm the trials' study metric on the validation split.
        confirmed: by finalist, the leader first, its runs' verdict metric on the validation split,
            a run a common seed; without those of which no epochs were kept.
        ranges: by arm its search space, as plain data.
        factors: what every trial chose whatever its arm, and whether that mattered.
        importances: by arm the share of each parameter; none where there are too few trials.
        interactions: by arm the pairs of parameters, and for all arms together those that all have;
            none where there are too few trials.
        trials: the complete trials of the leading arm; ``None`` without any.
        winner: the recipe to use; ``None`` where no trial is complete.
        environments: what the trials ran on, the latest last.
    """

    selection: Selection
    ranking: Ranking
    costs: Costs
    curves: Mapping[str, Band]
    confirmed: Mapping[str, Band]
    ranges: Mapping[str, Sequence[Mapping[str, Any]]]
    factors: Sequence[Factor]
    importances: Mapping[str, Sequence[Importance]]
    interactions: Mapping[str, Sequence[Interaction]]
    trials: Trials | None
    winner: Winner | None
    components: Sequence[ComponentRow]
    environments: Sequence[Mapping[str, Any]]
    source: str

    def data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        found = self.winner
        return {
            **self.selection.data(),
            "ranking": self.ranking.data(),
            "costs": asdict(self.costs),
            "curves": {arm: list(band.points) for arm, band in self.curves.items()},
            "confirmed_curves": {name: asdict(band) for name, band in self.confirmed.items()},
            "ranges": dict(self.ranges),
            "factors": [factor.data() for factor in self.factors],
            "importances": {arm: [asdict(i) for i in row] for arm, row in self.importances.items()},
            "interactions": {
                arm: [asdict(i) for i in row] for arm, row in self.interactions.items()
            },
            "winner": found
            and {
                "title": found.title,
                "recipe": json.loads(found.recipe.to_json()),
                "expected": found.expected(),
                "runs": len(found.values),
            },
            "trials": self.trials and asdict(self.trials),
            "components": [asdict(row) for row in self.components],
            "environments": list(self.environments),
        }


def report_of(spec: StudySpec, store: Store, catalog: Catalog) -> Report:
    """Gather the report; raises as :func:`selection_of` does."""
    selection = selection_of(spec, store, catalog)
    ranking = ranking_of(store, spec.name)
    trials = store.trials(spec.name)
    arms = [arm.arm for arm in ranking.arms]
    maximize = ranking.direction == "maximize"
    complete = any(arm.complete for arm in ranking.arms)
    ranges = {row.arm: json.loads(row.space_json) for row in store.studies(spec.name)}
    with storage_at(store.url) as storage:
        names = {arm: f"{spec.name}/{arm}" for arm in arms}
        shares = {arm: importances(storage, name) for arm, name in names.items()}
        together = {arm: interactions(storage, [name]) for arm, name in names.items()}
        if len(arms) > 1:
            together["all arms together"] = interactions(storage, list(names.values()))
    return Report(
        selection=selection,
        ranking=ranking,
        costs=costs_of(trials, arms, maximize=maximize),
        curves=_by_arm(trials, store.curves(spec.name, split="valid"), arms, ranking.metric),
        confirmed=_confirmed(store, selection),
        ranges=ranges,
        factors=secondary(trials, compare=spec.compare, maximize=maximize),
        importances=shares,
        interactions=together,
        trials=_trials(ranking, trials, ranges, catalog),
        winner=winner(spec, store) if complete else None,
        components=store.components(spec.name),
        environments=store.environments(spec.name),
        source=spec.source,
    )


def _trials(
    ranking: Ranking,
    trials: Sequence[TrialRow],
    ranges: Mapping[str, Sequence[Mapping[str, Any]]],
    catalog: Catalog,
) -> Trials | None:
    leader = ranking.arms[0].arm
    entries = {entry["name"]: entry for entry in ranges[leader]}
    found = []
    for trial in trials:
        if trial.arm == leader and trial.status is Status.COMPLETE and trial.value is not None:
            recipe = Recipe.from_json(trial.recipe_json)
            chosen = {name: value for name, *_, value in searched(recipe, entries, catalog)}
            found.append((trial.value, chosen))
    shown = [
        entry
        for name, entry in entries.items()
        if "low" in entry
        and entry["low"] != entry["high"]
        and all(name in chosen for _, chosen in found)
    ]
    if not found or not shown:
        return None
    rows = [
        (
            value,
            [
                position(chosen[e["name"]], e["low"], e["high"], log=bool(e.get("log")))
                for e in shown
            ],
        )
        for value, chosen in found
    ]
    return Trials(arm=leader, entries=shown, rows=rows)


def _by_arm(
    trials: Sequence[TrialRow],
    curves: Mapping[int, Sequence[EpochRow]],
    arms: Sequence[str],
    metric: str,
) -> dict[str, Band]:
    found: dict[str, list[list[tuple[int, float]]]] = {arm: [] for arm in arms}
    for trial in trials:
        curve = [
            (row.epoch, row.value)
            for row in curves.get(trial.trial_id, ())
            if row.metric == metric and row.value is not None
        ]
        if curve:
            found[trial.arm].append(curve)
    return {arm: _band(each) for arm, each in found.items()}


def _confirmed(store: Store, selection: Selection) -> dict[str, Band]:
    verdict, found = selection.verdict, standing(store, selection.study)
    if verdict is None or found is None:
        return {}
    curves = store.confirmed_curves(found[0], verdict.score.metric, "valid")
    order = sorted(verdict.recipes, key=lambda name: name != verdict.leader)
    return {name: _band(curves[name].values()) for name in order if name in curves}


def _band(curves: Collection[Sequence[tuple[int, float]]]) -> Band:
    by_epoch: dict[int, list[float]] = {}
    for curve in curves:
        for epoch, value in curve:
            by_epoch.setdefault(epoch, []).append(value)
    points = []
    for epoch, values in sorted(by_epoch.items()):
        low, median, high = (float(q) for q in np.quantile(values, BAND))
        points.append((epoch, low, median, high))
    return Band(runs=len(curves), points=points)
