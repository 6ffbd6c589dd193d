from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kruskal

from automl_opt.core.recipe import Part, Recipe
from automl_opt.core.result import Status
from automl_opt.study.secondary import _tail, said, secondary

from .test_ranking import row

RNG = np.random.default_rng(0)


def trials(n: int = 60, *, effect: float = 0.0, rng=RNG, **fixed):
    """Two arms of *n* trials; a loss that falls by *effect* with the cosine schedule."""
    found = []
    for arm in ("a", "bb"):
        for number in range(n):
            scheduler = str(rng.choice(["builtin.constant", "builtin.cosine"]))
            on = bool(rng.random() < 0.5)
            recipe = Recipe(
                optimizer=Part(f"builtin.{arm}"),
                scheduler=Part(scheduler),
                regularizers=(Part("builtin.l2"),) if on else (),
                initializer=Part(str(rng.choice(["builtin.he", "builtin.default"]))),
                batch_size=int(rng.choice([16, 32, 64])),
            )
            value = rng.normal(100.0 if arm == "a" else 0.0)  # another level in each arm
            value -= effect * (scheduler == "builtin.cosine")
            trial = row(arm, number, Status.COMPLETE, float(value))
            found.append(replace(trial, recipe_json=recipe.to_json(), **fixed))
    return found


def factors(*arguments, **options):
    found = secondary(*arguments, compare="optimizer", maximize=False, **options)
    return {factor.name: factor for factor in found}


def test_what_matters_is_told_and_the_rest_is_not():
    found = factors(trials(effect=1.5))

    assert [name for name, factor in found.items() if factor.told] == ["scheduler"]
    assert set(found) == {"scheduler", "initializer", "batch size", "regularizer builtin.l2"}
    best, worst = found["scheduler"].levels
    assert (best.name, worst.name) == ("builtin.cosine", "builtin.constant")
    assert best.place > 0.5 > worst.place
    assert best.trials + worst.trials == 120


def test_to_maximize_turns_the_order_around():
    found = secondary(trials(effect=1.5), compare="optimizer", maximize=True)

    [scheduler] = [factor for factor in found if factor.name == "scheduler"]
    assert scheduler.levels[0].name == "builtin.constant"


def test_what_does_not_matter_is_rarely_told():
    rng = np.random.default_rng(5)
    told = [
        any(factor.told for factor in factors(trials(20, rng=rng), shuffles=199).values())
        for _ in range(200)
    ]

    assert np.mean(told) <= 0.09  # 5 % and two and a half standard errors


def test_pruned_trials_are_below_complete_ones_and_failed_ones_last():
    def change(trial):
        if "cosine" in trial.recipe_json:
            return replace(trial, status=Status.PRUNED, value=-1e9)
        return trial

    pruned = factors([change(trial) for trial in trials()])
    failed = factors([replace(t, status=Status.FAILED) if t.number < 20 else t for t in trials()])

    assert pruned["scheduler"].told
    assert pruned["scheduler"].levels[0].name == "builtin.constant"
    assert failed["scheduler"].levels[0].place < 1


def test_the_kind_that_is_compared_is_no_factor():
    found = secondary(trials(), compare="scheduler", maximize=False)

    assert "scheduler" not in {factor.name for factor in found}
    assert "optimizer" in {factor.name for factor in found}


def test_the_statistic_is_kruskal_and_wallis():
    values = RNG.permutation(30) / 30
    groups = np.repeat([0, 1, 2], 10)
    table = groups[:, None] == np.arange(3)

    expected = kruskal(*(values[groups == g] for g in range(3))).pvalue

    from scipy.stats import rankdata

    assert _tail(rankdata(values)[None, :], table)[0] == pytest.approx(expected)


def test_a_level_that_was_hardly_tried_is_left_out():
    few = trials(30)
    odd = (
        few[0]
        .recipe_json.replace("builtin.he", "builtin.odd")
        .replace('"builtin.default"', '"builtin.odd"')
    )
    found = factors([replace(few[0], recipe_json=odd), *few[1:]])

    assert {level.name for level in found["initializer"].levels} == {
        "builtin.he",
        "builtin.default",
    }


def test_no_trials_have_no_factors():
    assert secondary([], compare="optimizer", maximize=False) == []
    running = [replace(trial, status=Status.RUNNING) for trial in trials(5)]
    assert secondary(running, compare="optimizer", maximize=False) == []


def test_only_hints_are_said_and_what_cannot_be_told():
    sentences = said(list(factors(trials(effect=1.5)).values()))

    assert len(sentences) == 2
    assert re.fullmatch(
        r"scheduler: trials with builtin\.cosine ended higher in their arm than those with "
        r"builtin\.constant \(mean place 0\.\d\d against 0\.\d\d\)\. The search chose what to try, "
        r"so this is a hint\.",
        sentences[0],
    )
    assert sentences[1].startswith("These trials cannot tell what is better of: ")
