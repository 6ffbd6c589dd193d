"""A proposal is legal whatever happened, and a function of the seed and the history."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from automl_opt.api import Float, Int, OneOf, SearchSpace
from automl_opt.builtin.search.history import NOTE
from automl_opt.core.space import Entry

from .spaces import ENDS, is_legal, spaces, study_of
from .strategies import BASES, STRATEGIES, Plain, Screened, make, named

of_all = pytest.mark.parametrize("strategy", STRATEGIES, ids=named)
of_strategies = pytest.mark.parametrize("strategy", BASES, ids=named)

SPACE = SearchSpace(
    (
        Entry("lr", Float(1e-4, 1.0, log=True, default=0.01)),
        Entry("kind", OneOf(("plain", "decaying"))),
        Entry("final", Float(0.0, 1.0), (("kind", ("decaying",)),)),
        Entry("size", Int(1, 64, log=True, default=32)),
    )
)


def value_of(values):
    return abs(np.log10(values["lr"]) + 1) + values.get("final", 0.3) + values["size"] / 64


def search(sampler, study, trials, space=SPACE, value=value_of, sign=1.0):
    """*trials* more trials of *study*; *sampler* is made anew for every one."""
    for _ in range(trials):
        study.sampler = sampler()
        trial = study.ask()
        study.tell(trial, sign * value(space.suggest_values(trial)))
    return [t.params for t in study.trials]


@of_all
@settings(max_examples=6)
@given(
    space=spaces(),
    ends=ENDS,
    direction=st.sampled_from(["minimize", "maximize"]),
    known=st.booleans(),
    seed=st.integers(0, 9),
)
def test_whatever_happened_a_proposal_is_legal_and_repeats(
    strategy, space, ends, direction, known, seed
):
    proposed = []
    for _ in range(2):
        study = study_of(space, ends, direction, seed)
        study.sampler = make(strategy, space=space if known else None, seed=seed)
        first, second = study.ask(), study.ask()
        proposed.append([space.suggest_values(first), space.suggest_values(second)])

    assert all(is_legal(space, values) for values in proposed[0])
    assert proposed[0] == proposed[1]


@of_all
@pytest.mark.parametrize("known", [True, False], ids=["declared", "unknown"])
def test_a_study_opened_again_goes_on_as_the_undisturbed_one(strategy, known):
    def sampler():
        return make(strategy, space=SPACE if known else None, seed=7)

    undisturbed = search(sampler, optuna.create_study(), 24)

    study = optuna.create_study()
    search(sampler, study, 14)
    opened = optuna.create_study()
    opened.add_trials(study.trials)
    assert search(sampler, opened, 10) == undisturbed


@of_strategies
def test_one_sampler_for_all_trials_proposes_what_fresh_ones_do(strategy):
    one = make(strategy, space=SPACE, seed=7)

    kept = search(lambda: one, optuna.create_study(), 15)

    fresh = search(lambda: make(strategy, space=SPACE, seed=7), optuna.create_study(), 15)
    assert kept == fresh


@pytest.mark.parametrize(("strategy", "turns"), [(Plain, 0), (Screened, 9)])
def test_of_many_parameters_each_has_a_turn_where_a_surrogate_chooses(strategy, turns):
    space = SearchSpace(tuple(Entry(f"x{i}", Float(0.0, 1.0)) for i in range(9)))
    study = optuna.create_study()

    search(lambda: strategy(space=space, seed=3), study, 16, space, lambda v: sum(v.values()))

    reasons = [trial.system_attrs[NOTE]["why"] for trial in study.trials]
    assert reasons.count("one parameter moved") == turns


PROGRAM = """
import optuna, sys
sys.path.insert(0, {root!r})
from tests.builtin.search.strategies import BASES, make
from tests.builtin.search.test_sampler import SPACE, search
optuna.logging.set_verbosity(optuna.logging.ERROR)
for strategy in BASES:
    print(search(lambda: make(strategy, space=SPACE, seed=3), optuna.create_study(), 12))
"""


def test_another_process_proposes_the_same(pytestconfig):
    program = PROGRAM.format(root=str(pytestconfig.rootpath))

    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout

    for strategy, line in zip(BASES, told.splitlines(), strict=True):
        here = search(lambda s=strategy: make(s, space=SPACE, seed=3), optuna.create_study(), 12)
        assert line == str(here)


@of_all
def test_maximising_the_negative_is_minimising(strategy):
    def sampler():
        return make(strategy, space=SPACE, seed=1)

    down = search(sampler, optuna.create_study(direction="minimize"), 20)
    up = search(sampler, optuna.create_study(direction="maximize"), 20, sign=-1.0)

    assert down == up


@of_strategies
def test_the_declared_defaults_come_first_and_the_reason_is_on_the_trial(strategy):
    study = optuna.create_study()

    first = search(lambda: make(strategy, space=SPACE, seed=1), study, 8)[0]

    assert first == SPACE.defaults()
    assert all(t.system_attrs[NOTE]["why"] for t in study.trials)


@of_strategies
def test_failures_are_avoided(strategy):
    """Half of the range fails: after 20 trials few proposals still lie there."""
    space = SearchSpace((Entry("x", Float(0.0, 1.0)), Entry("y", Float(0.0, 1.0))))
    study = optuna.create_study()
    failed = []
    for number in range(60):
        study.sampler = make(strategy, space=space, seed=5)
        trial = study.ask()
        values = space.suggest_values(trial)
        failed.append(values["x"] < 0.5)
        if values["x"] < 0.5:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, values["y"] - values["x"] * (number < 0))

    assert sum(failed[20:]) <= 12


@of_strategies
def test_eight_workers_in_one_process_hardly_ever_propose_the_same(strategy):
    study = optuna.create_study(sampler=make(strategy, space=SPACE, seed=5))

    study.optimize(lambda t: value_of(SPACE.suggest_values(t)), n_trials=40, n_jobs=8)

    # two that are asked in the same instant know nothing of each other
    assert len({str(t.params) for t in study.trials}) >= 35


@of_strategies
def test_running_trials_are_not_proposed_again(strategy):
    study = optuna.create_study(sampler=make(strategy, space=SPACE, seed=5))
    search(lambda: study.sampler, study, 10)

    running = [SPACE.suggest_values(study.ask()) for _ in range(8)]

    assert len({str(values) for values in running}) == 8


@of_strategies
def test_in_a_bracket_of_hyperband_nothing_is_proposed_twice(strategy):
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9)
    study = optuna.create_study(sampler=make(strategy, space=SPACE, seed=5), pruner=pruner)

    def objective(trial):
        value = value_of(SPACE.suggest_values(trial))
        for step in range(9):
            trial.report(value + 1 / (1 + step), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    study.optimize(objective, n_trials=30)

    brackets = {}
    for trial in study.trials:
        bracket = pruner._get_bracket_id(study, trial)
        brackets.setdefault(bracket, []).append(str(trial.params))
    assert len(brackets) > 1
    assert all(len(set(params)) == len(params) for params in brackets.values())


@of_strategies
def test_a_small_space_is_searched_through_before_anything_repeats(strategy):
    space = SearchSpace((Entry("a", OneOf((1, 2, 3))), Entry("b", Int(0, 3))))

    values = search(
        lambda: make(strategy, space=space, seed=2),
        optuna.create_study(),
        14,
        space=space,
        value=lambda v: v["a"] + v["b"],
    )

    assert len({str(v) for v in values[:12]}) == 12
    assert all(is_legal(space, v) for v in values)


def test_a_study_reopened_from_sqlite_goes_on_as_one_in_memory(tmp_path):
    def sampler():
        return Screened(space=SPACE, seed=4)

    in_memory = search(sampler, optuna.create_study(), 12)

    url = f"sqlite:///{tmp_path}/study.db"
    search(sampler, optuna.create_study(storage=url, study_name="s"), 6)
    again = search(sampler, optuna.load_study(storage=url, study_name="s"), 6)
    assert again == in_memory


def test_a_branch_that_was_never_seen_is_drawn():
    study = optuna.create_study(sampler=Plain(seed=0, start=1))

    def objective(trial):
        if trial.suggest_categorical("kind", ["old", "new"]) == "new" and trial.number > 5:
            return trial.suggest_float("rare", 1.0, 2.0)
        return 3.0

    study.optimize(objective, n_trials=20)

    rare = [t.params["rare"] for t in study.trials if "rare" in t.params]
    assert len(set(rare)) > 1
