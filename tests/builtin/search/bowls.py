"""Random trials of a bowl of two numbers, of which x matters more."""

from __future__ import annotations

import numpy as np
import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from automl_opt.builtin.search.history import NOTE, read

XY = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}


def bowl(x, y):
    return (x - 0.3) ** 2 + 0.01 * (y - 0.8) ** 2


def bowls(n, note=None):
    """The history of *n* of them; the last one noted *note*."""
    trials = [
        ({"x": x, "y": y}, bowl(x, y)) for x, y in np.random.default_rng(0).random((n, 2)).tolist()
    ]
    return history_of(trials, XY, note)


def history_of(trials, ranges, note=None, running=()):
    """The history of *trials*, each its parameters and value; the last one noted *note*.

    Without a value it failed. Of the *running* ones only their parameters.
    """
    study = optuna.create_study()
    for k, (params, value) in enumerate(trials):
        study.add_trial(
            create_trial(
                params=params,
                distributions={name: ranges[name] for name in params},
                value=value,
                state=TrialState.FAIL if value is None else TrialState.COMPLETE,
                system_attrs={NOTE: note} if note and k == len(trials) - 1 else {},
            )
        )
    for params in running:
        distributions = {name: ranges[name] for name in params}
        trial = create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)
        study.add_trial(trial)
    trial = study.ask()
    return read(study, study.trials[trial.number], ranges, None, seed=0)
