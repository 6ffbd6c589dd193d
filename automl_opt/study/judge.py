"""From scores to a verdict: pure functions, the same answer from the same rows.

The procedure and the errors that it keeps are in ``docs/explain/verdict.md``, measured in
``benchmarks/verdict``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from automl_opt.core.errors import VerdictError
from automl_opt.core.verdict import ArmVerdict, Failures, Look, Outcome, Pair, Score, Verdict
from automl_opt.study.paired import Differences, differences, failure_bound, looks, sign_test

Scores: TypeAlias = Mapping[str, Sequence[float | None]]
"""By recipe and seed; ``None`` for a failed run."""

NEEDED_WINS = {10: 9, 20: 16, 40: 28}
"""Wins of so many paired re-tunings that decide: exact error 4.1 % over all three looks."""

QUICK_WINS = {6: 6}
"""The quick form: exact error 3.1 %; it cannot be extended."""


def judge(values: Scores, score: Score) -> Verdict:
    """The recipe verdict.

    Looks are taken again from the first on, so a verdict depends on the values alone. At each, the
    live recipe with the best mean leads, and those whose interval lies wholly behind it, though
    not within the margin, are dropped. Where runs failed, the one that wins most seeds leads, and
    the sign test decides the pairs concerned.

    Args:
        values: the metric by recipe and common seed, for two recipes or more. Recipes that were
            dropped may have fewer seeds; what lies behind the last look is not looked at.

    Raises:
        VerdictError: one recipe, every run failed, or a metric that takes one value.
    """
    if len(values) < 2:
        raise VerdictError(
            f"a verdict compares two recipes or more; there is {', '.join(values) or 'none'}"
        )
    scores = {
        recipe: [None if value is None else score.of(value) for value in row]
        for recipe, row in values.items()
    }
    _refuse_meaningless(values, score)
    live, taken, due = tuple(scores), list[Look](), None
    for n, alpha in looks():
        if min(len(scores[recipe]) for recipe in live) < n:
            due = n
            break
        taken.append(_look({r: scores[r][:n] for r in live}, n, alpha, score))
        live = taken[-1].live
        if taken[-1].outcome is not Outcome.UNDECIDED:
            break
    outcome = taken[-1].outcome if taken else Outcome.UNDECIDED
    pairs = _last_pairs(scores, taken, score)
    open_pairs = [pair for pair in pairs if pair.outcome is Outcome.UNDECIDED]
    forecasts = [pair.forecast for pair in open_pairs]
    known = [n for n in forecasts if n is not None]
    return Verdict(
        score=score,
        recipes=tuple(values),
        outcome=outcome,
        looks=tuple(taken),
        pairs=pairs,
        claims=() if outcome is Outcome.BETTER else _claims(scores, taken, score),
        failures=tuple(_failures(recipe, row) for recipe, row in values.items() if None in row),
        forecast=max(known) if due and known and len(known) == len(forecasts) else None,
        next_seeds=due,
        seeds=min(len(scores[recipe]) for recipe in live),
    )


def _refuse_meaningless(values: Scores, score: Score) -> None:
    ended = [value for row in values.values() for value in row if value is not None]
    runs = sum(len(row) for row in values.values())
    if runs and not ended:
        raise VerdictError(f"all {runs} runs of {', '.join(values)} failed: nothing to compare")
    if len(ended) > len(values) and len(set(ended)) == 1:
        raise VerdictError(
            f"every run ended with {score.metric} = {ended[0]:g}: a metric of one value cannot "
            "tell recipes apart; judge by another one ([verdict] metric)"
        )


def _look(scores: Scores, n: int, alpha: float, score: Score) -> Look:
    leader = _leader(scores)
    others = [recipe for recipe in scores if recipe != leader]
    found = {other: _differences(scores, leader, other, score) for other in others}
    pairs = tuple(
        _pair(leader, other, difference, alpha, score, among=len(others))
        for other, difference in found.items()
    )
    remaining = [pair for pair in pairs if pair.outcome is not Outcome.BETTER]
    if not remaining:
        outcome = Outcome.BETTER
    elif all(pair.outcome is Outcome.EQUIVALENT for pair in remaining):
        outcome = Outcome.EQUIVALENT
    else:
        outcome = Outcome.UNDECIDED
    return Look(seeds=n, alpha=alpha, leader=leader, pairs=pairs, outcome=outcome)


def _leader(scores: Scores) -> str:
    """The best mean; where runs failed, the most seeds won against the others."""
    if not any(None in row for row in scores.values()):
        return max(scores, key=lambda recipe: sum(s for s in scores[recipe] if s is not None))

    def won(recipe: str) -> int:
        duels = [differences(scores[recipe], scores[other]) for other in scores if other != recipe]
        return sum(duel.wins - duel.losses for duel in duels)

    return max(scores, key=won)


def _differences(scores: Scores, leader: str, other: str, score: Score) -> Differences:
    found = differences(scores[leader], scores[other], score.resolution)
    if found.sd == 0 and found.mean != 0:
        raise VerdictError(
            f"the difference between {leader} and {other} is the same on each of {found.seeds} "
            "seeds: nothing here varies with the seed, so seeds cannot say how sure it is"
        )
    return found


def _pair(
    leader: str, other: str, found: Differences, alpha: float, score: Score, among: int = 1
) -> Pair:
    """
    Args:
        among: pairs of this look, any of which may be wrongly called equivalent.
    """
    interval = found.interval(alpha)
    if found.within(score.delta, alpha / among):  # asked first: such a difference does not matter
        outcome = Outcome.EQUIVALENT
    else:
        outcome = Outcome.BETTER if found.ahead(alpha) else Outcome.UNDECIDED
    low, high = interval or (None, None)
    return Pair(
        leader=leader,
        other=other,
        seeds=found.seeds,
        alpha=alpha,
        wins=found.wins,
        losses=found.losses,
        ties=found.seeds - found.wins - found.losses,
        mean=found.mean,
        low=low,
        high=high,
        p=None if interval else sign_test(found.wins, found.losses),
        outcome=outcome,
        forecast=found.decided_at(score.delta) if outcome is Outcome.UNDECIDED else None,
    )


def _last_pairs(scores: Scores, taken: Sequence[Look], score: Score) -> tuple[Pair, ...]:
    """The last leader against each other recipe, at the last look that saw both."""
    if not taken:
        return ()
    leader = taken[-1].leader
    pairs = {pair.other: pair for pair in taken[-1].pairs}
    for recipe in scores:
        if recipe == leader or recipe in pairs:
            continue
        look = [each for each in taken if any(recipe == pair.other for pair in each.pairs)][-1]
        rows = {r: scores[r][: look.seeds] for r in (leader, recipe)}
        found = _differences(rows, leader, recipe, score)
        pairs[recipe] = _pair(leader, recipe, found, look.alpha, score)
    return tuple(pairs[recipe] for recipe in scores if recipe != leader)


def _claims(scores: Scores, taken: Sequence[Look], score: Score) -> tuple[Pair, ...]:
    """Whom the leader beats at a level that allows for any such claim among all recipes."""
    if not taken or len(scores) == 2:
        return ()
    leader, among = taken[-1].leader, len(scores) * (len(scores) - 1) // 2
    claims = []
    for other in scores:
        for look in taken:
            rows = {r: scores[r][: look.seeds] for r in (leader, other)}
            if other == leader or len(rows[other]) < look.seeds:
                continue
            found = _differences(rows, leader, other, score)
            if found.ahead(look.alpha / among):
                claims.append(_pair(leader, other, found, look.alpha / among, score))
                break
    return tuple(claims)


def _failures(recipe: str, row: Sequence[float | None]) -> Failures:
    failed = sum(value is None for value in row)
    return Failures(
        recipe=recipe, failed=failed, runs=len(row), bound=failure_bound(failed, len(row))
    )


def judge_arms(
    arms: tuple[str, str],
    results: Sequence[tuple[float | None, float | None]],
    *,
    maximize: bool,
    trials: int,
    quick: bool = False,
) -> ArmVerdict:
    """The arm verdict: the exact sign test over independent paired re-tunings.

    Args:
        results: the metric on the test split that each arm of a pair ended with; ``None`` for one
            that found nothing, which loses.
        trials: the budget of each tuning.
        quick: six pairs, all of which one arm has to win.
    """
    first, second = _by_arm(results, maximize)
    needed, decided, at, needs = QUICK_WINS if quick else NEEDED_WINS, False, 0, None
    for pairs, wins_needed in needed.items():
        if len(results) < pairs:
            break
        at, needs = pairs, wins_needed
        duel = differences(first[:pairs], second[:pairs])
        if decided := max(duel.wins, duel.losses) >= needs:
            break
    used = at if decided else min(len(results), max(needed))
    duel = differences(first[:used], second[:used])
    wins, losses = duel.wins, duel.losses
    if losses > wins:
        arms, wins, losses = (arms[1], arms[0]), losses, wins
    later = [pairs for pairs in needed if pairs > at]
    return ArmVerdict(
        first=arms[0],
        second=arms[1],
        wins=wins,
        losses=losses,
        ties=used - wins - losses,
        trials=trials,
        quick=quick,
        outcome=Outcome.BETTER if decided else Outcome.UNDECIDED,
        looked_at=at,
        needs=needs,
        next_pairs=later[0] if later and not decided else None,
    )


def arm_looks(
    verdict: ArmVerdict,
    results: Sequence[tuple[float | None, float | None]],
    arms: tuple[str, str],
    *,
    maximize: bool,
) -> list[Look]:
    """The looks behind an arm verdict, for their rows; arguments as for :func:`judge_arms`."""
    first, second = _by_arm(results, maximize)
    if verdict.first != arms[0]:
        first, second = second, first
    found = []
    for pairs, needed in (QUICK_WINS if verdict.quick else NEEDED_WINS).items():
        if pairs > verdict.looked_at:
            break
        duel = differences(first[:pairs], second[:pairs])
        decided = max(duel.wins, duel.losses) >= needed
        alpha = sign_test(needed, pairs - needed)
        pair = Pair(
            leader=verdict.first,
            other=verdict.second,
            seeds=pairs,
            alpha=alpha,
            wins=duel.wins,
            losses=duel.losses,
            ties=pairs - duel.wins - duel.losses,
            p=sign_test(duel.wins, duel.losses),
            outcome=Outcome.BETTER if decided else Outcome.UNDECIDED,
        )
        found.append(
            Look(
                seeds=pairs,
                alpha=alpha,
                leader=verdict.first,
                pairs=(pair,),
                outcome=pair.outcome,
            )
        )
    return found


def _by_arm(
    results: Sequence[tuple[float | None, float | None]], maximize: bool
) -> tuple[list[float | None], list[float | None]]:
    """Each arm's results as scores, higher is better."""
    sign = 1.0 if maximize else -1.0
    scored = [tuple(None if v is None else sign * v for v in pair) for pair in results]
    return [pair[0] for pair in scored], [pair[1] for pair in scored]
