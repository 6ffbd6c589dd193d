"""What finding a recipe costs: the best of n trials, who leads when, and the time to a target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from automl_opt.core.result import Status
from automl_opt.store import TrialRow

LED_AT = (5, 10, 20, 50)
"""Trials an arm after which the leader is named."""


@dataclass(frozen=True, kw_only=True)
class ArmCost:
    """What one arm spent and found.

    Args:
        trials: that have ended, failed and pruned ones too.
        seconds: of training, of all of them.
        expected: ``(mean, sd)`` of the best of 1, 2, … of its complete trials, drawn anew.
        best_so_far: after each of its ended trials, in their order; ``None`` before the first.
        to_target: trials and seconds until a complete trial reached the target; ``None`` where
            none did.
    """

    arm: str
    trials: int
    seconds: float
    expected: tuple[tuple[float, float], ...]
    best_so_far: tuple[float | None, ...]
    to_target: tuple[int, float] | None


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The costs of a study's arms.

    Args:
        target: the median of the arms' best values: what half of them reached.
        leaders: by number of trials an arm, the arm that led then.
    """

    target: float | None
    arms: tuple[ArmCost, ...]
    leaders: Mapping[int, str]


def expected_best(values: Sequence[float], *, maximize: bool) -> list[tuple[float, float]]:
    """Mean and standard deviation of the best of 1, 2, … draws with replacement from *values*.

    Dodge et al. 2019, arXiv:1909.03004, section 3, with the variance of the same distribution:
    the best of n is the i-th smallest of N with probability ``(i/N)^n - ((i-1)/N)^n``. It is for
    drawing, not for testing: random draws know nothing of a search that learns.
    """
    total = len(values)
    ordered = sorted(values, reverse=not maximize)  # from the worst to the best
    found = []
    for n in range(1, total + 1):
        shares = [(i / total) ** n - ((i - 1) / total) ** n for i in range(1, total + 1)]
        mean = math.fsum(p * v for p, v in zip(shares, ordered, strict=True))
        square = math.fsum(p * (v - mean) ** 2 for p, v in zip(shares, ordered, strict=True))
        found.append((mean, math.sqrt(square)))
    return found


def costs_of(trials: Sequence[TrialRow], arms: Sequence[str], *, maximize: bool) -> Costs:
    """The costs of *arms* by the study's metric on the validation split.

    Args:
        trials: one row a trial, as ``Store.trials`` gives them.
    """
    ended = {
        arm: sorted((t for t in trials if t.arm == arm and t.status.is_final), key=_number)
        for arm in arms
    }
    better = max if maximize else min
    bests = {arm: _bests(rows, maximize) for arm, rows in ended.items()}
    finals = sorted(b for row in bests.values() for b in row[-1:] if b is not None)
    target = finals[(len(finals) - 1) // 2 if maximize else len(finals) // 2] if finals else None
    found = []
    for arm, rows in ended.items():
        values = [t.value for t in rows if t.status is Status.COMPLETE and t.value is not None]
        reached = None
        for i, best in enumerate(bests[arm]):
            if best is not None and target is not None and better(best, target) == best:
                reached = (i + 1, math.fsum(t.seconds for t in rows[: i + 1]))
                break
        found.append(
            ArmCost(
                arm=arm,
                trials=len(rows),
                seconds=math.fsum(t.seconds for t in rows),
                expected=tuple(expected_best(values, maximize=maximize)),
                best_so_far=tuple(bests[arm]),
                to_target=reached,
            )
        )
    leaders = {}
    for n in LED_AT:
        then = {arm: row[n - 1] for arm, row in bests.items() if len(row) >= n}
        known = {arm: value for arm, value in then.items() if value is not None}
        if len(then) == len(arms) and known:
            leaders[n] = better(known, key=known.__getitem__)
    return Costs(target=target, arms=tuple(found), leaders=leaders)


def _number(trial: TrialRow) -> int:
    return trial.number


def _bests(rows: Sequence[TrialRow], maximize: bool) -> list[float | None]:
    best: float | None = None
    found: list[float | None] = []
    for trial in rows:
        if trial.status is Status.COMPLETE and trial.value is not None:
            ahead = best is None or (trial.value > best if maximize else trial.value < best)
            best = trial.value if ahead else best
        found.append(best)
    return found
