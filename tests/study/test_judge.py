from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom, ttest_rel

from automl_opt.core.errors import VerdictError
from automl_opt.core.verdict import Outcome, Score
from automl_opt.study.judge import NEEDED_WINS, QUICK_WINS, judge, judge_arms

FIRST = 0.005
"""The level of the first look."""

LOSS = Score(metric="loss", maximize=False, scale="log", margin=0.01)
ACCURACY = Score(metric="accuracy", maximize=True, scale="plain", margin=0.01, resolution=0.5 / 360)


def spread(n: int, mean: float, sd: float) -> np.ndarray:
    """*n* numbers of exactly this mean and standard deviation."""
    values = np.tile([-1.0, 1.0], n // 2)
    return mean + sd * values / values.std(ddof=1)


def losses(n: int, **gaps: tuple[float, float]) -> dict[str, list[float]]:
    """Losses by recipe: seed noise common to all, a gap and a noise of its own in the log."""
    common = np.random.default_rng(0).normal(0, 0.3, n)
    return {name: list(np.exp(common + spread(n, gap, sd))) for name, (gap, sd) in gaps.items()}


def test_the_same_gap_on_every_seed_but_a_little_is_better_at_the_first_look():
    values = losses(10, a=(0.0, 0.0), b=(0.05, 0.02))
    verdict = judge(values, LOSS)

    [pair] = verdict.pairs
    log_a, log_b = np.log(values["a"]), np.log(values["b"])
    expected = ttest_rel(log_b, log_a).confidence_interval(1 - FIRST)
    assert verdict.outcome is Outcome.BETTER
    assert verdict.leader == "a"
    assert (pair.low, pair.high) == pytest.approx((expected.low, expected.high))
    assert (pair.wins, pair.losses, pair.ties) == (10, 0, 0)
    assert verdict.next_seeds is None
    assert verdict.live == ("a",)


def test_nine_seeds_are_not_looked_at():
    verdict = judge(losses(9 + 1, a=(0.0, 0.0), b=(9.0, 0.1)) | {"a": [1.0] * 9}, LOSS)

    assert verdict.outcome is Outcome.UNDECIDED
    assert verdict.looks == ()
    assert verdict.leader is None
    assert (verdict.seeds, verdict.next_seeds) == (9, 10)


def test_a_difference_within_the_margin_is_equivalent_even_where_it_is_no_chance():
    verdict = judge(losses(10, a=(0.0, 0.0), b=(0.004, 0.001)), LOSS)

    assert verdict.pairs[0].low > 0
    assert verdict.outcome is Outcome.EQUIVALENT


def test_what_cannot_be_told_is_undecided_and_says_how_many_seeds_might_tell():
    verdict = judge(losses(10, a=(0.0, 0.0), b=(0.1, 0.2)), LOSS)

    assert verdict.outcome is Outcome.UNDECIDED
    # .1 against half-widths 2.7/sqrt(20) and 2.5/sqrt(40), both times .2: t(.99375, 19), t(…, 39)
    assert verdict.forecast == 40
    assert verdict.next_seeds == 20


def test_seeds_behind_the_last_look_change_nothing():
    values = losses(10, a=(0.0, 0.0), b=(0.1, 0.2))
    more = {name: [*row, 1e-9 if name == "b" else 1e9] for name, row in values.items()}

    assert judge(more, LOSS).pairs == judge(values, LOSS).pairs
    assert judge(more, LOSS).seeds == 11


def test_looks_are_taken_one_after_the_other_and_the_first_that_decides_is_the_last():
    early = losses(10, a=(0.0, 0.0), b=(0.05, 0.02))
    late = {"a": [*early["a"], *[9.0] * 10], "b": [*early["b"], *[1.0] * 10]}

    assert judge(late, LOSS).looks == judge(early, LOSS).looks


def test_a_recipe_wholly_behind_is_dropped_and_the_others_run_on():
    values = losses(20, a=(0.0, 0.0), b=(0.02, 0.1), c=(1.0, 0.1))
    verdict = judge({**values, "c": values["c"][:10]}, LOSS)

    first, second = verdict.looks
    assert {pair.other for pair in first.pairs} == {"b", "c"}
    assert {pair.other for pair in second.pairs} == {"b"}
    assert verdict.live == ("a", "b")
    assert [pair.other for pair in verdict.claims] == ["c"]
    assert [(pair.other, pair.seeds) for pair in verdict.pairs] == [("b", 20), ("c", 10)]


def test_a_claim_on_one_of_several_takes_a_third_of_the_error_of_a_look():
    n, sd = 10, 0.1
    from scipy.stats import t

    def behind(alpha):
        return float(t.ppf(1 - alpha / 2, n - 1)) / math.sqrt(n) * sd

    between = (behind(FIRST) + behind(FIRST / 3)) / 2
    verdict = judge(losses(n, a=(0.0, 0.0), b=(0.02, sd), c=(between, sd)), LOSS)
    clear = judge(losses(n, a=(0.0, 0.0), b=(0.02, sd), c=(behind(FIRST / 3) + 1e-6, sd)), LOSS)

    assert verdict.live == ("a", "b")  # dropped …
    assert verdict.claims == ()  # … and not claimed
    assert [pair.other for pair in clear.claims] == ["c"]


def test_of_several_that_may_be_wrongly_called_equivalent_each_takes_its_share_of_the_error():
    from scipy.stats import t

    def half(alpha):
        return float(t.ppf(1 - alpha / 2, 9)) / math.sqrt(10)

    sd = LOSS.delta / (half(FIRST) + half(FIRST / 2)) * 2  # between the two half-widths
    pair = judge(losses(10, a=(0.0, 0.0), b=(1e-9, sd)), LOSS)
    three = judge(losses(10, a=(0.0, 0.0), b=(1e-9, sd), c=(0.05, 0.2)), LOSS)

    assert pair.outcome is Outcome.EQUIVALENT
    assert three.pairs[0].outcome is Outcome.UNDECIDED


def test_better_than_all_others_is_better():
    verdict = judge(losses(10, a=(0.2, 0.02), b=(0.0, 0.0), c=(0.1, 0.03)), LOSS)

    assert (verdict.outcome, verdict.leader) == (Outcome.BETTER, "b")
    assert {pair.outcome for pair in verdict.pairs} == {Outcome.BETTER}
    assert verdict.claims == ()


def test_two_that_are_left_and_alike_are_equivalent():
    verdict = judge(losses(10, a=(0.0, 0.0), b=(0.001, 0.001), c=(1.0, 0.1)), LOSS)

    assert verdict.outcome is Outcome.EQUIVALENT
    assert verdict.live == ("a", "b")
    assert [pair.other for pair in verdict.claims] == ["c"]


def test_to_maximize_turns_the_order_around():
    values = {"a": list(spread(10, 0.9, 0.01)), "b": list(spread(10, 0.8, 0.011))}

    assert judge(values, ACCURACY).leader == "a"


def test_equal_accuracies_at_a_ceiling_are_not_closer_than_an_example():
    fine = Score(**{**ACCURACY.__dict__, "margin": 0.0009})
    values = {"a": [1.0] * 9 + [0.95], "b": [1.0] * 9 + [0.95]}

    assert judge(values, ACCURACY).outcome is Outcome.EQUIVALENT
    # half an example of 360 is .00139, and t(.99375, 9)/sqrt(10) = .99 of it the half-width
    assert judge(values, fine).outcome is Outcome.UNDECIDED


def test_a_failed_run_makes_the_pair_a_sign_test():
    values = losses(10, a=(0.0, 0.0), b=(0.5, 0.01))
    values["b"][3] = None
    verdict = judge(values, LOSS)

    [pair] = verdict.pairs
    assert (pair.wins, pair.losses, pair.ties) == (10, 0, 0)
    assert pair.p == pytest.approx(2 / 2**10)
    assert pair.mean is None
    assert verdict.outcome is Outcome.BETTER
    [failures] = verdict.failures
    assert (failures.recipe, failures.failed, failures.runs) == ("b", 1, 10)


def test_a_recipe_that_fails_often_loses_though_it_is_ahead_where_it_does_not():
    values = losses(20, a=(0.5, 0.01), b=(0.0, 0.0))
    values["b"][:18] = [None] * 18

    verdict = judge(values, LOSS)

    assert (verdict.outcome, verdict.leader) == (Outcome.BETTER, "a")


def test_runs_that_failed_are_never_equivalent():
    values = losses(10, a=(0.0, 0.0), b=(0.0, 0.0001))
    values["a"][0] = values["b"][0] = None

    verdict = judge(values, LOSS)

    assert verdict.outcome is Outcome.UNDECIDED
    assert verdict.pairs[0].ties == 1


def test_an_order_of_recipes_or_its_reverse_is_the_same_verdict():
    values = losses(20, a=(0.0, 0.0), b=(0.02, 0.1), c=(1.0, 0.1))
    for order in itertools.permutations(values):
        verdict = judge({name: values[name] for name in order}, LOSS)
        assert verdict.leader == "a"
        assert set(verdict.live) == {"a", "b"}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"a": [1.0] * 10}, "two recipes or more; there is a"),
        ({}, "there is none"),
        ({"a": [None] * 10, "b": [None] * 10}, "all 20 runs of a, b failed"),
        ({"a": [0.5] * 10, "b": [0.5] * 10}, "every run ended with loss = 0.5: a metric of one"),
        ({"a": [0.5] * 10, "b": [0.6] * 10}, "the same on each of 10 seeds"),
        ({"a": [0.5] * 10, "b": [0.0] * 10}, "loss = 0, which has no logarithm"),
        ({"a": [0.5] * 10, "b": [-1.0] * 10}, "loss = -1, which has no logarithm"),
    ],
)
def test_what_means_nothing_is_refused_with_its_reason(values, says):
    with pytest.raises(VerdictError, match=says):
        judge(values, LOSS)


def test_a_verdict_is_plain_data():
    data = judge(losses(10, a=(0.0, 0.0), b=(0.05, 0.02)), LOSS).data()

    assert (data["outcome"], data["leader"]) == ("better", "a")
    assert data["looks"][0]["pairs"][0]["other"] == "b"


# re-tunings


def error_of(needed: dict[int, int], share: float) -> float:
    """The exact chance that either arm is called better, walked win by win."""
    chances, decided, before = {0: 1.0}, 0.0, 0
    for pairs, wins_needed in needed.items():
        grown: dict[int, float] = {}
        for wins, chance in chances.items():
            for more in range(pairs - before + 1):
                p = float(binom.pmf(more, pairs - before, share))
                grown[wins + more] = grown.get(wins + more, 0.0) + chance * p
        over = {w for w in grown if w >= wins_needed or pairs - w >= wins_needed}
        decided += sum(grown[w] for w in over)
        chances, before = {w: c for w, c in grown.items() if w not in over}, pairs
    return decided


def test_the_wins_needed_keep_an_error_of_five_percent():
    assert error_of(NEEDED_WINS, 0.5) == pytest.approx(0.041, abs=0.0005)
    assert error_of(QUICK_WINS, 0.5) == pytest.approx(2 / 64)


def tunings(wins: int, losses_: int, ties: int = 0) -> list[tuple[float, float]]:
    return [(1.0, 2.0)] * wins + [(2.0, 1.0)] * losses_ + [(1.0, 1.0)] * ties


@pytest.mark.parametrize(
    ("wins", "losses_", "ties", "outcome", "following"),
    [
        (9, 1, 0, Outcome.BETTER, None),
        (9, 0, 1, Outcome.BETTER, None),
        (8, 2, 0, Outcome.UNDECIDED, 20),
        (8, 0, 2, Outcome.UNDECIDED, 20),
        (3, 0, 0, Outcome.UNDECIDED, 10),
        (0, 0, 0, Outcome.UNDECIDED, 10),
        (28, 12, 0, Outcome.BETTER, None),
        (20, 20, 0, Outcome.UNDECIDED, None),
    ],
)
def test_pairs_of_tunings_are_counted(wins, losses_, ties, outcome, following):
    results = tunings(wins, losses_, ties)
    if wins == 28:  # not nine of the first ten, nor sixteen of the first twenty
        results = tunings(7, 3) + tunings(7, 3) + tunings(14, 6)
    if wins == 20:
        results = tunings(5, 5) * 4

    verdict = judge_arms(("a", "b"), results, maximize=False, trials=20)

    assert (verdict.outcome, verdict.next_pairs) == (outcome, following)
    assert (verdict.wins, verdict.losses, verdict.ties) == (wins, losses_, ties)
    assert verdict.first == "a"


def test_the_arm_that_ended_better_more_often_is_named_first():
    verdict = judge_arms(("a", "b"), tunings(9, 1), maximize=True, trials=20)

    assert (verdict.first, verdict.wins, verdict.outcome) == ("b", 9, Outcome.BETTER)


def test_an_arm_that_found_nothing_loses():
    verdict = judge_arms(("a", "b"), [(1.0, None)] * 6, maximize=False, trials=5, quick=True)

    assert (verdict.first, verdict.wins, verdict.outcome) == ("a", 6, Outcome.BETTER)


def test_the_quick_form_ends_after_six():
    verdict = judge_arms(("a", "b"), tunings(5, 1), maximize=False, trials=20, quick=True)

    assert (verdict.outcome, verdict.next_pairs) == (Outcome.UNDECIDED, None)
