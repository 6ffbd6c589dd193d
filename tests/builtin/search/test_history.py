"""The history orders trials as it says, whatever order they came in."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from automl_opt.builtin.search.history import COMPLETE, FAILED, NOTE, losses, read

X = {"x": FloatDistribution(0.0, 1.0)}


def ended(state, x, value=None, *, report=None, constraint=None, note=None):
    reports = {} if report is None else {3: report, 1: -50.0}
    attrs = {} if constraint is None else {"constraints:memory": constraint}
    return create_trial(
        state=state,
        params={"x": x},
        distributions=X,
        value=value,
        intermediate_values=reports,
        system_attrs=attrs | ({NOTE: note} if note else {}),
    )


def history_of(trials, direction="minimize"):
    study = optuna.create_study(direction=direction)
    study.add_trials(trials)
    trial = study.ask()
    return read(study, study.trials[trial.number], X, None, seed=0)


DONE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL


def test_from_best_to_worst_come_complete_pruned_violating_and_failed():
    history = history_of(
        [
            ended(FAIL, 0.0),
            ended(DONE, 0.1, 5.0, constraint=2.0),
            ended(DONE, 0.2, 5.0, constraint=0.5),
            ended(PRUNED, 0.3, report=3.0),
            ended(PRUNED, 0.4, report=-9.0),
            ended(DONE, 0.5, 2.0),
            ended(DONE, 0.6, 1.0),
            ended(DONE, 0.7, 0.0),
        ]
    )

    assert history.numbers[history.order].tolist() == [4, 7, 6, 5, 3, 2, 1, 0]
    assert history.best(99).tolist() == [4, 7, 6, 5, 3]
    assert history.complete.tolist() == [False] * 5 + [True] * 3
    assert history.loss[4] == 0.0  # that of the best: a pruned report is never taken for a record


@pytest.mark.parametrize("value", [math.inf, -math.inf])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_an_infinite_value_is_a_failure_in_both_directions(value, direction):
    history = history_of([ended(DONE, 0.1, 1.0), ended(DONE, 0.2, value)], direction)

    assert history.bad.tolist() == [False, True]
    assert np.isfinite(history.loss).all()


def test_maximising_turns_the_order():
    history = history_of([ended(DONE, 0.1, 1.0), ended(DONE, 0.2, 2.0)], "maximize")

    assert history.best(1).tolist() == [1]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=12), st.data())
def test_fronts_come_in_order(points, data):
    """A dominated point comes after the one that dominates it."""
    values = np.array(points)

    loss, _ = losses(values, np.zeros(len(values)), np.full(len(values), COMPLETE))

    for i, one in enumerate(values):
        for j, other in enumerate(values):
            if (one <= other).all() and (one < other).any():
                assert loss[i] < loss[j]


def test_losses_stay_finite_at_the_ends_of_the_floating_point_range():
    values = np.array([[1e300], [-1e300], [np.nan]])

    loss, bad = losses(values, np.zeros(3), np.array([COMPLETE, COMPLETE, FAILED]))

    assert np.isfinite(loss).all()
    assert bad.tolist() == [False, False, True]
    assert loss[2] >= loss[0] > loss[1]


def test_a_running_trial_counts_with_its_plan_and_with_what_it_was_given_instead():
    study = optuna.create_study()
    space = {"x": X["x"], "kind": CategoricalDistribution(("a", "b"))}
    study.add_trial(create_trial(params={"x": 0.5, "kind": "a"}, distributions=space, value=1.0))
    running = study.ask()
    running.suggest_float("x", 0.0, 1.0)
    plan = {"plan": {"kind": 1.0}}
    study._storage.set_trial_system_attr(running._trial_id, NOTE, plan)
    trial = study.ask()

    history = read(study, study.trials[trial.number], space, None, seed=0)

    np.testing.assert_allclose(history.pending_genes, [[1.0, running.params["x"]]])


def test_the_newest_note_is_that_of_the_highest_number_running_or_not():
    notes = [ended(DONE, 0.1 * k, 1.0, note={"gp": k} if k in (1, 3) else None) for k in range(5)]

    assert history_of(notes).newest("gp") == 3
    assert history_of(notes).newest("other") is None


def test_the_studys_seed_is_the_one_its_first_trial_noted():
    trials = [ended(DONE, 0.1, 1.0), ended(DONE, 0.2, 1.0, note={"seed": 42})]

    assert history_of(trials).seed == 42
    assert history_of(trials[:1]).seed == 0


def test_decoding_step_by_step_is_decoding_at_once():
    """With trials that end out of order."""
    study = optuna.create_study()
    rng = np.random.default_rng(0)
    open_trials = []
    for _ in range(30):
        open_trials.append(study.ask())
        open_trials[-1].suggest_float("x", 0.0, 1.0)
        last = read(study, study.trials[open_trials[-1].number], X, None, seed=0)
        if len(open_trials) > 4:
            study.tell(open_trials.pop(int(rng.integers(5))), float(rng.random()))
    trial = study.ask()
    last = read(study, study.trials[trial.number], X, None, seed=0)

    copy = optuna.create_study()
    copy.add_trials([t for t in study.trials if t.number != trial.number])
    other = copy.ask()
    fresh = read(copy, copy.trials[other.number], X, None, seed=0)

    for name in ("numbers", "genes", "cube", "loss", "bad", "pending_genes"):
        np.testing.assert_array_equal(getattr(last, name), getattr(fresh, name))
    assert last.seen == fresh.seen
