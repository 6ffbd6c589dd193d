"""The default strategy: no branch is forgotten, no basin is for ever, and good points are found."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from scipy.stats import qmc

from automl_opt.api import Float, Int, OneOf, Prior, SearchSpace
from automl_opt.builtin.search.auto import AutoSampler
from automl_opt.builtin.search.encoding import Space, declared
from automl_opt.builtin.search.history import NOTE
from automl_opt.builtin.search.start import sobol
from automl_opt.core.space import Entry

FLAT = SearchSpace(tuple(Entry(f"x{i}", Float(0.0, 1.0, default=0.9)) for i in range(3)))
TREE = SearchSpace(
    (
        Entry("kind", OneOf(("a", "b", "c", "d"))),
        *(Entry(k, Float(0.0, 1.0), (("kind", (k,)),)) for k in "abcd"),
    )
)


def run(space, value, trials, *, known=True, seed=0):
    study = optuna.create_study()
    for _ in range(trials):
        study.sampler = AutoSampler(space=space if known else None, seed=seed)
        trial = study.ask()
        study.tell(trial, value(space.suggest_values(trial)))
    return study


def reasons(study):
    return [t.system_attrs[NOTE]["why"] for t in study.trials if NOTE in t.system_attrs]


def bowl(values):
    return sum((values[f"x{i}"] - 0.3) ** 2 for i in range(3))


def test_a_smooth_function_is_solved_to_a_thousandth_in_thirty_trials():
    assert run(FLAT, bowl, 30).best_value < 1e-3


def test_the_start_is_the_defaults_and_then_one_sobol_sequence():
    study = run(FLAT, bowl, 7)

    points = np.array([list(t.params.values()) for t in study.trials])
    sequence = qmc.Sobol(3, rng=np.random.default_rng([0, 3])).random(2)
    np.testing.assert_allclose(points[0], 0.9)
    np.testing.assert_allclose(points[1:3], sequence)
    assert reasons(study)[:3] == ["start: the defaults"] + ["start: Sobol"] * 2
    assert all("surrogate" in why for why in reasons(study)[3:])


def test_sobol_points_are_those_of_one_scrambled_sequence_wherever_it_is_entered():
    space = Space(*declared(FLAT))

    one_by_one = np.concatenate([sobol(space, 5, k) for k in range(1, 9)])

    np.testing.assert_allclose(
        one_by_one, qmc.Sobol(3, rng=np.random.default_rng([5, 3])).random(8)
    )


@pytest.mark.parametrize("known", [True, False], ids=["declared", "learnt"])
def test_every_branch_gets_its_share_though_one_looks_best(known):
    study = run(TREE, lambda v: (v["kind"] != "a") + v[v["kind"]], 49, known=known)

    kinds = [t.params["kind"] for t in study.trials]
    assert all(kinds.count(kind) >= 5 for kind in "abcd")
    assert any("branch floor" in why for why in reasons(study))


@pytest.mark.parametrize("seed", range(3))
def test_an_old_incumbent_shares_the_search_with_other_basins(seed):
    """A well at .2 that is found at once, and a deeper, narrower one at .7."""

    def value(values):
        one, other = (values["x"] - 0.2) / 0.1, (values["x"] - 0.7) / 0.02
        return -np.exp(-(one**2)) - 1.5 * np.exp(-(other**2))

    space = SearchSpace((Entry("x", Float(0.0, 1.0, default=0.2)),))
    study = run(space, value, 60, seed=seed)

    basins = [why.partition(",")[0] for why in reasons(study)]
    found = next(t.number for t in study.trials if t.value < -1.2)
    away = [t.params["x"] for t in study.trials[:found] if "basin" in basins[t.number]]
    assert set(basins) >= {"basin 2", "basin 3"}
    assert len(away) >= 5
    assert np.abs(np.array(away) - 0.2).min() > 0.05


def many():
    """A flat space of ten parameters, nine of them numbers."""
    numbers = [Entry(f"x{i}", Float(0.0, 1.0, default=0.5)) for i in range(8)]
    return SearchSpace(
        (*numbers, Entry("n", Int(1, 1024, log=True)), Entry("kind", OneOf(tuple("abc"))))
    )


@pytest.mark.parametrize("known", [True, False])
def test_of_many_parameters_each_is_moved_once_from_the_best_so_far(known):
    space = many()

    def value(v):
        return sum((v[f"x{i}"] - 0.3) ** 2 for i in range(8)) + (v["kind"] != "b") + v["n"] / 512

    study = run(space, value, 14, known=known)

    moved = []
    for trial in study.trials[3:13]:
        before = min(study.trials[: trial.number], key=lambda t: t.value).params
        [name] = [name for name, now in trial.params.items() if now != before[name]]
        moved.append(name)
        if name.startswith("x"):
            assert abs(trial.params[name] - before[name]) == pytest.approx(0.3)
    assert sorted(moved) == sorted(entry.name for entry in space.entries)
    assert set(reasons(study)[-11:-1]) == {"one parameter moved"}
    assert "surrogate" in reasons(study)[-1]


def test_a_move_turns_back_at_the_end_of_a_range():
    space = SearchSpace(tuple(Entry(f"x{i}", Float(0.0, 1.0, default=0.8)) for i in range(9)))

    study = run(space, lambda v: -sum(v.values()), 12)

    assert {t.params[n] for t in study.trials[3:] for n in t.params} == {0.8, 0.5}


@pytest.mark.parametrize(
    "space",
    [
        SearchSpace(tuple(Entry(f"x{i}", Float(0.0, 1.0)) for i in range(8))),
        SearchSpace((*many().entries, Entry("y", Float(0.0, 1.0), (("kind", ("a",)),)))),
        SearchSpace((*many().entries, Entry("y", Float(0.0, 1.0, prior=Prior(0.5, 0.1))))),
    ],
    ids=["of few", "conditional", "with a prior"],
)
def test_in_other_spaces_no_parameter_has_a_turn(space):
    study = run(space, lambda v: sum(v[f"x{i}"] for i in range(8)), 6)

    assert "one parameter moved" not in reasons(study)


@pytest.mark.parametrize(("parameters", "first"), [(1, 10), (5, 50), (10, 25)])
def test_the_first_trials_of_a_flat_space_seek_no_other_basin(parameters, first):
    """Of a bowl whose bottom is the defaults: nothing betters the first trial."""
    names = [f"x{i}" for i in range(parameters)]
    space = SearchSpace(tuple(Entry(name, Float(0.0, 1.0, default=0.5)) for name in names))

    study = run(space, lambda v: sum((v[name] - 0.5) ** 2 for name in names), first + 4)

    elsewhere = [i for i, why in enumerate(reasons(study)) if "basin" in why]
    assert elsewhere
    assert min(elsewhere) >= first


@pytest.mark.parametrize("seed", range(2))
def test_it_beats_random_search_on_a_mixed_space(seed):
    space = SearchSpace(
        (
            Entry("lr", Float(1e-5, 1.0, log=True)),
            Entry("units", Int(8, 512, log=True)),
            Entry("kind", OneOf(("plain", "gated", "skip"))),
            Entry("dropout", Float(0.0, 0.8, step=0.1)),
        )
    )

    def value(v):
        cost = (np.log10(v["lr"]) + 2.5) ** 2 + abs(np.log2(v["units"] / 96))
        return cost + (v["kind"] != "gated") + (v["dropout"] - 0.3) ** 2

    random = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    random.optimize(lambda t: value(space.suggest_values(t)), n_trials=200)

    assert run(space, value, 50, seed=seed).best_value < random.best_value


def test_it_survives_when_nothing_ever_works():
    study = optuna.create_study()
    for _ in range(15):
        study.sampler = AutoSampler(space=FLAT, seed=0)
        trial = study.ask()
        FLAT.suggest_values(trial)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)

    assert len({str(t.params) for t in study.trials}) == 15


def test_a_constant_objective_is_searched_on():
    study = run(FLAT, lambda values: 1.0, 12)

    assert len({str(t.params) for t in study.trials}) == 12


def test_a_seed_of_none_differs_from_study_to_study():
    one, other = (run(FLAT, bowl, 4, seed=None) for _ in range(2))

    assert [t.params for t in one.trials] != [t.params for t in other.trials]
