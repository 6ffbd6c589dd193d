"""What else the trials say: schedules, regularizers, initializers, batch sizes, over all arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, rankdata

from automl_opt.core.recipe import Recipe
from automl_opt.core.result import Status
from automl_opt.store import TrialRow

Ranks: TypeAlias = NDArray[np.float64]

SHUFFLES = 999
FEW = 3
"""Trials that a level needs to be compared."""

MOST_LEVELS = 8
BEYOND = 0.05


@dataclass(frozen=True, kw_only=True)
class Level:
    """One choice: how often it was tried, and its mean place among its arm's trials, 1 the top."""

    name: str
    trials: int
    place: float


@dataclass(frozen=True, kw_only=True)
class Factor:
    """Something that every trial chose, whatever its arm.

    Args:
        levels: the highest place first.
        told: whether the places differ by more than those of nearly all shuffles, in which any
            of the factors may seem to matter (5 %).
    """

    name: str
    levels: tuple[Level, ...]
    told: bool

    def data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def secondary(
    trials: Sequence[TrialRow], *, compare: str, maximize: bool, shuffles: int = SHUFFLES
) -> list[Factor]:
    """Every factor with two levels or more.

    Trials are ranked within their arm: complete ones by value, below them those that were pruned,
    and last those that failed. Kruskal and Wallis' statistic of these ranks is held against
    shuffles within the arms. The search chose what to try, and more often what had done well, so
    that a difference is a hint and no verdict.

    Args:
        trials: one row a trial, as ``Store.trials`` gives them.
        compare: the kind whose candidates are the arms.
    """
    ended = [trial for trial in trials if trial.status.is_final]
    arms = sorted({trial.arm for trial in ended})
    if not ended:
        return []
    places = np.zeros(len(ended))
    members = [np.array([i for i, t in enumerate(ended) if t.arm == arm]) for arm in arms]
    for member in members:
        keys = [_key(ended[i], maximize) for i in member]
        order = {key: i for i, key in enumerate(sorted(set(keys)))}
        places[member] = (rankdata([order[key] for key in keys]) - 0.5) / len(member)
    chosen = [_choices(trial, compare) for trial in ended]
    names = list(dict.fromkeys(name for choices in chosen for name in choices))
    found: dict[str, tuple[list[str], NDArray[np.bool_]]] = {}
    for name in names:
        labels = [choices.get(name, "off") for choices in chosen]
        levels = [v for v in dict.fromkeys(labels) if labels.count(v) >= FEW]
        if 2 <= len(levels) <= MOST_LEVELS:
            table = np.array([[label == level for level in levels] for label in labels])
            found[name] = levels, table
    if not found:
        return []
    rng = np.random.default_rng(0)
    shuffled = np.tile(places, (shuffles + 1, 1))
    for row in shuffled[1:]:
        for member in members:
            row[member] = rng.permutation(row[member])
    tails = {name: _tail(shuffled, table) for name, (_, table) in found.items()}
    least = np.min(list(tails.values()), axis=0)
    told = {name: float((least <= tail[0]).mean()) <= BEYOND for name, tail in tails.items()}
    return [
        Factor(
            name=name,
            levels=tuple(
                sorted(
                    (
                        Level(
                            name=level,
                            trials=int(column.sum()),
                            place=float(places[column].mean()),
                        )
                        for level, column in zip(levels, table.T, strict=True)
                    ),
                    key=lambda level: -level.place,
                )
            ),
            told=told[name],
        )
        for name, (levels, table) in found.items()
    ]


def said(factors: Sequence[Factor]) -> list[str]:
    """What may be said: hints, and a plain statement where the data cannot tell."""
    hints = [
        f"{factor.name}: trials with {factor.levels[0].name} ended higher in their arm than those "
        f"with {factor.levels[-1].name} (mean place {factor.levels[0].place:.2f} against "
        f"{factor.levels[-1].place:.2f}). The search chose what to try, so this is a hint."
        for factor in factors
        if factor.told
    ]
    untold = [factor.name for factor in factors if not factor.told]
    if untold:
        hints.append(f"These trials cannot tell what is better of: {', '.join(untold)}.")
    return hints


def _key(trial: TrialRow, maximize: bool) -> tuple[int, float]:
    """Greater is better."""
    if trial.status is Status.COMPLETE and trial.value is not None:
        return 2, trial.value if maximize else -trial.value
    return (1, 0.0) if trial.status is Status.PRUNED else (0, 0.0)


def _choices(trial: TrialRow, compare: str) -> Mapping[str, str]:
    recipe = Recipe.from_json(trial.recipe_json)
    found = {
        "optimizer": recipe.optimizer.name,
        "scheduler": recipe.scheduler.name,
        "initializer": recipe.initializer.name,
        "batch size": str(recipe.batch_size or "whole"),
        "lr_scaling": recipe.lr_scaling,
        **{f"regularizer {part.name}": "on" for part in recipe.regularizers},
    }
    return {name: value for name, value in found.items() if not name.startswith(compare)}


def _tail(places: Ranks, table: NDArray[np.bool_]) -> Ranks:
    """The chance of a Kruskal-Wallis statistic as large, by its limit, for each row of *places*."""
    used = table.any(axis=1)
    ranks, groups = places[:, used], table[used].astype(float)
    sizes = groups.sum(axis=0)
    means = ranks @ groups / sizes
    grand = ranks.mean(axis=1, keepdims=True)
    total = ((ranks - grand) ** 2).sum(axis=1)
    between = (sizes * (means - grand) ** 2).sum(axis=1)
    with np.errstate(invalid="ignore"):
        statistic = np.where(total > 0, (ranks.shape[1] - 1) * between / total, 0.0)
    tail: Ranks = chi2.sf(statistic, len(sizes) - 1)
    return tail
