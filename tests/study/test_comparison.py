from __future__ import annotations

import json
import re

import pytest

from automl_opt.core.errors import VerdictError
from automl_opt.core.verdict import Score
from automl_opt.study.comparison import TaskResult, compare
from automl_opt.study.cost import ArmCost, Costs
from automl_opt.study.ranking import ArmRank, Ranking
from automl_opt.study.tasks import critical_difference, signed_rank

LOSS = Score(metric="loss", maximize=False, scale="log", margin=0.01)
ACCURACY = Score(metric="accuracy", maximize=True, scale="plain", margin=0.01)


def task(number: int, score: Score = LOSS, **tests: float | None) -> TaskResult:
    arms = tuple(
        ArmRank(
            arm=arm,
            best=0.0,
            median=0.0,
            test=test,
            best_trial=0,
            trials=1,
            complete=1,
            pruned=0,
            failures=0,
            seconds=1.0,
        )
        for arm, test in tests.items()
    )
    costs = tuple(
        ArmCost(
            arm=arm,
            trials=1,
            seconds=1.0,
            expected=(),
            best_so_far=(),
            to_target=(1, float(place)),
        )
        for place, arm in enumerate(tests, start=1)
    )
    return TaskResult(
        ranking=Ranking(
            study=f"task{number}",
            question="",
            metric=score.metric,
            direction="maximize" if score.maximize else "minimize",
            arms=arms,
            finished=True,
        ),
        score=score,
        costs=Costs(target=0.0, arms=costs, leaders={}),
    )


def test_two_arms_are_compared_by_the_signed_ranks_of_their_scores():
    results = [task(i, a=0.5, bb=0.5 + i / 10) for i in range(1, 8)]

    found = compare(results)

    scores = {arm: [LOSS.of(v) for v in row] for arm, row in found.tests.items()}
    assert found.signed_rank == signed_rank(scores)
    assert found.said() == [
        "Over these 7 tasks a ends better than bb (exact signed-rank test at 5 %)."
    ]
    assert found.tasks == tuple(f"task{i}" for i in range(1, 8))
    json.dumps(found.data())


def test_the_second_may_be_the_better():
    found = compare([task(i, a=0.5 + i / 10, bb=0.5) for i in range(1, 8)])

    assert found.said()[0].startswith("Over these 7 tasks bb ends better than a ")


def test_what_cannot_be_told_is_said():
    found = compare([task(i, a=0.5, bb=0.5 + (-1) ** i * i / 100) for i in range(1, 8)])

    assert "cannot be told apart" in found.said()[0]


def test_too_few_tasks_are_refused_in_sentences():
    found = compare([task(i, a=0.5, bb=0.6) for i in range(3)])

    assert (found.signed_rank, found.profiles) == (None, ())
    assert found.said() == [
        "A signed-rank test needs 6 tasks or more; there are 3.",
        "A performance profile needs 6 tasks or more; there are 3.",
    ]


def test_sizes_of_different_metrics_are_not_compared():
    found = compare(
        [task(i, ACCURACY if i % 2 else LOSS, a=0.5, bb=0.5 + i / 100) for i in range(1, 8)]
    )

    assert "are not comparable" in found.said()[0]


def test_several_arms_are_compared_by_their_ranks():
    results = [task(i, ACCURACY, a=0.9, bb=0.8 + i / 1000, ccc=0.1) for i in range(10)]

    found = compare(results)

    scores = {arm: list(row) for arm, row in found.tests.items()}
    expected = critical_difference(scores)
    assert found.critical_difference == expected
    assert found.said()[0] == "Mean ranks over 10 tasks: a 1.00, bb 2.00, ccc 3.00."
    assert found.said()[1] == "The critical difference at 5 % is 1.05; it separates a from ccc."
    assert [profile.shares[0] for profile in found.profiles] == [1.0, 0.0, 0.0]


def test_several_arms_that_take_turns_are_not_told_apart():
    turns = [(0.9, 0.8, 0.7), (0.7, 0.9, 0.8), (0.8, 0.7, 0.9)] * 4
    found = compare([task(i, ACCURACY, a=a, bb=b, ccc=c) for i, (a, b, c) in enumerate(turns)])

    assert found.said() == [
        "Mean ranks over 12 tasks: a 2.00, bb 2.00, ccc 2.00.",
        "Friedman's test at 5 % does not tell the arms apart.",
    ]


def test_arms_that_a_study_lacks_are_left_out():
    found = compare([task(0, a=0.5, bb=0.6, d=0.1), task(1, bb=0.6, a=0.5)])

    assert list(found.tests) == ["a", "bb"]


@pytest.mark.parametrize(
    ("results", "says"),
    [
        ([task(0, a=0.5, bb=0.6)], "needs two studies or more"),
        ([task(0, a=0.5, bb=0.6), task(1, a=0.5)], r"1 arms in common \(a\); a comparison needs"),
        ([task(0, a=0.5), task(1, bb=0.5)], "0 arms in common; a comparison needs two"),
        ([task(0, a=0.5, bb=None), task(1, a=0.5, bb=1.0)], "arm bb of study 'task0' has no loss"),
        ([task(0, a=0.5, bb=-1.0), task(1, a=0.5, bb=1.0)], "which has no logarithm"),
    ],
)
def test_what_cannot_be_compared_is_said(results, says):
    with pytest.raises(VerdictError, match=says):
        compare(results)


def test_no_sentence_says_more_than_the_tests_do():
    for results in (
        [task(i, a=0.5, bb=0.5 + i / 10) for i in range(1, 8)],
        [task(i, ACCURACY, a=0.9, bb=0.8 + i / 1000, ccc=0.1) for i in range(10)],
        [task(i, a=0.5, bb=0.6) for i in range(3)],
    ):
        for sentence in compare(results).said():
            assert not re.search(r"best|P =|new data|signific|probab", sentence)
