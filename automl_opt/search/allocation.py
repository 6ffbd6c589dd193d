"""Which arm gets the next trial."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

EQUAL_SHARE = 0.7
"""Of ``leaders``: the share of an arm's trials that every arm gets."""

FLOOR = 0.5
"""Of ``elimination``: the share of an arm's trials before which none is dropped."""

ROUND = 0.25
"""Of ``elimination``: the share that each arm that is left gets before the next is dropped."""

LEFT = 2
"""Arms that share what is left in the end."""


@dataclass(frozen=True)
class History:
    """What an arm was given and what came of it.

    Args:
        asked: its trials so far, those in training included.
        scores: by number, higher is better; ``None`` for a trial that is not complete.
    """

    asked: int
    scores: Sequence[float | None]

    def best(self, first: int) -> float:
        """Of its *first* trials."""
        known = [score for score in self.scores[:first] if score is not None]
        return max(known, default=-math.inf)


def next_arm(allocation: str, trials: int, arms: Sequence[History]) -> int | None:
    """The position of the arm that is asked next; ``None`` where the budget is spent.

    ``equal`` gives every arm *trials*, in turn. The others have as many in all: ``leaders`` gives
    each arm 70 % of them and the rest to the two that lead then; ``elimination`` half, then a
    quarter a round to those that are left, the last of which is dropped after each until there are
    two.
    """
    everyone = range(len(arms))
    if allocation == "equal":
        due = [i for i in everyone if arms[i].asked < trials]
        return _fewest(due, arms) if due else None
    if sum(arm.asked for arm in arms) >= trials * len(arms):
        return None
    if allocation == "leaders":
        cut = math.ceil(EQUAL_SHARE * trials)
        due = [i for i in everyone if arms[i].asked < cut]
        return _fewest(due or _leading(everyone, arms, cut)[:LEFT], arms)
    left, need = list(everyone), math.ceil(FLOOR * trials)
    while True:
        if due := [i for i in left if arms[i].asked < need]:
            return _fewest(due, arms)
        if len(left) > LEFT:
            left = sorted(_leading(left, arms, need)[:-1])
        need += max(1, math.ceil(ROUND * trials))


def _fewest(among: Sequence[int], arms: Sequence[History]) -> int:
    return min(among, key=lambda i: arms[i].asked)


def _leading(among: Sequence[int], arms: Sequence[History], first: int) -> list[int]:
    """By the best of their *first* trials; the earlier of equals leads."""
    return sorted(among, key=lambda i: -arms[i].best(first))
