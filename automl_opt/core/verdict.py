"""The verdict on recipes and on arms, as frozen values: what was compared and what came of it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from automl_opt.core.errors import VerdictError

SCALES: Final = ("log", "plain")


class Outcome(StrEnum):
    """What a verdict says."""

    BETTER = "better"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Score:
    """How runs are compared; fixed before the first of them.

    Args:
        scale: ``log`` compares the logarithm of the metric, so that differences are relative and
            the long tail of a loss does not break the t interval; ``plain`` the metric itself.
        margin: the difference that does not matter: a share on the ``log`` scale (0.01 is one
            percent), in the metric's unit on the ``plain`` one.
        resolution: the least spread that differences are credited with, for a metric that counts
            examples: half an example's worth.
    """

    metric: str
    maximize: bool
    scale: str
    margin: float
    resolution: float = 0.0

    @property
    def delta(self) -> float:
        """The margin on the scale of :meth:`of`."""
        return math.log1p(self.margin) if self.scale == "log" else self.margin

    def of(self, value: float) -> float:
        """*value* as a score: higher is better, whatever the metric's direction.

        Raises:
            VerdictError: the logarithm of a value that is not above 0.
        """
        if self.scale == "log":
            if value <= 0:
                raise VerdictError(
                    f"a run ended with {self.metric} = {value:g}, which has no logarithm; "
                    'set scale = "plain" in [verdict] and name a margin in the metric\'s unit'
                )
            value = math.log(value)
        return value if self.maximize else -value


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The leader against another recipe over common seeds, at one look.

    Args:
        mean, low, high: of the differences in score, above 0 where the leader is ahead, with the
            t interval at level ``1 - alpha``; ``None`` where a run of either failed.
        wins, losses, ties: seeds on which the leader was ahead, behind, neither; a failed run
            loses, two tie.
        p: of the exact two-sided sign test, where it decides: where a run of either failed.
        forecast: seeds at the later look that would decide this pair if nothing changed; ``None``
            where none would, or where it is decided.
    """

    leader: str
    other: str
    seeds: int
    alpha: float
    wins: int
    losses: int
    ties: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    outcome: Outcome = Outcome.UNDECIDED
    forecast: int | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was seen after *seeds* common seeds.

    Args:
        alpha: the share of the error that this look may spend.
        pairs: the leader against every other recipe that was still running.
    """

    seeds: int
    alpha: float
    leader: str
    pairs: tuple[Pair, ...]
    outcome: Outcome

    @property
    def live(self) -> tuple[str, ...]:
        """The recipes that run on, the leader first."""
        behind = Outcome.BETTER
        return (self.leader, *(pair.other for pair in self.pairs if pair.outcome is not behind))


@dataclass(frozen=True, kw_only=True)
class Failures:
    """How often a recipe failed, with the one-sided 95 % Clopper-Pearson bound on its rate."""

    recipe: str
    failed: int
    runs: int
    bound: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The recipe verdict: which recipe trains better on this dataset, over seeds.

    Args:
        recipes: every finalist, in the order given.
        outcome: of the last look; undecided before the first.
        pairs: the leader against each of the others: the last look that saw both.
        claims: recipes that the leader is known to beat though the verdict is not *better*, at
            the stricter level that such partial claims need.
        forecast: seeds in all at the look that would decide, if nothing changed.
        next_seeds: seeds in all that the next look needs; ``None`` where there is none.
        seeds: common seeds that the live recipes have, looked at or not.
    """

    score: Score
    recipes: tuple[str, ...]
    outcome: Outcome
    looks: tuple[Look, ...]
    pairs: tuple[Pair, ...]
    claims: tuple[Pair, ...]
    failures: tuple[Failures, ...]
    forecast: int | None
    next_seeds: int | None
    seeds: int

    @property
    def leader(self) -> str | None:
        return self.looks[-1].leader if self.looks else None

    @property
    def live(self) -> tuple[str, ...]:
        """The recipes that the next look would compare."""
        return self.looks[-1].live if self.looks else self.recipes

    def data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "leader": self.leader, "live": list(self.live)}


@dataclass(frozen=True, kw_only=True)
class ArmVerdict:
    """The arm verdict: which of two arms, tuned with this budget, ends better.

    Args:
        first, second: the arms; *first* ended better at least as often.
        wins, losses, ties: of *first*, over independent paired re-tunings.
        trials: the budget of each tuning.
        quick: the form of six pairs, which cannot be extended.
        needs: wins that the last look asked for.
        next_pairs: pairs in all that the next look needs; ``None`` where there is none.
    """

    first: str
    second: str
    wins: int
    losses: int
    ties: int
    trials: int
    quick: bool
    outcome: Outcome
    looked_at: int
    needs: int | None
    next_pairs: int | None

    @property
    def pairs(self) -> int:
        return self.wins + self.losses + self.ties

    def data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that speaks against reading the ranking, or the verdict, as fair.

    Args:
        kind: ``preliminary``, ``too_few_trials``, ``failures``, ``edge``, ``special_case``,
            ``still_improving``, ``unequal_spend`` or ``mid_schedule``.
        arm: ``None`` where it concerns the study.
    """

    kind: str
    arm: str | None
    evidence: str
    advice: str

    def data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)
