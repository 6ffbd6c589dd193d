"""Screening tries the draft that promises most, and lets it climb first."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from automl_opt.builtin.search.acquisition import acquisition
from automl_opt.builtin.search.sampler import Drafts
from automl_opt.builtin.search.screening import CLIMBING, screened

from .bowls import bowl, bowls, history_of

UNIT = FloatDistribution(0.0, 1.0)
BRANCHES = {"kind": CategoricalDistribution(("a", "b")), "a": UNIT, "b": UNIT}


def drafts_of(genes):
    return Drafts(genes, "as drafted", [{"draft": k} for k in range(len(genes))])


def rng():
    return np.random.default_rng(1)


def test_what_is_tried_is_better_than_the_best_draft_and_has_its_note():
    drafts = drafts_of(rng().random((60, 2)))

    found, note = screened(bowls(40), drafts, rng())

    chosen, source = found.genes[0], found.note(0)["draft"]
    true = np.array([bowl(*draft) for draft in drafts.genes])
    assert true[source] <= np.sort(true)[5]
    assert bowl(*chosen) < true.min()
    assert note["screened"].startswith("surrogate")
    assert found.why == "as drafted"


def test_no_draft_is_lost_and_four_have_climbed():
    drafts = drafts_of(rng().random((60, 2)))
    history = bowls(40)

    found, _ = screened(history, drafts, rng())

    as_drafted = {row.tobytes() for row in drafts.genes}
    climbed = np.array([row.tobytes() not in as_drafted for row in found.genes])
    assert as_drafted <= {row.tobytes() for row in found.genes}
    assert climbed.sum() == CLIMBING
    chooser = acquisition(history)
    target = chooser.surrogate.target(chooser.parents)
    gains = chooser.surrogate.posterior.log_ei(history.space.cube(found.genes), target)
    assert (np.diff(gains) <= 0).all()
    for k in np.flatnonzero(climbed):
        source = drafts.genes[found.note(k)["draft"]]
        assert gains[k] >= gains[(found.genes == source).all(axis=1)].max()


def test_the_order_is_the_strategys_own_while_there_is_nothing_to_learn_from():
    drafts = drafts_of(rng().random((5, 2)))

    found, note = screened(bowls(2), drafts, rng())

    assert found is drafts
    assert not note


@pytest.mark.parametrize(("n", "elsewhere"), [(40, False), (41, True)])
def test_every_second_trial_looks_elsewhere_once_the_incumbent_is_old(n, elsewhere):
    """Of the 40 and 41 random trials the 33rd is the best: 8 trials old, and 9."""
    history = bowls(n)
    best = history.genes[history.order[0]]
    genes = np.concatenate([best + 0.01 * np.eye(2), rng().random((10, 2))])

    found, note = screened(history, drafts_of(genes), rng())

    near = acquisition(history).surrogate.near(history.space.cube(found.genes), best[None])
    assert near.any()
    assert near[0] != elsewhere
    assert note["screened"].startswith("basin 2" if elsewhere else "surrogate")


def test_a_branch_that_is_short_of_trials_is_served_though_nothing_was_drafted_there():
    values = np.random.default_rng(0).random(20).tolist()
    trials = [({"kind": "a", "a": value}, value) for value in values]
    history = history_of([*trials, ({"kind": "b", "b": 0.5}, 9.0)], BRANCHES)
    drafts = drafts_of(history.genes[:20] * 0.5)

    found, note = screened(history, drafts, rng())

    values = history.space.values(found.genes[0])
    assert values["kind"] == "b"
    assert found.note(0) == {}
    assert note["screened"].startswith("branch floor")
