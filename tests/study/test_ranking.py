from __future__ import annotations

from datetime import UTC, datetime
from statistics import median

import pytest

from automl_opt.core.result import Status
from automl_opt.store import EpochRow, TrialRow
from automl_opt.study.ranking import is_spent, rank


def row(arm, number, status, value=None, seconds=1.0):
    return TrialRow(
        study_id=1,
        arm=arm,
        trial_id=100 * len(arm) + number,
        number=number,
        run_id=1,
        attempt=1,
        status=status,
        reason=None,
        value=value,
        epochs=2,
        from_epoch=0,
        seconds=seconds,
        worker="here:1",
        device="cpu",
        lease_until=None,
        started_at=datetime.now(UTC),
        ended_at=None,
        checkpoint_uri=None,
        seeds_json="{}",
        recipe_json="{}",
    )


def ranked(trials, *, arms=("a", "bb"), direction="minimize", curves=None, budget=None):
    return rank(
        study="s",
        question="which?",
        metric="loss",
        direction=direction,
        arms=arms,
        trials=trials,
        curves=curves or {},
        budget=dict.fromkeys(arms, 3) if budget is None else budget,
    )


TRIALS = [
    row("a", 0, Status.COMPLETE, 0.5),
    row("a", 1, Status.COMPLETE, 0.3),
    row("a", 2, Status.PRUNED, 0.1),
    row("bb", 0, Status.COMPLETE, 0.4, seconds=2.0),
    row("bb", 1, Status.COMPLETE, 0.2, seconds=3.0),
    row("bb", 2, Status.DIVERGED, None, seconds=4.0),
]


def test_a_ranking_is_what_a_hand_computes():
    test = [EpochRow(epoch=2, split="test", metric="loss", value=0.25, seconds=None)]
    test += [EpochRow(epoch=2, split="test", metric="accuracy", value=0.9, seconds=None)]

    first, second = ranked(TRIALS, curves={201: test}).arms

    assert (first.arm, first.best, first.best_trial) == ("bb", 0.2, 1)
    assert first.median == median([0.4, 0.2])
    assert first.test == 0.25
    assert (first.trials, first.complete, first.pruned, first.failures) == (3, 2, 0, 1)
    assert first.seconds == 9.0
    assert (second.arm, second.best, second.test) == ("a", 0.3, None)
    assert (second.trials, second.complete, second.pruned, second.failures) == (3, 2, 1, 0)


def test_to_maximize_turns_the_order_around():
    first, second = ranked(TRIALS, direction="maximize").arms

    assert (first.arm, first.best, first.best_trial) == ("a", 0.5, 0)
    assert (second.arm, second.best) == ("bb", 0.4)


def test_a_pruned_value_is_never_the_best():
    assert all(arm.best != 0.1 for arm in ranked(TRIALS).arms)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_arms_without_a_complete_trial_come_last(direction):
    trials = [row("a", 0, Status.FAILED), row("a", 1, Status.PRUNED, 9.0), *TRIALS[3:5]]

    first, last = ranked(trials, direction=direction).arms

    assert first.arm == "bb"
    assert (last.best, last.median, last.test, last.best_trial) == (None, None, None, None)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_equal_arms_keep_their_order_and_equal_trials_give_the_earlier(direction):
    trials = [row(arm, n, Status.COMPLETE, 0.5) for arm in ("bb", "a") for n in (1, 0)]

    ranking = ranked(trials, direction=direction, arms=("bb", "a"))

    assert [arm.arm for arm in ranking.arms] == ["bb", "a"]
    assert [arm.best_trial for arm in ranking.arms] == [0, 0]


@pytest.mark.parametrize(
    ("budget", "finished"),
    [({"a": 3, "bb": 3}, True), ({"a": 3, "bb": 4}, False), ({"a": 3}, True)],
)
def test_a_study_is_finished_when_every_arm_it_has_got_its_trials(budget, finished):
    assert ranked(TRIALS, budget=budget).finished == finished


@pytest.mark.parametrize(
    ("allocation", "ended", "spent"),
    [
        ("equal", {"a": 3, "b": 3}, True),
        ("equal", {"a": 4, "b": 2}, False),
        ("leaders", {"a": 4, "b": 2}, True),
        ("elimination", {"a": 3, "b": 2}, False),
        ("leaders", {"a": 5, "gone": 9}, False),
    ],
)
def test_a_budget_is_spent_arm_by_arm_or_in_all(allocation, ended, spent):
    settings = {"arms": ["a", "b"], "[search] trials": 3, "[search] allocation": allocation}

    assert is_spent(settings, ended) is spent


def test_a_running_or_interrupted_trial_is_not_an_end():
    trials = [
        row("a", n, status)
        for n, status in enumerate((Status.RUNNING, Status.STOPPED, Status.PREEMPTED))
    ]

    assert not ranked(trials, arms=("a",), budget={"a": 1}).finished


def test_a_ranking_is_plain_data():
    data = ranked(TRIALS).data()

    assert data["arms"][0]["arm"] == "bb"
    assert data["metric"] == "loss"
