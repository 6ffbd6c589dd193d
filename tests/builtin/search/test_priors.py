"""A right prior helps from the start, a wrong one is got over, and without any nothing changes."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from scipy import stats

from automl_opt.api import Float, Int, OneOf, Prior, SearchSpace
from automl_opt.builtin.search.encoding import Space, declared
from automl_opt.builtin.search.history import NOTE, read
from automl_opt.builtin.search.priors import DOUBT, PULL, priors_of
from automl_opt.builtin.search.sampler import lottery
from automl_opt.core.space import Entry

from .strategies import CATALOG, STRATEGIES, make, named

USERS = [strategy for strategy in STRATEGIES if strategy.spec.priors]
CASES = [
    pytest.param(
        strategy, {"screen": screen} if screen is not None else {}, id=strategy.spec.name + end
    )
    for strategy in USERS
    for screen, end in (
        [(True, " screened"), (False, " alone")]
        if "screen" in strategy.spec.params
        else [(None, "")]
    )
]

MIXED = SearchSpace(
    (
        Entry("kind", OneOf(("on", "off"))),
        Entry("lr", Float(1e-4, 1.0, log=True, prior=Prior(1e-2, 3))),
        Entry("rate", Float(-1.0, 3.0, prior=Prior(0.0, 0.5)), (("kind", ("on",)),)),
        Entry("units", Int(4, 64, log=True, prior=Prior(16, 2))),
        Entry("depth", Int(0, 10, step=2, prior=Prior(4, 2))),
        Entry("free", Float(0.0, 1.0)),
        Entry("fixed", Float(2.0, 2.0, prior=Prior(2.0, 1))),
    )
)


@pytest.fixture
def mixed():
    return priors_of(Space(*declared(MIXED)), MIXED)


def test_a_space_that_declares_no_prior_has_none():
    space = SearchSpace((Entry("x", Float(0, 1)), Entry("kind", OneOf((1, 2)))))

    assert priors_of(Space(*declared(space)), space) is None
    assert priors_of(Space(*declared(space)), None) is None


@pytest.mark.parametrize(
    ("name", "away"), [("lr", 3e-2), ("rate", 0.5), ("units", 32), ("depth", 6)]
)
def test_one_spread_from_the_center_is_one_deviation_from_the_centre(mixed, name, away):
    column = mixed.space.names.index(name)

    genes = mixed.space.row({name: away})

    assert genes[column] - mixed.centre[column] == pytest.approx(mixed.deviation[column])


def bell(mixed, column):
    centre, deviation = mixed.centre[column], mixed.deviation[column]
    ends = (0 - centre) / deviation, (1 - centre) / deviation
    return stats.truncnorm(*ends, loc=centre, scale=deviation)


def density(mixed, column, gene):
    return DOUBT + (1 - DOUBT) * bell(mixed, column).pdf(gene)


def test_the_log_density_is_that_of_doubted_cut_bells_beside_their_modes(mixed):
    genes = mixed.space.loose(np.random.default_rng(0), 20)
    genes[:5, 2] = np.nan

    found = mixed.log_density(genes)

    wanted = np.zeros(20)
    for column in (1, 2, 3, 4):
        there = np.log(density(mixed, column, genes[:, column]))
        wanted += np.nan_to_num(there - np.log(density(mixed, column, mixed.centre[column])))
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    assert (found <= 0).all()


def test_a_bell_far_narrower_than_its_range_stays_finite():
    space = SearchSpace((Entry("x", Float(0.0, 1.0, prior=Prior(0.0, 1e-12))),))
    priors = priors_of(Space(*declared(space)), space)

    genes = np.linspace(0, 1, 9)[:, None]

    assert np.isfinite(priors.log_density(genes)).all()
    assert np.isfinite(priors.spread(genes * 0.999)).all()


@pytest.mark.parametrize("column", [1, 2])
def test_points_are_drawn_from_the_doubted_bell(mixed, column):
    genes = mixed.draw(np.random.default_rng(1), 4000)[:, column]
    genes = genes[~np.isnan(genes)]

    found = stats.kstest(genes, lambda x: DOUBT * x + (1 - DOUBT) * bell(mixed, column).cdf(x))

    assert found.pvalue > 0.01
    assert stats.kstest(genes, "uniform").pvalue < 1e-6


def test_points_of_parameters_without_a_prior_are_uniform(mixed):
    unit = np.random.default_rng(1).random((200, len(MIXED.entries)))

    genes = mixed.spread(unit)

    np.testing.assert_array_equal(genes[:, 5], unit[:, 5])
    np.testing.assert_array_equal(genes[:, 0], np.floor(unit[:, 0] * 2))
    np.testing.assert_array_equal(np.isnan(genes[:, 2]), unit[:, 0] >= 0.5)


def test_the_first_of_a_lottery_wins_as_often_as_its_weight_says():
    rng = np.random.default_rng(0)
    weights = np.array([1.0, 2.0, 5.0])

    firsts = [lottery(np.log(weights), rng)[0] for _ in range(4000)]

    counts = np.bincount(firsts, minlength=3)
    assert stats.chisquare(counts, 4000 * weights / weights.sum()).pvalue > 0.01


def test_the_pull_fades_with_finished_trials_and_not_with_running_ones():
    study = optuna.create_study()
    weights = []
    for _ in range(4):
        trial = study.ask()
        history = read(study, study.trials[trial.number], declared(MIXED)[0], MIXED, seed=0)
        weights.append(history.weight)
        MIXED.suggest_values(trial)
        study.tell(trial, 1.0)
    for _ in range(3):
        MIXED.suggest_values(study.ask())
    trial = study.ask()
    history = read(study, study.trials[trial.number], declared(MIXED)[0], MIXED, seed=0)

    assert weights == [PULL, PULL, PULL / 2, PULL / 3]
    assert history.weight == PULL / 4
    genes = history.space.draw(np.random.default_rng(0), 5)
    np.testing.assert_allclose(history.pull(genes), PULL / 4 * history.priors.log_density(genes))


# Searches

RIGHT, WRONG = (3e-3, 0.4, 32, 0.65), (3e-1, 0.9, 4, 0.1)


def bowl_space(centres):
    """Four numbers; their defaults stay where they are, so that nothing but the priors differs."""
    spreads = (3, 0.1, 2, 0.1)
    priors = [Prior(*p) for p in zip(centres, spreads, strict=True)] if centres else [None] * 4
    return SearchSpace(
        (
            Entry("lr", Float(1e-5, 1.0, log=True, default=0.1, prior=priors[0])),
            Entry("momentum", Float(0.0, 1.0, default=0.8, prior=priors[1])),
            Entry("units", Int(2, 256, log=True, default=8, prior=priors[2])),
            Entry("dropout", Float(0.0, 1.0, default=0.2, prior=priors[3])),
        )
    )


def bowl(v):
    """About .4 at a random point; the best is a bit away from the centres of ``RIGHT``."""
    lr, units = (np.log10(v["lr"]) + 3) / 5, np.log2(v["units"] / 40) / 7
    return lr**2 + (v["momentum"] - 0.3) ** 2 + units**2 + (v["dropout"] - 0.75) ** 2


def search(strategy, space, trials, *, seed=0, study=None, value=bowl, **params):
    study = study or optuna.create_study()
    make_it = strategy.code(strategy.spec.sampler)
    for _ in range(trials):
        study.sampler = make_it(space=space, seed=seed, **(strategy.defaults() | params))
        trial = study.ask()
        study.tell(trial, value(space.suggest_values(trial)))
    return study


@pytest.mark.parametrize(("strategy", "params"), CASES)
def test_a_right_prior_is_better_after_fifteen_trials(strategy, params):
    best = {
        centres: [
            search(strategy, bowl_space(centres), 15, seed=seed, **params).best_value
            for seed in range(6)
        ]
        for centres in (RIGHT, None)
    }

    assert np.mean(np.log(best[RIGHT])) < np.mean(np.log(best[None]))


def next_density(strategy, params, space, believed, seeds):
    """On twelve random trials, four of them finished: the mean log density of what comes next.

    Args:
        believed: the space whose priors are asked; *space* may be the same one without priors.
    """
    priors = priors_of(Space(*declared(believed)), believed)
    found = []
    for seed in range(seeds):
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        asked = [study.ask() for _ in range(12)]
        for trial in asked:
            space.suggest_values(trial)
        for trial in asked[:4]:
            study.tell(trial, float(trial.number % 3))
        trial = search(strategy, space, 1, seed=seed, study=study, value=lambda v: 0.0, **params)
        row = priors.space.row(trial.trials[-1].params)
        found.append(priors.log_density(row[None])[0])
    return np.mean(found)


@pytest.mark.parametrize(("strategy", "params"), CASES)
def test_after_the_start_the_pull_still_draws_proposals_to_the_centers(strategy, params):
    right = bowl_space(RIGHT)

    pulled = next_density(strategy, params, right, right, 30)

    free = next_density(strategy, params, bowl_space(None), right, 30)
    assert pulled > free + (0 if params.get("screen") is False else 2)


@pytest.mark.parametrize(
    ("strategy", "params"), [case for case in CASES if case.values[1].get("screen") is not False]
)
def test_narrow_priors_of_many_parameters_are_met_where_no_draft_would_lie(strategy, params):
    """A uniform point is some 30 below the mode here, and 60 drafts have nothing far above it."""
    narrow = SearchSpace(
        tuple(Entry(f"x{k}", Float(0, 1, prior=Prior(0.3, 0.03))) for k in range(10))
    )

    assert next_density(strategy, params, narrow, narrow, 5) > -10


@pytest.mark.parametrize(("strategy", "params"), CASES)
def test_a_wrong_prior_does_not_keep_a_search_from_the_best_region(strategy, params):
    """Three to eight spreads off in every number: nearly the farthest corner."""
    found = [
        search(strategy, bowl_space(WRONG), 80, seed=seed, **params).best_value for seed in range(3)
    ]

    assert np.median(found) < (0.08 if params.get("screen") is False else 1e-4)


@pytest.mark.parametrize(("strategy", "params"), CASES)
def test_with_priors_a_study_opened_again_goes_on_as_the_undisturbed_one(strategy, params):
    def value(v):
        return v["lr"] + v.get("rate", 0.5) + v["units"] / 64 + v["free"]

    undisturbed = search(strategy, MIXED, 20, value=value, **params)

    first = search(strategy, MIXED, 13, value=value, **params)
    opened = optuna.create_study()
    opened.add_trials(first.trials)
    search(strategy, MIXED, 7, study=opened, value=value, **params)
    assert [t.params for t in opened.trials] == [t.params for t in undisturbed.trials]


@pytest.mark.parametrize("strategy", CATALOG.components("strategy"), ids=named)
def test_what_says_that_it_uses_priors_does_and_nothing_else(strategy):
    """The same defaults: only the pull differs."""

    def proposals(centres):
        study = search(strategy, bowl_space(centres), 12, value=lambda v: 1.0)
        return [t.params for t in study.trials]

    assert (proposals(RIGHT) != proposals(None)) == strategy.spec.priors


@pytest.mark.parametrize("strategy", USERS, ids=named)
def test_the_search_starts_at_the_centers_and_then_around_them_and_notes_the_weight(strategy):
    centres = SearchSpace(
        tuple(Entry(name, Float(0.0, 1.0, prior=Prior(0.2, 0.01))) for name in ("x", "y"))
    )
    study = search(strategy, centres, 5, value=lambda v: v["x"])

    points = np.array([list(t.params.values()) for t in study.trials])
    np.testing.assert_array_equal(points[0], 0.2)
    notes = [t.system_attrs[NOTE] for t in study.trials]
    assert [n["why"] for n in notes][1] == "start: Sobol under the priors"
    assert [n["pull"] for n in notes] == [PULL, PULL, PULL / 2, PULL / 3, PULL / 4]
    assert np.mean(np.abs(points[1:3] - 0.2) < 0.04) >= 0.5


def test_a_sampler_without_a_declared_space_knows_no_priors():
    strategy = CATALOG.find("strategy", "auto")
    study = optuna.create_study(sampler=make(strategy, space=None, seed=0))

    study.optimize(lambda t: bowl(bowl_space(RIGHT).suggest_values(t)), n_trials=5)

    assert all("pull" not in t.system_attrs.get(NOTE, {}) for t in study.trials)
