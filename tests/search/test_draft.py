"""Through a draft, samplers propose and pruners stop what they do in plain Optuna."""

from __future__ import annotations

import warnings

import optuna
import pytest
from optuna.pruners import HyperbandPruner, MedianPruner
from optuna.samplers import (
    CmaEsSampler,
    GPSampler,
    GridSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import TrialState

from automl_opt.core.params import Float, Int, OneOf
from automl_opt.core.space import Entry, SearchSpace
from automl_opt.search.draft import Draft

EPOCHS = 9
NUMBERS = (
    Entry("lr", Float(1e-4, 1.0, log=True)),
    Entry("momentum", Float(0.0, 0.99)),
    Entry("width", Int(4, 64, log=True)),
)
KIND = Entry("kind", OneOf(("relu", "tanh", "gelu")))
GRID = {
    "lr": [1e-3, 1e-2, 1e-1],
    "momentum": [0.0, 0.5, 0.9],
    "width": [8, 32],
    "kind": ["relu", "tanh"],
}

SAMPLERS = {
    "random": lambda: RandomSampler(seed=7),
    "tpe": lambda: TPESampler(seed=7, n_startup_trials=6),
    "tpe-group": lambda: TPESampler(seed=7, n_startup_trials=6, multivariate=True, group=True),
    "nsga2": lambda: NSGAIISampler(seed=7, population_size=6),
    "cmaes": lambda: CmaEsSampler(seed=7, n_startup_trials=3),
    "gp": lambda: GPSampler(seed=7, n_startup_trials=5, deterministic_objective=True),
    "grid": lambda: GridSampler(GRID, seed=7),
    "qmc": lambda: QMCSampler(seed=7, scramble=True),
}
TRIALS = {"gp": 10}
PRUNERS = {
    "median": lambda: MedianPruner(n_startup_trials=3),
    "hyperband": lambda: HyperbandPruner(min_resource=1, max_resource=EPOCHS),
}


def value_after(epoch, params):
    bowl = (params["lr"] - 0.03) ** 2 + abs(params["momentum"] - 0.8) + params["width"] / 640
    return bowl + {"relu": 0.0, "tanh": 0.1, "gelu": 0.05}.get(params.get("kind"), 0.0) + 1 / epoch


def by_plain_optuna(sampler, pruner, space, trials):
    def objective(trial):
        params = space.suggest_values(trial)
        for epoch in range(1, EPOCHS + 1):
            trial.report(value_after(epoch, params), epoch)
            if epoch < EPOCHS and trial.should_prune():
                raise optuna.TrialPruned
        return value_after(EPOCHS, params)

    study = optuna.create_study(study_name="arm", sampler=sampler, pruner=pruner)
    study.enqueue_trial(space.defaults())
    study.optimize(objective, n_trials=trials)
    return study.trials


def by_a_draft(sampler, pruner, space, trials):
    draft = Draft("arm", "minimize", pruner, [])
    ended = []
    for _ in range(trials):
        trial = draft.propose(sampler, space)
        for epoch in range(1, EPOCHS + 1):
            value = value_after(epoch, trial.params)
            if draft.report(trial.number, epoch, value) and epoch < EPOCHS:
                state = TrialState.PRUNED
                break
        else:
            state = TrialState.COMPLETE
        ended.append(draft.end(trial.number, state, value, sampler))
    return ended


@pytest.mark.parametrize("pruner", PRUNERS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sampler_goes_the_way_it_goes_in_plain_optuna(sampler, pruner):
    # CMA-ES leaves what is no number to chance
    space = SearchSpace(NUMBERS if sampler == "cmaes" else (*NUMBERS, KIND))
    trials = TRIALS.get(sampler, 30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        made = [(SAMPLERS[sampler](), PRUNERS[pruner](), space, trials) for _ in range(2)]
        expected, found = by_plain_optuna(*made[0]), by_a_draft(*made[1])

    assert [t.params for t in found] == [t.params for t in expected]
    assert [t.state for t in found] == [t.state for t in expected]
    assert [t.value for t in found] == [t.value for t in expected]
    assert [t.intermediate_values for t in found] == [t.intermediate_values for t in expected]
    assert TrialState.PRUNED in {t.state for t in found}
    assert len({str(t.params) for t in found}) > trials / 2
