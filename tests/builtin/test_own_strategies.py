"""Our own strategies are legal, repeatable and resumable, and do not mind failures."""

from __future__ import annotations

import itertools
import math

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import RandomSampler
from optuna.testing import pytest_samplers as suites
from optuna.trial import TrialState, create_trial

from automl_opt.api import Float, Int, OneOf
from automl_opt.builtin.search import Space
from automl_opt.builtin.strategies import cmaes, grid, sobol
from automl_opt.builtin.strategies.samplers.grid import grid as grid_of
from automl_opt.builtin.strategies.samplers.moves import some
from automl_opt.core.space import Entry, SearchSpace
from automl_opt.plugin.host import load_host

STRATEGIES = load_host(allow=()).catalog.components("strategy")


def make(strategy, *, space=None, seed=0, **params):
    chosen = strategy.defaults() | params
    return strategy.code(strategy.spec.sampler)(space=space, seed=seed, **chosen)


def is_ours(strategy):
    """Optuna's own samplers are tested by Optuna, and behind our doors by the conformance kit."""
    return type(make(strategy)).__module__.startswith("automl_opt")


OURS = [strategy for strategy in STRATEGIES if is_ours(strategy)]
ADAPTIVE = [strategy for strategy in OURS if "screen" in strategy.spec.params]

of_ours = pytest.mark.parametrize("strategy", OURS, ids=lambda c: c.id)
of_adaptive = pytest.mark.parametrize("strategy", ADAPTIVE, ids=lambda c: c.id)


class Suite:
    @pytest.fixture(params=OURS, ids=lambda c: c.id)
    def sampler(self, request):
        return lambda: make(request.param)


class TestBasic(Suite, suites.BasicSamplerTestCase):
    pass


class TestRelative(suites.RelativeSamplerTestCase):
    @pytest.fixture(params=ADAPTIVE, ids=lambda c: c.id)
    def sampler(self, request):
        return lambda: make(request.param)


class TestMultiObjective(suites.MultiObjectiveSamplerTestCase):
    @pytest.fixture(
        params=[s for s in OURS if getattr(make(s), "multi_objective", True)], ids=lambda c: c.id
    )
    def sampler(self, request):
        return lambda: make(request.param)


class TestSingleOnly(suites.SingleOnlySamplerTestCase):
    @pytest.fixture(
        params=[s for s in OURS if not getattr(make(s), "multi_objective", True)],
        ids=lambda c: c.id,
    )
    def sampler(self, request):
        return lambda: make(request.param)


def random_space(rng):
    """A tree of up to eight parameters of every kind; a child hangs from an earlier choice."""
    entries: list[Entry] = []
    for k in range(rng.integers(1, 9)):
        low = float(rng.uniform(-5, 5))
        param = [
            lambda low=low: Float(low, low + float(rng.uniform(0, 9))),
            lambda: Float(1e-6, float(10 ** rng.uniform(-5, 3)), log=True),
            lambda: Float(0.0, 0.25 * int(rng.integers(0, 9)), step=0.25),
            lambda: Int(-3, int(rng.integers(-3, 9))),
            lambda: Int(1, int(rng.integers(1, 2000)), log=True),
            lambda: Int(0, 5 * int(rng.integers(0, 4)), step=5),
            lambda: OneOf(("a", 1, None, True, 2.5)[: rng.integers(1, 4)]),
            lambda: OneOf((False, True)),
        ][rng.integers(8)]()
        choices = [e for e in entries if isinstance(e.param, OneOf)]
        when = ()
        if choices and rng.random() < 0.6:
            parent = choices[rng.integers(len(choices))]
            values = parent.param.choices
            when = (*parent.when, (parent.name, values[: rng.integers(1, len(values) + 1)]))
        entries.append(Entry(f"p{k}", param, when))
    return SearchSpace(tuple(entries))


def end(study, trial, rng, value):
    """In one of the ways in which trials end, or not at all."""
    lot = rng.random()
    if lot < 0.15:
        study.tell(trial, state=TrialState.FAIL)
    elif lot < 0.3:
        if lot < 0.25:
            trial.report(value, 1)
        study.tell(trial, state=TrialState.PRUNED)
    elif lot < 0.35:
        study.tell(trial, math.inf)
    elif lot < 0.9:
        study.tell(trial, value)


@of_ours
@pytest.mark.parametrize("case", range(6))
def test_every_proposal_is_legal_in_any_space_after_any_history(strategy, case, draw):
    rng = np.random.default_rng(case)
    space = random_space(rng)
    params = draw(strategy.spec, case)
    study = optuna.create_study(direction=("minimize", "maximize")[case % 2])

    for number in range(14):
        known = space if case % 3 else None
        study.sampler = make(strategy, space=known, seed=number, **params)
        trial = study.ask()
        values = space.suggest_values(trial)

        for entry in space.entries:
            assert (entry.name in values) == entry.is_active(values)
            assert entry.name not in values or entry.param.contains(values[entry.name])
        end(study, trial, rng, float(rng.standard_normal()))


SPACE = SearchSpace(
    (
        Entry("lr", Float(1e-5, 1.0, log=True)),
        Entry("size", Int(1, 64, log=True)),
        Entry("kind", OneOf(("plain", "decaying", "other"))),
        Entry("final", Float(0.0, 1.0), when=(("kind", ("decaying",)),)),
        Entry("layers", Int(1, 5)),
    )
)


def loss_of(values):
    return (
        abs(math.log10(values["lr"]) + 2)
        + abs(math.log2(values["size"]) - 4) / 2
        + {"plain": 0.5, "decaying": 0.0, "other": 1.0}[values["kind"]]
        + abs(values.get("final", 0.0) - 0.3)
        + abs(values["layers"] - 3) / 4
    )


def run(strategy, trials, *, study=None, first=0, sign=1, weather=False, seed=1000, **params):
    """As a study does it: a fresh sampler for every trial. The values proposed."""
    study = study or optuna.create_study(direction="minimize" if sign == 1 else "maximize")
    for number in range(first, trials):
        study.sampler = make(strategy, space=SPACE, seed=seed + number, **params)
        trial = study.ask()
        value = sign * loss_of(SPACE.suggest_values(trial))
        if weather and number == 0:
            study.tell(trial, state=TrialState.FAIL)
        elif weather and number % 3 == 1:
            trial.report(value, 1)
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, value)
    return study


def proposed(study):
    return [trial.params for trial in study.trials]


@of_ours
def test_a_study_resumed_at_trial_50_goes_on_as_the_undisturbed_one(strategy):
    undisturbed = run(strategy, 58)
    resumed = optuna.create_study()
    for trial in undisturbed.trials[:50]:
        resumed.add_trial(
            create_trial(
                state=trial.state,
                values=trial.values,
                params=trial.params,
                distributions=trial.distributions,
                system_attrs=trial.system_attrs,
            )
        )

    run(strategy, 58, study=resumed, first=50)

    assert proposed(resumed) == proposed(undisturbed)


@of_adaptive
@pytest.mark.parametrize("screen", [False, True])
def test_maximising_a_value_is_minimising_its_negative(strategy, screen):
    down, up = (run(strategy, 24, sign=sign, screen=screen) for sign in (1, -1))

    assert proposed(down) == proposed(up)


def lowest(study):
    return min(loss_of(trial.params) for trial in study.trials if trial.state.name == "COMPLETE")


@pytest.fixture(scope="module")
def random_level():
    """What random searches of 60 trials find: the median of nine."""

    def search(seed):
        study = optuna.create_study(sampler=RandomSampler(seed=seed))
        for _ in range(60):
            trial = study.ask()
            study.tell(trial, loss_of(SPACE.suggest_values(trial)))
        return lowest(study)

    return float(np.median([search(seed) for seed in range(9)]))


@of_adaptive
@pytest.mark.parametrize("screen", [False, True])
def test_failed_and_pruned_trials_leave_a_strategy_better_than_random(
    strategy, screen, random_level
):
    """The first trial fails and every third is pruned, and only the rest counts for it."""
    seeds = (1000,) if screen else (1000, 2000, 3000)  # a plain search of 60 trials varies much
    found = [lowest(run(strategy, 60, weather=True, screen=screen, seed=s)) for s in seeds]
    assert np.median(found) < random_level


@of_ours
def test_eight_threads_share_one_sampler(strategy):
    study = optuna.create_study(direction="maximize", sampler=make(strategy, seed=1))

    study.optimize(lambda t: -loss_of(SPACE.suggest_values(t)), n_trials=32, n_jobs=8)

    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}


@of_adaptive
def test_a_screened_strategy_differs_from_the_plain_one_only_by_its_choice(strategy):
    plain, screened = (run(strategy, 20, screen=screen) for screen in (False, True))

    assert proposed(plain)[:5] == proposed(screened)[:5]
    assert proposed(plain) != proposed(screened)


@pytest.mark.parametrize("flips", [1.0, 0.4, 0.01])
def test_of_a_number_and_a_category_a_single_move_takes_the_category_by_half_its_share(flips):
    distributions = {"x": FloatDistribution(0, 1), "c": CategoricalDistribution("ab")}
    genes, rng = np.zeros((20_000, 2)), np.random.default_rng(0)

    mask = some(Space(distributions, {}), genes, rng, 0.0, flips=flips)

    np.testing.assert_array_equal(mask.sum(axis=1), 1)
    np.testing.assert_allclose(mask[:, 1].mean(), flips / 2, atol=0.02)


def test_sobol_puts_one_trial_into_every_slice_of_every_parameter():
    """Any 16 points from a multiple of 16 on: one in each sixteenth. Trial 0 has the defaults."""
    space = SearchSpace(tuple(Entry(f"x{k}", Float(0.0, 1.0)) for k in range(5)))
    study = optuna.create_study()
    strategy = load_host(allow=()).catalog.find("strategy", sobol.spec.name)
    for number in range(33):
        study.sampler = make(strategy, space=space, seed=number)
        trial = study.ask()
        study.tell(trial, sum(space.suggest_values(trial).values()))

    points = np.array([list(trial.params.values()) for trial in study.trials[1:]])

    for block in (points[:16], points[16:]):
        slices = np.sort(np.floor(block * 16), axis=0)
        assert (slices == np.arange(16)[:, None]).all()


@pytest.mark.parametrize("seed", range(3))
def test_grid_tries_every_combination_once_and_each_branch_to_its_own_depth(seed):
    study = optuna.create_study()
    space = SearchSpace(
        (
            Entry("kind", OneOf(("plain", "decaying"))),
            Entry("final", Float(0.0, 1.0), when=(("kind", ("decaying",)),)),
            Entry("size", Int(1, 2)),
        )
    )
    for number in range(8):
        study.sampler = grid.sampler(space=None, seed=seed + number, points=3)
        trial = study.ask()
        space.suggest_values(trial)
        study.tell(trial, state=(TrialState.FAIL if number == 2 else TrialState.PRUNED))

    found = [(t.params["kind"], t.params.get("final"), t.params["size"]) for t in study.trials]
    plain = itertools.product(["plain"], [None], [1, 2])
    decaying = itertools.product(["decaying"], [0.0, 0.5, 1.0], [1, 2])
    assert sorted(found, key=str) == sorted([*plain, *decaying], key=str)


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (optuna.distributions.FloatDistribution(0, 1), [0, 0.5, 1]),
        (optuna.distributions.FloatDistribution(0.01, 1, log=True), [0.01, 0.1, 1]),
        (optuna.distributions.FloatDistribution(0, 1, step=0.25), [0, 0.5, 1]),
        (optuna.distributions.FloatDistribution(0, 0.2, step=0.1), [0, 0.1, 0.2]),
        (optuna.distributions.IntDistribution(1, 2), [1, 2]),
        (optuna.distributions.IntDistribution(1, 100, log=True), [1, 10, 100]),
        (optuna.distributions.IntDistribution(0, 20, step=5), [0, 10, 20]),
        (optuna.distributions.CategoricalDistribution(list("abcd")), list("abcd")),
        (optuna.distributions.IntDistribution(7, 7), [7]),
    ],
    ids=str,
)
def test_grid_cuts_a_range_evenly_on_its_scale(distribution, values):
    assert (
        grid_of(distribution, points=3) == pytest.approx(values, abs=1e-12)
        if isinstance(values[0], (int, float))
        else grid_of(distribution, points=3) == values
    )


def test_cmaes_goes_on_from_the_trials_when_every_trial_has_a_fresh_sampler():
    """Its distribution lies on the trials: it closes in on the minimum of a parabola."""
    study = optuna.create_study()
    for number in range(120):
        study.sampler = cmaes.sampler(
            space=None, seed=number, n_startup_trials=1, popsize=0, lr_adapt=False
        )
        trial = study.ask()
        study.tell(trial, sum((trial.suggest_float(f"x{k}", 0, 1) - 0.3) ** 2 for k in range(3)))

    assert study.best_value < 1e-4
