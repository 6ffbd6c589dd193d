from __future__ import annotations

import numpy as np
import optuna
import pytest

from automl_opt.search.importance import importances


@pytest.fixture
def storage():
    return optuna.storages.InMemoryStorage()


def study(storage, n: int, *, effect: float, seed: int = 0, name: str = "s", direction="minimize"):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.RandomSampler(seed=seed)
    made = optuna.create_study(
        study_name=name, storage=storage, sampler=sampler, direction=direction
    )
    rng = np.random.default_rng(seed)

    def objective(trial):
        x = trial.suggest_float("x", -1, 1)
        trial.suggest_float("y", -1, 1)
        if trial.suggest_categorical("with z", [True, False]):
            trial.suggest_float("z", -1, 1)
        sign = -1 if direction == "maximize" else 1
        return sign * (effect * x * x + rng.normal(0, 0.1))

    made.optimize(objective, n_trials=n)
    return made


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_what_decides_is_first_and_told_and_the_rest_is_rarely_told(storage, direction):
    found = []
    for seed in range(10):
        study(storage, 60, effect=3.0, seed=seed, name=f"s{seed}", direction=direction)
        found.append(importances(storage, f"s{seed}", seed=seed))

    assert all((first.name, first.told) == ("x", True) for first, *_ in found)
    assert sum(any(each.told for each in others) for _, *others in found) <= 3
    for row in found:
        assert {each.name for each in row} == {"x", "y", "with z", "z"}
        assert sum(each.share for each in row) == pytest.approx(1)


def test_what_decides_nothing_is_rarely_told(storage):
    told = 0
    for seed in range(20):
        study(storage, 20, effect=0.0, seed=seed, name=f"s{seed}")
        told += any(each.told for each in importances(storage, f"s{seed}", seed=seed))

    assert told <= 4  # 1 is expected; 4 or fewer in 99.7 of 100


@pytest.mark.parametrize("n", [0, 9])
def test_of_few_trials_nothing_is_said(storage, n):
    study(storage, n, effect=3.0)

    assert importances(storage, "s") == []


def test_of_equal_values_nothing_is_said(storage):
    made = optuna.create_study(study_name="s", storage=storage)
    made.optimize(lambda trial: 0 * trial.suggest_float("x", 0, 1), n_trials=12)

    assert importances(storage, "s") == []
