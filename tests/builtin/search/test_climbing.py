"""How steps are judged: with several workers, where they were pruned, where they are level."""

from __future__ import annotations

import re

import optuna
import pytest
from optuna.trial import TrialState
from scipy.stats import rankdata

from automl_opt.api import Float, SearchSpace
from automl_opt.builtin.search.history import NOTE, read
from automl_opt.builtin.strategies.samplers.moves import energies
from automl_opt.core.space import Entry

from .strategies import CATALOG

SPACE = SearchSpace((Entry("x", Float(0.0, 1.0)), Entry("y", Float(0.0, 1.0))))
ILS = CATALOG.find("strategy", "iterated_local_search")


def climbing(**params):
    """A study whose search has ended its start, all trials alike."""
    given = {**ILS.defaults(), "screen": False, **params}
    sampler = ILS.code(ILS.spec.sampler)(space=SPACE, seed=1, **given)
    study = optuna.create_study(sampler=sampler)
    for _ in range(10):
        study.tell(asked(study), 1.0)
    return study


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
    study = climbing(patience=50)
    running = [asked(study) for _ in range(8)]

    for at, trial in enumerate(running):
        study.tell(trial, 0.5 if at == gains else 2.0)

    before, _ = step_of(running[0])
    after, base = step_of(asked(study))
    assert base == running[gains].number
    assert after == pytest.approx(before * 1.5 * 1.5 ** (-gains / 4), abs=2e-3)


@pytest.mark.parametrize(("reported", "gains"), [(0.5, True), (2.0, False)])
def test_a_pruned_step_that_reported_less_than_the_best_is_where_the_climb_goes_on(reported, gains):
    study = climbing()
    pruned = asked(study)
    before, _ = step_of(pruned)

    pruned.report(reported, 0)
    study.tell(pruned, state=TrialState.PRUNED)

    after, base = step_of(asked(study))
    assert (base == pruned.number) == gains
    assert (after > before) == gains


def test_trials_that_are_level_have_one_energy():
    study = climbing()
    for value in (0.5, 2.0, 0.5, 3.0):
        study.tell(asked(study), value)
    pruned = asked(study)
    pruned.report(0.1, 0)
    study.tell(pruned, state=TrialState.PRUNED)
    trial = asked(study)

    history = read(study, study.trials[trial.number], {}, SPACE, seed=0)

    values = [*[1.0] * 10, 0.5, 2.0, 0.5, 3.0, 0.5]
    expected = (rankdata(values, method="min") - 1) / len(values)
    assert energies(history).tolist() == expected.tolist()
