"""Arms over several studies, each a task: what the statistics say, or why they say nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from automl_opt.core.errors import VerdictError
from automl_opt.core.verdict import Score
from automl_opt.study.cost import Costs
from automl_opt.study.ranking import Ranking
from automl_opt.study.tasks import (
    CriticalDifference,
    Profile,
    SignedRank,
    critical_difference,
    profiles,
    signed_rank,
)

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """One study as a task.

    Args:
        score: how its metric on the test split becomes a score.
        costs: for the time to its target.
    """

    ranking: Ranking
    score: Score
    costs: Costs


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Arms over tasks.

    Args:
        tests: by arm the study's metric on the test split of its best trial, one a task.
        refused: what could not be computed, with the reason.
    """

    tasks: tuple[str, ...]
    metrics: tuple[str, ...]
    tests: Mapping[str, Sequence[float]]
    signed_rank: SignedRank | None
    critical_difference: CriticalDifference | None
    profiles: tuple[Profile, ...]
    refused: tuple[str, ...]

    def data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    def said(self) -> list[str]:
        """Sentences: what the tests found, then what they could not."""
        said = []
        if self.signed_rank is not None:
            found = self.signed_rank
            if found.p <= 0.05:
                ahead = found.wins > found.tasks / 2
                winner, loser = (
                    (found.first, found.second) if ahead else (found.second, found.first)
                )
                said.append(
                    f"Over these {found.tasks} tasks {winner} ends better than {loser} (exact "
                    "signed-rank test at 5 %)."
                )
            else:
                said.append(
                    f"Over these {found.tasks} tasks {found.first} and {found.second} cannot be "
                    "told apart (exact signed-rank test at 5 %)."
                )
        if self.critical_difference is not None:
            said += _ranked(self.critical_difference)
        return [*said, *self.refused]


def compare(results: Sequence[TaskResult]) -> Comparison:
    """Compare the arms that every study has.

    Raises:
        VerdictError: one study only, fewer than two common arms, or one that found nothing.
    """
    if len(results) < 2:
        raise VerdictError("a comparison over tasks needs two studies or more")
    common = [
        arm.arm
        for arm in results[0].ranking.arms
        if all(arm.arm in {a.arm for a in result.ranking.arms} for result in results)
    ]
    if len(common) < 2:
        raise VerdictError(
            f"the studies have {len(common)} arms in common"
            f"{f' ({common[0]})' if common else ''}; a comparison needs two"
        )
    tests: dict[str, list[float]] = {arm: [] for arm in common}
    scores: dict[str, list[float]] = {arm: [] for arm in common}
    times: dict[str, list[float | None]] = {arm: [] for arm in common}
    for result in results:
        by_arm = {arm.arm: arm.test for arm in result.ranking.arms}
        reached = {arm.arm: arm.to_target for arm in result.costs.arms}
        for arm in common:
            value, time = by_arm[arm], reached[arm]
            if value is None:
                raise VerdictError(
                    f"arm {arm} of study {result.ranking.study!r} has no {result.ranking.metric} "
                    "on a test split"
                )
            tests[arm].append(value)
            scores[arm].append(result.score.of(value))
            times[arm].append(None if time is None else time[1])
    refused: list[str] = []
    two = len(common) == 2
    return Comparison(
        tasks=tuple(result.ranking.study for result in results),
        metrics=tuple(result.ranking.metric for result in results),
        tests=tests,
        signed_rank=_tried(lambda: _signed(scores, results), refused) if two else None,
        critical_difference=None if two else _tried(lambda: critical_difference(scores), refused),
        profiles=tuple(_tried(lambda: profiles(times), refused) or ()),
        refused=tuple(refused),
    )


def _signed(scores: Mapping[str, Sequence[float]], results: Sequence[TaskResult]) -> SignedRank:
    scales = sorted({f"{r.score.metric} ({r.score.scale})" for r in results})
    if len(scales) > 1:
        raise VerdictError(
            f"a signed-rank test compares sizes, and those of {' and '.join(scales)} are not "
            "comparable"
        )
    return signed_rank(scores)


def _tried(ask: Callable[[], Found], refused: list[str]) -> Found | None:
    try:
        return ask()
    except VerdictError as error:
        text = str(error)
        refused.append(f"{text[0].upper()}{text[1:]}.")
        return None


def _ranked(found: CriticalDifference) -> list[str]:
    order = sorted(found.ranks, key=found.ranks.__getitem__)
    ranks = ", ".join(f"{arm} {found.ranks[arm]:.2f}" for arm in order)
    said = [f"Mean ranks over {found.tasks} tasks: {ranks}."]
    if found.p > 0.05:
        return [*said, "Friedman's test at 5 % does not tell the arms apart."]
    apart = [
        f"{a} from {b}"
        for i, a in enumerate(order)
        for b in order[i + 1 :]
        if found.ranks[b] - found.ranks[a] >= found.difference
    ]
    which = "; ".join(apart) if apart else "none of them"
    return [
        *said,
        f"The critical difference at 5 % is {found.difference:.2f}; it separates {which}.",
    ]
