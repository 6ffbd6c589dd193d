"""Paired comparisons over common seeds: the interval, the sign test, and when to look."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count

from scipy.stats import beta, binomtest, t

FIRST_LOOK = 10
FORECAST_TO = 5120
"""Seeds beyond which no forecast reaches: nobody will run them."""


FIRST_LEVELS = (0.005, 0.01, 0.0275)
"""Two-sided levels of the first three looks: the last, where most verdicts fall, has the most.

Looks share their seeds, so that together the three call equals different in 3.8 % of cases, not in
4.25 %: repeated tests on accumulating data, Armitage, McPherson and Rowe 1969.
"""

LATER = 0.006
"""Of the fourth look, halved at each further one: 1.2 % in all, so that the sum stays below 5."""


def looks() -> Iterator[tuple[int, float]]:
    """``(seeds, alpha)`` of each look: 10, 20, 40, 80, …, open-ended."""
    for k in count():
        later = k - len(FIRST_LEVELS)
        yield FIRST_LOOK * 2**k, FIRST_LEVELS[k] if later < 0 else LATER / 2**later


@cache
def reach(seeds: int, alpha: float) -> float:
    """Half the width of the t interval of a mean, in standard deviations of the sample."""
    return float(t.ppf(1 - alpha / 2, seeds - 1)) / math.sqrt(seeds)


@cache
def sign_test(wins: int, losses: int) -> float:
    """The exact two-sided p of *wins* against *losses*, ties left out; 1 without either."""
    if wins + losses == 0:
        return 1.0
    return float(binomtest(wins, wins + losses).pvalue)


def failure_bound(failed: int, runs: int) -> float:
    """The one-sided 95 % Clopper-Pearson bound: a rate above it is refuted by so few failures."""
    return 1.0 if failed == runs else float(beta.ppf(0.95, failed + 1, runs - failed))


@dataclass(frozen=True)
class Differences:
    """Scores of one recipe minus another's, seed by seed.

    Args:
        mean, sd: ``None`` where a run of either failed, and of a single seed.
    """

    seeds: int
    wins: int
    losses: int
    mean: float | None
    sd: float | None

    def interval(self, alpha: float) -> tuple[float, float] | None:
        if self.mean is None or self.sd is None:
            return None
        half = reach(self.seeds, alpha) * self.sd
        return self.mean - half, self.mean + half

    def ahead(self, alpha: float) -> bool:
        """Whether the first recipe is ahead of the second at level *alpha*."""
        interval = self.interval(alpha)
        if interval is not None:
            return interval[0] > 0
        return self.wins > self.losses and sign_test(self.wins, self.losses) <= alpha

    def within(self, delta: float, alpha: float) -> bool:
        """Whether the difference lies within ``±delta``; never where runs failed."""
        interval = self.interval(alpha)
        return interval is not None and -delta < interval[0] and interval[1] < delta

    def decided_at(self, delta: float) -> int | None:
        """Seeds at the first later look that decides, if mean and spread stayed as they are."""
        for n, alpha in looks():
            if n > FORECAST_TO:
                return None
            if n > self.seeds and self._would_decide(n, alpha, delta):
                return n
        return None

    def _would_decide(self, n: int, alpha: float, delta: float) -> bool:
        if self.mean is not None and self.sd is not None:
            half = reach(n, alpha) * self.sd
            return abs(self.mean) >= half or delta - abs(self.mean) >= half
        grown = n / self.seeds
        return sign_test(round(self.wins * grown), round(self.losses * grown)) <= alpha


def differences(
    first: Sequence[float | None], second: Sequence[float | None], least_sd: float = 0.0
) -> Differences:
    """Compare two recipes over common seeds.

    Args:
        first, second: scores, higher is better, by seed; ``None`` for a failed run, which loses
            against any other and ties with another failure.
        least_sd: the resolution of the metric: a smaller spread is taken for this one.
    """
    n = len(first)
    wins = losses = 0
    found: list[float] = []
    for mine, theirs in zip(first, second, strict=True):
        if mine is not None and theirs is not None:
            found.append(mine - theirs)
            wins += mine > theirs
            losses += mine < theirs
        else:
            wins += mine is not None
            losses += theirs is not None
    if len(found) < max(n, 2):  # one difference has no spread
        return Differences(n, wins, losses, None, None)
    mean = math.fsum(found) / n
    variance = math.fsum((d - mean) ** 2 for d in found) / (n - 1)
    return Differences(n, wins, losses, mean, max(math.sqrt(variance), least_sd))
