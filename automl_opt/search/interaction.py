"""Pairs of parameters that do not act alone: the best value of one depends on the other's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import f, norm, rankdata

Array: TypeAlias = NDArray[np.float64]

SHUFFLES = 499
BEYOND = 0.05
FEW = 3
"""Trials that every choice of a categorical parameter needs, and values that a number needs."""

SPARE = 5
"""Trials beyond the number of coefficients that a pair needs to be asked about."""


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """Two parameters.

    Args:
        share: of what the two explain together, the part that neither explains alone, were all
            values of both tried equally often.
        told: whether it is beyond what all but 5 % of shuffles give any pair.
    """

    first: str
    second: str
    share: float
    told: bool


def interactions(
    storage: BaseStorage, study_names: Sequence[str], *, shuffles: int = SHUFFLES, seed: int = 0
) -> list[Interaction]:
    """The pairs of parameters that every complete trial has, by the trials' ranks in their arm.

    Ranks become normal scores, as van der Waerden's: trials that diverged are the last, however
    far, and a search that learns, whose trials are no random sample, finds few pairs where there
    are none (measured: ``benchmarks/verdict``); by the values themselves it would find several.

    Args:
        study_names: of one arm, or of several: then a place in a range counts, not the value.

    Returns:
        As :func:`crossed`; nothing without trials, or where all values are equal.
    """
    trials: list[FrozenTrial] = []
    scores: list[float] = []
    arms: list[int] = []
    for arm, name in enumerate(study_names):
        study = optuna.load_study(study_name=name, storage=storage)
        own = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        sign = -1.0 if study.direction == StudyDirection.MINIMIZE else 1.0
        trials += own
        if own:
            ranks = rankdata([sign * trial.value for trial in own if trial.value is not None])
            scores += list(norm.ppf((ranks - 0.5) / len(own)))
        arms += [arm] * len(own)
    if len(set(scores)) < 2:
        return []
    chosen = {
        name: ([t.distributions[name] for t in trials], [t.params[name] for t in trials])
        for name in trials[0].params
        if all(name in trial.params for trial in trials)
    }
    return crossed(chosen, np.array(scores), np.array(arms), shuffles=shuffles, seed=seed)


def crossed(
    chosen: Mapping[str, tuple[Sequence[BaseDistribution], Sequence[Any]]],
    scores: Array,
    arms: NDArray[np.intp],
    *,
    shuffles: int = SHUFFLES,
    seed: int = 0,
) -> list[Interaction]:
    """Functional analysis of variance of *scores*, pair by pair.

    Hooker 2007 (doi:10.1198/106186007X237892), for hyperparameters Hutter et al. 2014. The model is
    a quadratic curve or one effect a choice for each parameter, and for one pair at a time the
    products of its lines and effects. Residuals of the model without them are shuffled (Freedman
    and Lane 1983), alike for all pairs. Unlike Hutter et al., no forest: one of some dozens of
    trials finds interactions everywhere, and shuffling would take a forest a shuffle.

    Args:
        chosen: by parameter its range and its value in each trial.
        scores: ``[trials]``.
        arms: ``[trials]``: residuals are shuffled among the trials of an arm.

    Returns:
        The surest first; nothing where no pair has enough trials.
    """
    parts = {
        name: part
        for name, (distributions, values) in chosen.items()
        if (part := _part(distributions, values))
    }
    pairs = [
        pair
        for one, other in combinations(parts, 2)
        if (pair := _Pair.of(one, other, parts)) is not None
    ]
    if not pairs:
        return []
    rng = np.random.default_rng(seed)
    orders = np.tile(np.arange(len(scores)), (shuffles + 1, 1))
    for arm in np.unique(arms):
        [own] = np.nonzero(arms == arm)
        orders[1:, own] = rng.permuted(orders[1:, own], axis=1)
    tails = np.array([pair.tails(scores, orders) for pair in pairs])
    least = tails.min(axis=0)
    found = [
        Interaction(
            first=pair.first,
            second=pair.second,
            share=pair.share(scores),
            told=float((least <= tail).mean()) <= BEYOND,
        )
        for pair, tail in zip(pairs, tails[:, 0], strict=True)
    ]
    return [found[i] for i in np.argsort(tails[:, 0], kind="stable")]


@dataclass(frozen=True)
class _Part:
    """One parameter's functions, orthonormal over its range.

    Args:
        alone: ``[trials, n]``: what it may do by itself.
        crossed: those of them that enter products.
    """

    alone: Array
    crossed: Array


def _part(distributions: Sequence[BaseDistribution], values: Sequence[Any]) -> _Part | None:
    """``None`` for a parameter that was hardly varied, or is of another kind in another arm."""
    first = distributions[0]
    if isinstance(first, CategoricalDistribution):
        k = len(first.choices)
        if k < 2 or any(each != first for each in distributions):
            return None
        codes = [first.choices.index(value) for value in values]
        if min(codes.count(i) for i in range(k)) < FEW:
            return None
        frame, _ = np.linalg.qr(np.column_stack([np.ones(k), np.eye(k)[:, 1:]]))
        effects = math.sqrt(k) * frame[codes, 1:]
        return _Part(effects, effects)
    places = []
    for each, value in zip(distributions, values, strict=True):
        if not isinstance(each, (FloatDistribution, IntDistribution)) or each.single():
            return None
        low, here, high = (
            math.log(v) if each.log else float(v) for v in (each.low, value, each.high)
        )
        places.append(2 * (here - low) / (high - low) - 1)
    if len(set(places)) < FEW:
        return None
    x = np.array(places)
    line, bend = math.sqrt(3) * x, math.sqrt(5) * (3 * x * x - 1) / 2  # Legendre's polynomials
    return _Part(np.column_stack([line, bend]), line[:, None])


@dataclass(frozen=True)
class _Pair:
    """The model of one pair, ``[trials, n]`` each.

    Args:
        others: the constant, and what the other parameters do alone.
        alone: what the two do alone.
        together: their products.
    """

    first: str
    second: str
    others: Array
    alone: Array
    together: Array

    @classmethod
    def of(cls, first: str, second: str, parts: Mapping[str, _Part]) -> _Pair | None:
        """``None`` where there are too few trials, or they cannot tell the effects apart."""
        a, b = parts[first], parts[second]
        trials = len(a.alone)
        rest = [part.alone for name, part in parts.items() if name not in (first, second)]
        together = (a.crossed[:, :, None] * b.crossed[:, None, :]).reshape(trials, -1)
        pair = cls(
            first,
            second,
            np.column_stack([np.ones(trials), *rest]),
            np.column_stack([a.alone, b.alone]),
            together,
        )
        columns = pair.whole.shape[1]
        enough = trials >= columns + SPARE and np.linalg.matrix_rank(pair.whole) == columns
        return pair if enough else None

    @property
    def whole(self) -> Array:
        return np.column_stack([self.others, self.alone, self.together])

    def tails(self, scores: Array, orders: NDArray[np.intp]) -> Array:
        """For each order of the residuals, the chance of such an F if nothing interacted."""
        basis, _ = np.linalg.qr(self.whole)
        known, new = np.split(basis, [-self.together.shape[1]], axis=1)
        residuals = scores - known @ (known.T @ scores)
        if np.allclose(residuals, 0, atol=1e-9 * np.abs(scores).max()):
            return np.ones(len(orders))  # they act alone, and explain all
        shuffled = residuals[orders]
        shuffled = shuffled - (shuffled @ known) @ known.T
        gained = ((shuffled @ new) ** 2).sum(axis=1)
        left = np.maximum((shuffled**2).sum(axis=1) - gained, 0.0)
        spare = len(scores) - basis.shape[1]
        with np.errstate(divide="ignore"):
            ratio = (gained / new.shape[1]) / (left / spare)
        tails: Array = f.sf(ratio, new.shape[1], spare)
        return tails

    def share(self, scores: Array) -> float:
        """Squares of coefficients of orthonormal functions are shares of the variance."""
        squares = np.linalg.lstsq(self.whole, scores)[0] ** 2
        alone, together = np.split(squares[self.others.shape[1] :], [self.alone.shape[1]])
        explained = float(alone.sum() + together.sum())
        return float(together.sum()) / explained if explained else 0.0
