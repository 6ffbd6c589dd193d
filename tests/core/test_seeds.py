from __future__ import annotations

from dataclasses import astuple
from itertools import product

import pytest

from automl_opt.core.seeds import Seeds, derive


@pytest.mark.parametrize(
    ("path", "seed"), [((0, "split"), 430190648), ((1, "adamw", 3, "order"), 3001671337)]
)
def test_a_seed_is_the_same_on_every_machine_and_release(path, seed):
    assert derive(*path) == seed


def test_different_purposes_get_different_seeds():
    paths = [*product(range(20), ("adamw", "sgd"), range(20)), (1,), ("1",), (1, 1), (11,), ()]

    assert len({derive(*path) for path in paths}) == len(paths)


def test_a_seed_fits_in_32_bits():
    assert all(0 <= derive(number) < 2**32 for number in range(1000))


def test_trials_share_the_split_of_their_study_and_nothing_else():
    trials = [Seeds.of_trial(7, arm, number) for arm in ("adamw", "sgd") for number in range(5)]

    own = [seed for trial in trials for seed in astuple(trial)[1:]]

    assert {trial.split for trial in trials} == {derive(7, "split")}
    assert len({*own, trials[0].split}) == len(own) + 1


def test_another_study_seed_changes_every_seed():
    one, other = (astuple(Seeds.of_trial(study, "adamw", 0)) for study in (0, 1))

    assert not set(one) & set(other)
