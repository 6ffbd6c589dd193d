"""The conformance kit, and what only we know: who may go on."""

import optuna
import pytest
from automl_opt.testing import conformance

from automl_opt_acme import pruner

test_conformance = conformance("acme")


@pytest.mark.parametrize(("percentile", "ended"), [(25.0, [2, 3, 4, 5]), (75.0, [4, 5])])
def test_what_is_not_among_the_best_so_many_is_ended(percentile, ended):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made = pruner(epochs=3, percentile=percentile, n_startup_trials=5, n_warmup_steps=0)
    study = optuna.create_study(pruner=made)
    for value in (1.0, 2.0, 3.0, 4.0, 5.0):
        trial = study.ask()
        trial.report(value, 1)
        study.tell(trial, value)

    def is_ended(value):
        trial = study.ask()
        trial.report(value, 1)
        return trial.should_prune()

    # by hand: the quartiles of 1, 2, 3, 4, 5 are 2 and 4
    assert [value for value in (1, 2, 3, 4, 5) if is_ended(value + 0.5)] == ended
