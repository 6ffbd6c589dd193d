"""The conformance kit, and what only we know: that the climb arrives."""

import optuna
import pytest
from automl_opt.testing import conformance

from automl_opt_acme import sampler
from automl_opt_acme.climb import reflected

test_conformance = conformance("acme")


def best(make):
    """The best value of 60 trials on a bowl, with a sampler of its own for every trial."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    for number in range(60):
        study.sampler = make(number)
        trial = study.ask()
        x = trial.suggest_float("x", 1e-4, 1.0, log=True)
        n = trial.suggest_int("n", 1, 100)
        study.tell(trial, (x - 0.01) ** 2 * 1e4 + (n - 30) ** 2 / 100)
    return study.best_value


def test_it_comes_closer_than_draws_from_the_ranges():
    def climb(seed):
        return sampler(space=None, seed=seed, n_startup_trials=5, spread=0.1)

    def draw(seed):
        return optuna.samplers.RandomSampler(seed=seed)

    climbs = [best(lambda number, run=run: climb(1000 * run + number)) for run in range(5)]
    draws = [best(lambda number, run=run: draw(1000 * run + number)) for run in range(5)]

    assert sorted(climbs)[2] < sorted(draws)[2]


@pytest.mark.parametrize(("value", "within"), [(0.3, 0.3), (-0.3, 0.3), (1.2, 0.8), (2.5, 0.5)])
def test_what_leaves_a_range_is_thrown_back_at_its_end(value, within):
    assert reflected(value, 0.0, 1.0) == pytest.approx(within)
