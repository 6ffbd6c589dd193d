"""What may be said of a verdict: a few forms of sentence, and no others."""

from __future__ import annotations

import math
from collections.abc import Sequence

from automl_opt.core.verdict import ArmVerdict, Failures, Outcome, Pair, Score, Verdict
from automl_opt.study.paired import FORECAST_TO


def sentences(verdict: Verdict, kind: str = "optimizer") -> list[str]:
    """The verdict first, then whom the leader beats besides, failures, and what it does not show.

    Args:
        kind: of component, whose candidates the study compares.
    """
    said = [_main(verdict)]
    if verdict.outcome is not Outcome.BETTER:
        said += [_beats(pair, verdict.score) for pair in verdict.claims]
    elif len(verdict.pairs) > 1:
        said += [_beats(pair, verdict.score) for pair in verdict.pairs]
    said += [_failed(failures) for failures in verdict.failures]
    if verdict.outcome is Outcome.BETTER or verdict.claims:
        said.append(
            f"One search found each; this does not show that one {kind} is better than another."
        )
    return said


def arm_sentences(verdict: ArmVerdict) -> list[str]:
    """What re-tuning showed, and what more would take."""
    if verdict.pairs == 0:
        return [f"No verdict yet: 0 of {verdict.next_pairs} pairs of tunings are in."]
    times = "once" if verdict.pairs == 1 else f"{verdict.pairs} times"
    head = (
        f"Tuned independently {times} each with {_count(verdict.trials, 'trial')}, "
        f"{verdict.first} ended better {_times(verdict.wins)}"
    )
    if verdict.outcome is Outcome.BETTER:
        return [f"{head}: {verdict.first} is the better choice at this budget."]
    if verdict.next_pairs is None:
        end = "the quick form cannot be extended" if verdict.quick else "no further look is planned"
        return [f"{head}: undecided; {end}."]
    more = verdict.next_pairs - verdict.pairs
    return [f"{head}: undecided; the next look is after {_count(more, 'more pair')}."]


def effect(pair: Pair, score: Score) -> str:
    """How far the leader is ahead, with the interval: ``loss lower by 4.1 % [2.0, 6.2]``."""
    return f"{score.metric} {'higher' if score.maximize else 'lower'} by {amount(pair, score)}"


def amount(pair: Pair, score: Score) -> str:
    """The numbers of :func:`effect` alone."""
    assert pair.mean is not None
    assert pair.low is not None
    assert pair.high is not None
    numbers = (pair.mean, pair.low, pair.high)
    if score.scale == "plain":
        return "{:.3g} [{:.3g}, {:.3g}]".format(*map(_signed, numbers))
    return "{} % [{}, {}]".format(*(_percent(value, score.maximize) for value in numbers))


def margin(score: Score) -> str:
    """The difference that does not matter: ``±1 %``, or ``±0.01`` on the plain scale."""
    return f"±{100 * score.margin:g} %" if score.scale == "log" else f"±{score.margin:g}"


def _main(verdict: Verdict) -> str:
    if not verdict.looks:
        return f"No verdict yet: {verdict.seeds} of {verdict.next_seeds} common seeds are in."
    look = verdict.looks[-1]
    if verdict.outcome is Outcome.BETTER:
        if len(verdict.pairs) == 1:
            return _beats(verdict.pairs[0], verdict.score)
        return (
            f"Recipe {look.leader} beats each of the {len(verdict.pairs)} other recipes on this "
            f"dataset, after {look.seeds} common seeds."
        )
    if verdict.outcome is Outcome.EQUIVALENT:
        one = len(look.live) == 2
        difference = "the difference is" if one else f"each one's difference to {look.leader} is"
        return (
            f"Recipes {_listed(look.live)} are equivalent: {difference} within "
            f"{margin(verdict.score)}."
        )
    which = f" between {_listed(look.live)}" if len(verdict.recipes) > 2 else ""
    if verdict.forecast is None:
        return (
            f"Undecided{which} after {look.seeds} seeds; up to {FORECAST_TO} seeds would not "
            "decide it if nothing changed."
        )
    low, high = verdict.forecast - look.seeds, 2 * verdict.forecast - look.seeds
    return f"Undecided{which} after {look.seeds} seeds; about {low}–{high} more."


def _beats(pair: Pair, score: Score) -> str:
    if pair.mean is None:
        return (
            f"Recipe {pair.leader} beats recipe {pair.other} on this dataset: it won {pair.wins} "
            f"of {pair.seeds} common seeds."
        )
    return (
        f"Recipe {pair.leader} beats recipe {pair.other} on this dataset: {effect(pair, score)} "
        f"over {pair.seeds} common seeds."
    )


def _failed(failures: Failures) -> str:
    if failures.failed == failures.runs:
        return f"{failures.recipe} failed {failures.failed} of {failures.runs}."
    return (
        f"{failures.recipe} failed {failures.failed} of {failures.runs}: at most "
        f"{100 * failures.bound:.0f} % of its runs fail (one-sided 95 % bound)."
    )


def _percent(d: float, maximize: bool) -> str:
    """A difference of logarithms in percent of the other recipe's value."""
    share = math.expm1(d) if maximize else -math.expm1(-d)
    return f"{_signed(round(100 * share, 1)):.1f}"


def _signed(value: float) -> float:
    """Without the sign of -0.0."""
    return value + 0.0


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
