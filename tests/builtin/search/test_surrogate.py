"""The surrogate learns the loss, and reads its warm start from the trials."""

from __future__ import annotations

import math
import os
import platform
import subprocess
import sys

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import create_trial

from automl_opt.api import Float, OneOf, SearchSpace
from automl_opt.builtin.search.encoding import Space, declared
from automl_opt.builtin.search.history import read
from automl_opt.builtin.search.surrogate import ROWS, TURNS, model, prior_of
from automl_opt.core.space import Entry
from automl_opt.training.memory import OTHERS

from .bowls import bowls, history_of

VIEWS = sorted(set(TURNS))


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_learns_where_the_bowl_is_and_which_number_matters(view):
    surrogate = model(bowls(40), view)

    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 21)] * 2), axis=-1).reshape(-1, 2)
    lowest = grid[np.argmin(surrogate.posterior.means(grid))]
    weight_x, weight_y = surrogate.posterior.theta[:2]
    assert abs(lowest[0] - 0.3) <= 0.1
    assert weight_x > weight_y


@pytest.mark.parametrize(("parameters", "alike"), [(8, False), (16, True)])
def test_where_there_are_many_numbers_what_is_not_known_of_one_is_taken_from_the_others(
    parameters, alike
):
    study = optuna.create_study()
    ranges = {f"x{k}": FloatDistribution(0.0, 1.0) for k in range(parameters)}
    points = np.random.default_rng(0).random((80, parameters))
    points[:, 0] = 0.5
    for point, value in zip(points.tolist(), np.sin(9 * points[:, 1:4]).sum(axis=1), strict=True):
        params = dict(zip(ranges, point, strict=True))
        study.add_trial(create_trial(params=params, distributions=ranges, value=value))
    trial = study.ask()

    surrogate = model(read(study, study.trials[trial.number], ranges, None, seed=0), "A")

    names = sorted(ranges)
    weights = dict(zip(names, surrogate.posterior.theta, strict=False))
    others = np.mean([w for name, w in weights.items() if name != "x0"])
    centre = np.log(4.0 / (parameters / 4.0))
    assert abs(others - centre) > 0.1
    assert (abs(weights["x0"] - centre) > 0.05) == alike


def test_the_more_numbers_a_flat_space_has_the_less_is_left_to_the_trials():
    def prior(parameters, when=()):
        numbers = [Entry(f"x{k}", Float(0.0, 1.0), when) for k in range(parameters - 1)]
        space = SearchSpace((Entry("kind", OneOf(("a", "b"))), *numbers))
        return prior_of(Space(*declared(space)))

    few, many, more, branched = prior(8), prior(16), prior(32), prior(16, (("kind", ("a",)),))

    assert (few.weight_sd, few.common) == (branched.weight_sd, branched.common) == (1.0, 0.0)
    assert branched.finer == 64.0
    assert few.weight_sd > many.weight_sd > more.weight_sd
    assert few.common < many.common < more.common < 1.0
    assert few.finer < many.finer < more.finer


@pytest.mark.parametrize(("numbers", "flat", "warped"), [(7, True, 7), (8, True, 0), (8, False, 8)])
def test_ranges_are_bent_where_parameters_are_few_or_conditional(numbers, flat, warped):
    ranges = {"kind": CategoricalDistribution(("a", "b"))}
    ranges |= {f"x{k}": FloatDistribution(0.0, 1.0) for k in range(numbers)}
    trials = [({"kind": "a", **{f"x{k}": 0.1 * n for k in range(numbers)}}, n) for n in range(5)]
    if not flat:
        trials += [({"kind": "b"}, 9.0)]

    noted = model(history_of(trials, ranges), "A").note["kernel.A"]

    assert len(noted["warps"]) == warped


def test_views_leave_the_order_of_the_trials_as_it_is():
    history = bowls(40)

    for view in VIEWS:
        targets = model(history, view).posterior.targets
        assert (np.diff(targets[history.order]) >= 0).all()


def test_a_fit_is_used_until_the_trials_have_grown_by_a_seventh():
    first = model(bowls(50), "A")
    assert first.note["kernel.A"]["n"] == 50

    same = model(bowls(56, first.note), "A")
    again = model(bowls(57, first.note), "A")

    assert not same.note
    np.testing.assert_array_equal(same.posterior.theta, first.posterior.theta)
    assert again.note["kernel.A"]["n"] == 57
    assert model(bowls(56, first.note), "B").note  # every view has its own


def test_a_fit_starts_from_what_is_known_of_the_one_before():
    first = model(bowls(50), "A")
    noted = first.note["kernel.A"]
    forgetful = {"kernel.A": {**noted, "weights": {"x": noted["weights"]["x"]}}}
    del forgetful["kernel.A"]["warps"]

    same = model(bowls(50, forgetful), "A").posterior.theta

    np.testing.assert_array_equal(same[[0, *range(2, 8)]], first.posterior.theta[[0, *range(2, 8)]])
    assert same[1] == pytest.approx(math.log(4.0))  # the prior's
    assert not same[8:].any()
    assert first.posterior.theta[8:].any()


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or any(name.startswith(OTHERS) for name in os.environ),
    reason="only glibc, left alone, takes freed sizes for what a program needs",
)
def test_memory_of_a_matrix_is_kept_for_the_next_one():
    code = """
import resource, numpy as np
from automl_opt.builtin.search.memory import keep_freed

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        matrices = [np.ones((1000, 900)) for _ in range(4)]
        del matrices
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
left_alone = faults()
keep_freed()
faults()
print(left_alone, faults())
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    left_alone, kept = map(int, run.stdout.split())
    assert kept < left_alone / 10


def test_of_many_trials_the_best_and_the_newest_are_kept():
    history = bowls(ROWS + 200)

    rows = set(model(history, "A").rows.tolist())

    half = ROWS // 2
    assert set(history.best(half).tolist()) <= rows
    assert set(range(len(history) - half, len(history))) <= rows
    assert len(rows) <= ROWS
