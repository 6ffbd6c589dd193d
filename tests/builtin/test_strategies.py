"""Strategies repeat under a seed; pruners stop whom they say they stop."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from automl_opt.api import Float, Int, OneOf
from automl_opt.builtin.pruners import hyperband, median, milestones, successive_halving
from automl_opt.builtin.strategies import tpe
from automl_opt.core.space import Entry, SearchSpace
from automl_opt.plugin.host import load_host

CATALOG = load_host(allow=()).catalog
STRATEGIES = CATALOG.components("strategy")
PRUNERS = CATALOG.components("pruner")

of_strategies = pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda c: c.id)
of_pruners = pytest.mark.parametrize("pruner", PRUNERS, ids=lambda c: c.id)

SPACE = SearchSpace(
    (
        Entry("lr", Float(1e-4, 1.0, log=True)),
        Entry("kind", OneOf(("plain", "decaying"))),
        Entry("final", Float(0.0, 1.0), when=(("kind", ("decaying",)),)),
        Entry("size", Int(1, 64, log=True)),
    )
)


def value_of(values):
    return abs(values["lr"] - 0.1) + values.get("final", 0.5) + values["size"] / 64


def search(strategy, params, seed, trials=15, space=SPACE):
    """As a study does it: a fresh sampler for every trial, seeded by the trial's number."""
    make = strategy.code(strategy.spec.sampler)
    study = optuna.create_study(direction="minimize")
    for number in range(trials):
        study.sampler = make(space=space, seed=1000 * seed + number, **params)
        trial = study.ask()
        study.tell(trial, value_of(SPACE.suggest_values(trial)))
    return [trial.params for trial in study.trials]


@of_strategies
@pytest.mark.parametrize("sample", range(2))
def test_a_strategy_proposes_the_same_trials_under_the_same_seed(strategy, sample, draw):
    params = draw(strategy.spec, sample)

    once, again = (search(strategy, params, seed=3) for _ in range(2))

    assert once == again


@of_strategies
def test_a_strategy_proposes_other_trials_under_another_seed(strategy, draw):
    params = draw(strategy.spec, 0)

    assert search(strategy, params, seed=3) != search(strategy, params, seed=4)


@of_strategies
def test_a_strategy_works_in_a_study_without_a_declared_space(strategy, draw):
    assert len(search(strategy, draw(strategy.spec, 0), seed=1, trials=3, space=None)) == 3


def test_tpe_draws_at_random_until_its_startup_trials_are_over():
    """The same trials as long as the history does not matter, others once it does."""

    def proposals(value):
        study = optuna.create_study()
        for number in range(8):
            study.sampler = tpe.sampler(
                space=None, seed=number, n_startup_trials=5, n_ei_candidates=24
            )
            trial = study.ask()
            study.tell(trial, value(trial.suggest_float("x", 0, 1)))
        return [trial.params["x"] for trial in study.trials]

    up, down = proposals(lambda x: x), proposals(lambda x: -x)

    assert up[:5] == down[:5]
    assert up[5:] != down[5:]


def prune_calls(pruner, curves):
    """For each trial the epochs, counted from 1, after which *pruner* would end it."""
    study = optuna.create_study(direction="minimize", pruner=pruner)
    called = []
    for curve in curves:
        trial = study.ask()
        called.append([])
        for epoch, value in enumerate(curve, start=1):
            trial.report(value, epoch)
            if trial.should_prune():
                called[-1].append(epoch)
        study.tell(trial, curve[-1])
    return called


@of_pruners
@pytest.mark.parametrize("epochs", [1, 2, 27])
@pytest.mark.parametrize("sample", range(4))
def test_a_pruner_judges_trials_of_any_length(pruner, epochs, sample, draw):
    made = pruner.code(pruner.spec.pruner)(epochs=epochs, **draw(pruner.spec, sample))

    called = prune_calls(made, [[float(k)] * epochs for k in range(12)])

    assert isinstance(made, optuna.pruners.BasePruner)
    assert called[0] == []


def test_no_pruner_ends_nothing(draw):
    none = CATALOG.find("pruner", "none")

    made = none.code(none.spec.pruner)(epochs=5)

    assert prune_calls(made, [[1.0] * 5, [9.0] * 5, [99.0] * 5]) == [[], [], []]


@pytest.mark.parametrize(("warmup", "epochs"), [(0, [1, 2, 3, 4]), (1, [2, 3, 4]), (3, [4])])
def test_median_ends_the_worse_half_after_warm_up_and_start_up(warmup, epochs):
    made = median.pruner(epochs=4, n_startup_trials=3, n_warmup_steps=warmup)

    called = prune_calls(made, [[1.0] * 4, [3.0] * 4, [9.0] * 4, [2.0] * 4, [4.0] * 4])

    assert called == [[], [], [], [], epochs]


@pytest.mark.parametrize(
    ("epochs", "min_resource", "reduction_factor", "brackets"),
    [(1, 1, 3, 1), (10, 1, 3, 3), (10, 50, 3, 1), (100, 1, 2, 7), (100, 10, 3, 3)],
)
def test_hyperband_has_the_brackets_of_the_paper(epochs, min_resource, reduction_factor, brackets):
    """``floor(log(max_resource / min_resource) / log(reduction_factor)) + 1`` (Algorithm 1)."""
    made = hyperband.pruner(
        epochs=epochs, min_resource=min_resource, reduction_factor=reduction_factor
    )

    prune_calls(made, [[1.0] * epochs])

    assert isinstance(made, optuna.pruners.HyperbandPruner)
    assert made._n_brackets == brackets


def test_hyperband_ends_most_of_the_trials_that_get_worse_and_worse():
    made = hyperband.pruner(epochs=27, min_resource=1, reduction_factor=3)

    called = prune_calls(made, [[float(k)] * 27 for k in range(30)])

    assert called[0] == []
    assert sum(bool(epochs) for epochs in called[10:]) > 10


def test_successive_halving_judges_at_rungs_that_grow_by_its_factor():
    made = successive_halving.pruner(epochs=30, min_resource=2, reduction_factor=3)

    called = prune_calls(made, [[1.0] * 30, *([[9.0] * 30] * 3)])

    assert called[0] == []
    assert [epochs[0] for epochs in called[1:]] == [2, 2, 2]


def test_successive_halving_lets_one_trial_in_three_pass_a_rung():
    made = successive_halving.pruner(epochs=9, min_resource=1, reduction_factor=3)

    called = prune_calls(made, [[float(-k)] * 9 for k in range(9)])  # every trial is the best yet
    worse = prune_calls(made, [[float(k)] * 9 for k in range(9)])

    assert called == [[]] * 9
    assert worse[0] == []
    assert all(epochs[0] == 1 for epochs in worse[1:])


def late(**params):
    defaults = {"first": 0.5, "milestones": 2, "keep": 0.5, "n_startup_trials": 2}
    return milestones.pruner(epochs=8, **(defaults | {"across_schedules": False} | params))


@pytest.mark.parametrize(
    ("params", "epochs"),
    [
        ({}, [4, 6]),
        ({"first": 0.75, "milestones": 1}, [6]),
        ({"first": 0.125, "milestones": 1}, [1]),
        ({"n_startup_trials": 5}, []),
    ],
)
def test_milestones_judges_at_its_epochs_only(params, epochs):
    called = prune_calls(late(**params), [[1.0] * 8, [2.0] * 8, [9.0] * 8])

    assert called == [[], [], epochs]


def test_milestones_never_judges_at_the_last_epoch():
    made = late(first=0.95, milestones=10)

    assert prune_calls(made, [[float(k)] * 8 for k in range(6)]) == [[]] * 6


@pytest.mark.parametrize(("across", "ended"), [(False, []), (True, [4, 6])])
def test_milestones_ranks_trials_of_the_same_schedule_alone_unless_told_to(across, ended):
    """The last trial is the worst of all and the only one of its schedule."""
    study = optuna.create_study(pruner=late(across_schedules=across))
    called = []
    for value, schedule in [(1.0, "cosine"), (2.0, "cosine"), (3.0, "cosine"), (9.0, "step")]:
        study.enqueue_trial({"scheduler": schedule})
        trial = study.ask()
        trial.suggest_categorical("scheduler", ["cosine", "step"])
        called.append([])
        for epoch in range(1, 9):
            trial.report(value, epoch)
            if trial.should_prune():
                called[-1].append(epoch)
        study.tell(trial, value)

    assert called[-1] == ended


def test_milestones_keeps_its_share():
    made = late(keep=0.25, milestones=1, n_startup_trials=7)

    called = prune_calls(made, [[float(k)] * 8 for k in (0, 1, 2, 3, 4, 5, 6)] + [[1.5] * 8])
    among_the_best = prune_calls(
        made, [[float(k)] * 8 for k in (0, 1, 2, 3, 4, 5, 6)] + [[0.5] * 8]
    )

    assert called[-1] == [4]
    assert among_the_best[-1] == []


def test_milestones_ends_a_trial_whose_value_is_not_a_number():
    made = late(n_startup_trials=1)
    study = optuna.create_study(pruner=made)
    prune = []
    for value in (1.0, float("nan")):
        study.add_trial(create_trial(state=TrialState.RUNNING, intermediate_values={4: value}))
        prune.append(made.prune(study, study.trials[-1]))

    assert prune == [False, True]
