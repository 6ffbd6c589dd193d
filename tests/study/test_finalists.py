from __future__ import annotations

import json
from dataclasses import replace

import pytest

from automl_opt.core.errors import UnknownComponent, VerdictError
from automl_opt.core.params import Int
from automl_opt.core.recipe import Recipe
from automl_opt.core.result import Status
from automl_opt.core.seeds import Seeds
from automl_opt.core.spec import parse_study
from automl_opt.core.verdict import Score
from automl_opt.search.space import arms_of
from automl_opt.store import VerdictRun
from automl_opt.study.finalists import Plan, baseline_of, plan_of

from .test_ranking import row

LOSS = Score(metric="loss", maximize=False, scale="log", margin=0.01)
MODEL = {"width": Int(2, 16, default=4)}


def spec_of(*optimizers: str, **verdict: object):
    data = {
        "name": "s",
        "task": "a:b",
        "space": {"optimizer": list(optimizers), "batch_size": {"low": 16, "high": 64}},
        "objective": {"direction": "minimize"},
        "ranges": {"optimizer": {"adam": {"lr": {"default": 0.002}}}},
        "verdict": verdict,
    }
    return parse_study(data, source="study.toml")


@pytest.fixture
def trials(catalog):
    """By arm its losses: each trial has a recipe of its own."""

    def make(**losses):
        spaces = {s.arm: s for s in arms_of(spec_of(*losses), catalog, MODEL)}
        found = []
        for arm, values in losses.items():
            for number, value in enumerate(values):
                defaults = {**spaces[arm].space.defaults(), "optimizer.lr": 0.01 + number / 1000}
                recipe = spaces[arm].recipe(defaults).to_json()
                status = Status.FAILED if value is None else Status.COMPLETE
                found.append(replace(row(arm, number, status, value), recipe_json=recipe))
        return found

    return make


def planned(trials, catalog, spec, **changes):
    return plan_of(spec, trials, catalog, MODEL, LOSS, examples=48, **changes)


def test_the_best_recipe_of_each_of_the_three_best_arms_and_the_baseline(trials, catalog):
    rows = trials(sgd=[0.5, 0.4], adamw=[0.2, 0.3], lion=[0.9], adagrad=[0.3, 0.6])

    plan = planned(rows, catalog, spec_of("sgd", "adamw", "lion", "adagrad"))

    assert list(plan.candidates) == ["adamw #0", "adagrad #0", "sgd #1", "adam untuned"]
    assert plan.finalists([]) == tuple(plan.candidates)
    assert (plan.candidates["sgd #1"].arm, plan.candidates["sgd #1"].trial) == ("sgd", 1)
    assert plan.candidates["sgd #1"].value == 0.4
    assert not plan.screen


def test_to_maximize_the_highest_are_the_best(trials, catalog):
    spec = replace(spec_of("sgd", "adamw"), direction="maximize")

    plan = planned(trials(sgd=[0.5, 0.4], adamw=[0.2, 0.3]), catalog, spec)

    assert list(plan.candidates)[:2] == ["sgd #0", "adamw #1"]


def test_the_baseline_is_untuned_in_everything_and_within_the_studys_ranges(catalog):
    name, recipe = baseline_of(spec_of("sgd"), catalog, MODEL)

    assert name == "adam untuned"
    assert recipe.optimizer.id == "builtin.adam"
    assert recipe.optimizer.params["lr"] == 0.002
    assert recipe.scheduler.id == "builtin.constant"
    assert recipe.regularizers == ()
    assert recipe.model == {"width": 4}


def test_a_study_may_name_another_baseline_or_none(trials, catalog):
    rows = trials(sgd=[0.5], adamw=[0.2])

    other = planned(rows, catalog, spec_of("sgd", "adamw", baseline="lion"))
    none = planned(rows, catalog, spec_of("sgd", "adamw", baseline="none"))

    assert list(other.candidates)[-1] == "lion untuned"
    assert list(none.candidates) == ["adamw #0", "sgd #0"]


def test_a_baseline_that_is_no_optimizer_is_named(trials, catalog):
    with pytest.raises(UnknownComponent, match=r"study.toml, \[verdict\] baseline: .*adamv"):
        planned(trials(sgd=[0.5]), catalog, spec_of("sgd", baseline="adamv"))


def test_a_finalist_that_is_the_baseline_competes_once(trials, catalog):
    rows = trials(sgd=[0.5], adam=[0.2])
    _, recipe = baseline_of(spec_of("sgd", "adam"), catalog, MODEL)
    rows[1] = replace(rows[1], recipe_json=recipe.to_json())

    plan = planned(rows, catalog, spec_of("sgd", "adam"))

    assert list(plan.candidates) == ["adam #0", "sgd #0"]


@pytest.mark.parametrize(
    ("losses", "verdict", "says"),
    [
        ({"sgd": [None, None]}, {}, r"no complete trial yet \(2 trials, 2 failed\)"),
        ({"sgd": [0.5]}, {"baseline": "none"}, "one recipe to judge, sgd #0, and nothing to"),
    ],
)
def test_nothing_to_compare_is_said(trials, catalog, losses, verdict, says):
    with pytest.raises(VerdictError, match=says):
        planned(trials(**losses), catalog, spec_of(*losses, **verdict))


def test_from_fifty_trials_on_three_recipes_an_arm_are_screened(trials, catalog):
    rows = trials(sgd=[0.5 + i / 100 for i in range(50)], adamw=[0.4] * 50)

    plan = planned(rows, catalog, spec_of("sgd", "adamw"))

    assert plan.screen
    assert list(plan.candidates) == [
        *(f"adamw #{i}" for i in range(3)),
        *(f"sgd #{i}" for i in range(3)),
        "adam untuned",
    ]


def run(recipe, seed, value, stage="screen"):
    return VerdictRun(
        stage=stage,
        recipe=recipe,
        seed=seed,
        seeds=Seeds.of_trial(0, "s", seed),
        status=Status.COMPLETE,
        reason=None,
        value=value,
        metrics={},
        epochs=1,
        seconds=1.0,
        worker="",
        device="",
    )


def test_screening_keeps_the_recipe_with_the_best_mean_of_each_arm(trials, catalog):
    rows = trials(sgd=[0.5 + i / 100 for i in range(50)], adamw=[0.4] * 50)
    plan = planned(rows, catalog, spec_of("sgd", "adamw"))
    means = {"sgd #0": 3.0, "sgd #1": 1.0, "sgd #2": 2.0}
    means |= {"adamw #0": 5.0, "adamw #1": None, "adamw #2": 6.0}

    runs = [run(name, seed, mean) for name, mean in means.items() for seed in range(3)]

    assert plan.finalists(runs) == ("sgd #1", "adamw #0", "adam untuned")


def test_a_plan_survives_the_database(trials, catalog):
    plan = planned(trials(sgd=[0.5], adamw=[0.2]), catalog, spec_of("sgd", "adamw"))

    again = Plan.from_data(json.loads(json.dumps(plan.data(), sort_keys=True)))

    assert again == plan
    assert list(again.candidates) == list(plan.candidates)
    assert again.is_about(plan)


def test_other_recipes_are_another_plan(trials, catalog):
    spec = spec_of("sgd", "adamw")
    plan = planned(trials(sgd=[0.5], adamw=[0.2]), catalog, spec)
    other = planned(trials(sgd=[0.5, 0.4], adamw=[0.2]), catalog, spec)

    assert not other.is_about(plan)
    assert isinstance(other.candidates["sgd #1"].recipe, Recipe)
