from __future__ import annotations

import numpy as np
import optuna
import pytest
import scipy.stats
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from automl_opt.search.interaction import crossed, interactions

UNIT = FloatDistribution(0, 1)
LR = FloatDistribution(1e-4, 1e-1, log=True)
KIND = CategoricalDistribution(("a", "b", "c"))


def studied(space, rows, values):
    """A storage with one study, its trials at *rows* with *values*."""
    storage = optuna.storages.InMemoryStorage()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="s", storage=storage)
    study.add_trials(
        [
            create_trial(
                params=dict(zip(space, row, strict=True)), distributions=space, value=float(value)
            )
            for row, value in zip(rows, values, strict=True)
        ]
    )
    return storage


def chosen(space, rows):
    columns = zip(*rows, strict=True)
    return {
        name: ([distribution] * len(column), column)
        for (name, distribution), column in zip(space.items(), columns, strict=True)
    }


ONE_ARM = np.zeros(40, int)


def drawn(n, seed, columns=3):
    rng = np.random.default_rng(seed)
    return rng.random((n, columns)), rng


def test_the_share_of_a_product_is_the_one_worked_by_hand():
    """Of x·y, (x - 1/2)/2 and (y - 1/2)/2 have the variance 1/48 each, what is left 1/144."""
    rows, _ = drawn(30, 0, 2)

    [found] = crossed(
        chosen({"x": UNIT, "y": UNIT}, rows), rows[:, 0] * rows[:, 1], ONE_ARM[: len(rows)]
    )

    assert found.share == pytest.approx(1 / 7)
    assert (found.first, found.second, found.told) == ("x", "y", True)


def test_the_share_of_choices_is_the_one_worked_by_hand():
    """The line 2x - 1 for a, 0 for b, its opposite for c: it has no part of its own in either."""
    kinds = ["a", "b", "c"] * 10
    x, _ = drawn(30, 1, 1)
    slope = np.array([{"a": 2.0, "b": 1.0, "c": 0.0}[kind] for kind in kinds])
    values = slope * (2 * x[:, 0] - 1)
    rows = list(zip(x[:, 0], kinds, strict=True))

    [found] = crossed(chosen({"x": UNIT, "kind": KIND}, rows), values, ONE_ARM[: len(rows)])

    # the mean slope is 1: x alone has the variance 1/3, what depends on the kind 2/3 of that
    assert found.share == pytest.approx((2 / 3) / (1 + 2 / 3))


def test_what_adds_up_does_not_interact():
    rows, _ = drawn(30, 2, 2)
    values = np.square(rows[:, 0] - 0.3) + 2 * rows[:, 1]

    [found] = crossed(chosen({"x": UNIT, "y": UNIT}, rows), values, ONE_ARM[: len(rows)])

    assert found.share == pytest.approx(0, abs=1e-12)
    assert not found.told


def test_a_known_interaction_is_found_and_no_other():
    """The best learning rate is proportional to y; z is a matter of its own."""
    told = {("lr", "y"): 0, ("lr", "z"): 0, ("y", "z"): 0}
    for seed in range(20):
        rows, rng = drawn(40, seed)
        rows[:, 0] = 10 ** (3 * rows[:, 0] - 4)
        away = np.log10(rows[:, 0]) + 3 - rows[:, 1]
        losses = np.exp(0.5 * away**2 + rows[:, 2] + rng.normal(0, 0.1, 40))
        storage = studied({"lr": LR, "y": UNIT, "z": UNIT}, rows, losses)
        for found in interactions(storage, ["s"], seed=seed):
            told[found.first, found.second] += found.told

    assert told["lr", "y"] >= 18
    assert told["lr", "z"] + told["y", "z"] <= 4


def cliff(trial, rng):
    """What adds up, with a learning rate beyond which it diverges."""
    rate = np.log10(trial.suggest_float("lr", 1e-4, 1e-1, log=True)) / 3 + 4 / 3
    x, on = trial.suggest_float("x", 0, 1), trial.suggest_categorical("on", [True, False])
    return 50 * (rate > 0.85) + (rate - 0.6) ** 2 + 0.3 * x * x - 0.1 * on + rng.normal(0, 0.05)


def test_a_search_that_learns_does_not_find_pairs_where_there_are_none():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    told = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        storage = optuna.storages.InMemoryStorage()
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=5)
        study = optuna.create_study(study_name="s", storage=storage, sampler=sampler)
        study.optimize(lambda trial, rng=rng: cliff(trial, rng), n_trials=30)
        told += any(each.told for each in interactions(storage, ["s"], shuffles=99))

    assert told <= 5  # 1.5 are expected; 5 or fewer in 99.7 of 100


def test_one_pair_alone_is_judged_as_by_its_f_test():
    """Residuals of a normal model, shuffled, give about what F's distribution says."""
    close = 0
    for seed in range(10):
        rows, rng = drawn(40, seed, 2)
        x, y = rows.T
        values = x + 1.5 * x * y + rng.normal(0, 0.3, 40)
        models = [np.column_stack([np.ones(40), x, x * x, y, y * y])]
        models.append(np.column_stack([models[0], x * y]))
        small, large = (
            float(((values - m @ np.linalg.lstsq(m, values)[0]) ** 2).sum()) for m in models
        )
        p = scipy.stats.f.sf((small - large) / (large / 34), 1, 34)
        [found] = crossed(chosen({"x": UNIT, "y": UNIT}, rows), values, ONE_ARM[: len(rows)])
        close += found.told == (p <= 0.05)

    assert close >= 9


def test_arms_together_tell_what_each_alone_has_too_few_trials_for():
    """Their learning rates have ranges of their own, and their values a level of their own."""
    storage = optuna.storages.InMemoryStorage()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = [f"s{arm}" for arm in range(5)]
    rng = np.random.default_rng(0)
    for arm, name in enumerate(names):
        low = 10.0 ** -(arm + 1)
        space = {"lr": FloatDistribution(low, 100 * low, log=True), "y": UNIT}
        if arm:
            space["own"] = UNIT
        study = optuna.create_study(study_name=name, storage=storage)
        for place, y, own in rng.random((9, 3)):
            row = {"lr": low * 100**place, "y": y, "own": own}
            value = 10 * arm + (place - y) ** 2 + rng.normal(0, 0.02)
            params = {key: row[key] for key in space}
            study.add_trial(create_trial(params=params, distributions=space, value=value))

    assert all(interactions(storage, [name]) == [] for name in names)
    [found] = interactions(storage, names)
    assert (found.first, found.second, found.told) == ("lr", "y", True)


@pytest.mark.parametrize("n", [0, 1, 10])
def test_of_few_trials_nothing_is_said(n):
    rows, _ = drawn(n, 0, 2)

    assert interactions(studied({"x": UNIT, "y": UNIT}, rows, rows[:, 0]), ["s"]) == []


def test_a_parameter_that_was_not_varied_is_in_no_pair():
    rows, rng = drawn(30, 0, 1)
    space = {"x": UNIT, "n": IntDistribution(1, 4), "kind": KIND, "y": UNIT}
    rest = [(2, "a" if i else "b", y) for i, y in enumerate(rng.random(30))]
    rows = [(x, *others) for (x,), others in zip(rows, rest, strict=True)]

    found = interactions(studied(space, rows, rng.random(30)), ["s"])

    assert [(each.first, each.second) for each in found] == [("x", "y")]


def test_of_equal_values_nothing_is_said():
    rows, _ = drawn(30, 0, 2)

    assert interactions(studied({"x": UNIT, "y": UNIT}, rows, np.ones(30)), ["s"]) == []
