"""Iterated local search: how a step is judged with several workers, and one that was pruned."""

from __future__ import annotations

import re

import optuna
import pytest

from automl_opt.api import Float, SearchSpace
from automl_opt.builtin.search.history import NOTE
from automl_opt.core.space import Entry

from .strategies import CATALOG

SPACE = SearchSpace((Entry("x", Float(0.0, 1.0)), Entry("y", Float(0.0, 1.0))))
ILS = CATALOG.find("strategy", "iterated_local_search")


def asked(study):
    trial = study.ask()
    SPACE.suggest_values(trial)
    return trial


def step_of(trial):
    """The width of the steps when *trial* was proposed, and the trial that it is a step from."""
    why = trial.study.trials[trial.number].system_attrs[NOTE]["why"]
    found = re.fullmatch(r"a step of ([\d.]+) from trial (\d+)", why)
    assert found, why
    return float(found[1]), int(found[2])


@pytest.mark.parametrize("gains", [0, 3])
def test_steps_that_a_gain_overtook_do_not_narrow_those_that_follow_it(gains):
    params = {**ILS.defaults(), "screen": False, "patience": 50}
    study = optuna.create_study(sampler=ILS.code(ILS.spec.sampler)(space=SPACE, seed=1, **params))
    for _ in range(10):
        study.tell(asked(study), 1.0)
    running = [asked(study) for _ in range(8)]

    for at, trial in enumerate(running):
        study.tell(trial, 0.5 if at == gains else 2.0)

    before, _ = step_of(running[0])
    after, base = step_of(asked(study))
    assert base == running[gains].number
    assert after == pytest.approx(before * 1.5 * 1.5 ** (-gains / 4), abs=2e-3)


@pytest.mark.parametrize(("reported", "gains"), [(0.5, True), (2.0, False)])
def test_a_pruned_step_that_reported_less_than_the_best_is_where_the_climb_goes_on(reported, gains):
    study = optuna.create_study(
        sampler=ILS.code(ILS.spec.sampler)(
            space=SPACE, seed=1, **ILS.defaults() | {"screen": False}
        )
    )
    for _ in range(10):
        study.tell(asked(study), 1.0)
    pruned = asked(study)
    before, _ = step_of(pruned)

    pruned.report(reported, 0)
    study.tell(pruned, state=optuna.trial.TrialState.PRUNED)

    after, base = step_of(asked(study))
    assert (base == pruned.number) == gains
    assert (after > before) == gains
