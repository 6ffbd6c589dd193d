"""Arms over several tasks: what the ranks say, and nothing where there are too few tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.stats import PermutationMethod, friedmanchisquare, rankdata, studentized_range, wilcoxon

from automl_opt.core.errors import VerdictError

TaskScores: TypeAlias = Mapping[str, Sequence[float]]
"""By arm, one score a task, higher is better; the tasks of all arms in one order."""

SIGNED_RANK_TASKS = 6
"""Below it the exact signed-rank test cannot reach 5 %."""

PROFILE_TASKS = 6
PROFILE_TO = 4.0


@dataclass(frozen=True, kw_only=True)
class SignedRank:
    """Two arms over tasks, by the exact two-sided Wilcoxon signed-rank test."""

    first: str
    second: str
    tasks: int
    wins: int
    p: float


@dataclass(frozen=True, kw_only=True)
class CriticalDifference:
    """Three arms or more over tasks: Friedman's test and Nemenyi's critical difference.

    Arms whose mean ranks lie less than *difference* apart cannot be told apart at 5 % (Demšar
    2006, "Statistical Comparisons of Classifiers over Multiple Data Sets").

    Args:
        ranks: the mean rank of each arm, 1 the best.
        p: of Friedman's test that all arms are alike.
    """

    tasks: int
    ranks: Mapping[str, float]
    difference: float
    p: float


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The share of tasks on which an arm was at most so many times slower than the fastest.

    Args:
        ratios, shares: the steps of the profile, to a ratio of 4.
        score: the area under it from 1 to 4, as a share (Dahl et al. 2023, arXiv:2306.07179).
    """

    arm: str
    ratios: tuple[float, ...]
    shares: tuple[float, ...]
    score: float


def signed_rank(scores: TaskScores) -> SignedRank:
    """Compare two arms.

    Raises:
        VerdictError: fewer than 6 tasks, or not two arms.
    """
    tasks = _tasks(scores)
    if len(scores) != 2:
        raise VerdictError(f"the signed-rank test compares two arms, not {len(scores)}")
    _need(tasks, SIGNED_RANK_TASKS, "a signed-rank test")
    (first, mine), (second, theirs) = scores.items()
    differences = np.asarray(mine, float) - np.asarray(theirs, float)
    if not differences.any():
        raise VerdictError(f"{first} and {second} have the same score on each of {tasks} tasks")
    # every assignment of signs up to 16 tasks, so exact with ties, too; drawn ones above
    signs = PermutationMethod(n_resamples=2**16, rng=0)
    p = float(wilcoxon(differences, method=signs).pvalue)
    return SignedRank(
        first=first, second=second, tasks=tasks, wins=int((differences > 0).sum()), p=p
    )


def critical_difference(scores: TaskScores) -> CriticalDifference:
    """Rank three arms or more.

    Raises:
        VerdictError: fewer tasks than so many arms need: 10 for 3, 13 for 4, 15 for 5, 20 above.
    """
    tasks, k = _tasks(scores), len(scores)
    if k < 3:
        raise VerdictError(f"a critical difference is one of three arms or more, not {k}")
    _need(tasks, {3: 10, 4: 13, 5: 15}.get(k, 20), f"a critical difference between {k} arms")
    table = np.asarray(list(scores.values()), float)
    ranks = np.mean([rankdata(-column) for column in table.T], axis=0)
    quantile = float(studentized_range.ppf(0.95, k, np.inf)) / math.sqrt(2)
    return CriticalDifference(
        tasks=tasks,
        ranks=dict(zip(scores, map(float, ranks), strict=True)),
        difference=quantile * math.sqrt(k * (k + 1) / (6 * tasks)),
        p=float(friedmanchisquare(*table).pvalue),
    )


def profiles(times: Mapping[str, Sequence[float | None]]) -> list[Profile]:
    """Performance profiles of the time to a target.

    Args:
        times: by arm, one time a task; ``None`` where the target was not reached.

    Raises:
        VerdictError: fewer than 6 tasks; or one whose target no arm reached.
    """
    tasks = _tasks(times)
    _need(tasks, PROFILE_TASKS, "a performance profile")
    table = np.array([[math.inf if t is None else t for t in row] for row in times.values()])
    fastest = table.min(axis=0)
    if not np.isfinite(fastest).all():
        raise VerdictError(f"no arm reached the target of task {int(np.argmax(fastest)) + 1}")
    found = []
    for arm, row in zip(times, table / fastest, strict=True):
        steps = sorted({1.0, *(float(r) for r in row if r <= PROFILE_TO), PROFILE_TO})
        shares = [float((row <= step).mean()) for step in steps]
        widths = np.diff(steps)
        area = float(widths @ shares[:-1])
        score = area / (PROFILE_TO - 1)
        found.append(Profile(arm=arm, ratios=tuple(steps), shares=tuple(shares), score=score))
    return found


def _tasks(rows: Mapping[str, Sequence[float | None]]) -> int:
    counts = {len(row) for row in rows.values()}
    if len(counts) != 1:
        raise VerdictError("every arm needs a score on every task")
    return counts.pop()


def _need(tasks: int, needed: int, what: str) -> None:
    if tasks < needed:
        raise VerdictError(f"{what} needs {needed} tasks or more; there are {tasks}")
