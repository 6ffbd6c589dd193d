from __future__ import annotations

import optuna
import pytest

import automl_opt
from automl_opt.core.errors import SpecError, UnknownComponent
from automl_opt.core.params import Float, OneOf
from automl_opt.search.space import arms_of

from .examples import MODEL, spec_of


def names(space):
    return [entry.name for entry in space.space.entries]


def entry(space, name):
    return next(entry for entry in space.space.entries if entry.name == name)


def draws(space, n=30):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    return [space.space.suggest_values(study.ask()) for _ in range(n)]


SPACE = {"optimizer": ["sgd", "adamw"], "scheduler": ["constant", "cosine"]}


def test_an_arm_names_its_parameters_by_kind_and_what_is_chosen_by_component(catalog):
    sgd, adamw = arms_of(spec_of(), catalog, MODEL)

    assert (sgd.arm, adamw.arm) == ("sgd", "adamw")
    assert names(sgd) == [
        "optimizer.lr",
        "scheduler",
        "scheduler.cosine.floor",
        "regularizer.l2",
        "regularizer.l2.strength",
        "batch_size",
        "model.width",
    ]
    assert names(adamw)[:5] == [
        f"optimizer.{p}" for p in ("lr", "beta1", "beta2", "weight_decay")
    ] + ["optimizer.eps"]


def test_what_belongs_to_a_choice_exists_only_where_it_is_chosen(catalog):
    sgd = arms_of(spec_of(), catalog, MODEL)[0]

    for values in draws(sgd):
        assert ("scheduler.cosine.floor" in values) == (values["scheduler"] == "cosine")
        assert ("regularizer.l2.strength" in values) == values["regularizer.l2"]


def test_a_single_candidate_is_no_choice(catalog):
    spec = spec_of(space={"optimizer": ["sgd"], "scheduler": ["cosine"], "batch_size": 16})

    [sgd] = arms_of(spec, catalog, {})

    assert names(sgd) == ["optimizer.lr", "scheduler.cosine.floor", "batch_size"]
    assert entry(sgd, "batch_size").param == OneOf((16,))


@pytest.mark.parametrize(
    ("compare", "arms", "searched"),
    [
        ("optimizer", ["sgd", "adamw"], "scheduler"),
        ("scheduler", ["constant", "cosine"], "optimizer"),
        ("regularizer", ["none", "l2", "dropout"], "optimizer"),
        ("initializer", ["he", "orthogonal"], "optimizer"),
    ],
)
def test_the_arms_are_the_candidates_of_the_compared_kind(catalog, compare, arms, searched):
    space = {**SPACE, "regularizer": ["l2", "dropout"], "initializer": ["he", "orthogonal"]}

    found = arms_of(spec_of(compare=compare, space=space), catalog, {})

    assert [arm.arm for arm in found] == arms
    assert all(compare not in names(arm) and searched in names(arm) for arm in found)


def test_the_arm_of_a_regularizer_always_has_it_and_none_never_has_one(catalog):
    space = {**SPACE, "regularizer": ["l2"]}

    none, l2 = arms_of(spec_of(compare="regularizer", space=space), catalog, {})

    assert none.default().regularizers == ()
    assert [part.id for part in l2.default().regularizers] == ["builtin.l2"]
    assert "regularizer.strength" in names(l2)
    assert "regularizer.l2" not in names(l2)


def test_full_batch_optimizers_have_no_batch_size(catalog):
    gd, sgd = arms_of(spec_of(space={"optimizer": ["gd", "sgd"]}), catalog, {})

    assert "batch_size" not in names(gd)
    assert gd.default().batch_size is None
    assert sgd.default().batch_size == 32


def test_where_the_optimizer_is_chosen_the_batch_size_hangs_from_it(catalog):
    spec = spec_of(compare="scheduler", space={**SPACE, "optimizer": ["gd", "sgd"]})

    for values in draws(arms_of(spec, catalog, {})[0]):
        assert ("batch_size" in values) == (values["optimizer"] == "sgd")


def test_every_draw_spells_a_recipe_that_spells_the_draw(catalog):
    for space in arms_of(spec_of(compare="initializer", space=SPACE), catalog, MODEL):
        for values in draws(space):
            recipe = space.recipe(values)

            spelt = {"optimizer": recipe.optimizer.id.removeprefix("builtin.")}
            spelt |= {"scheduler": recipe.scheduler.id.removeprefix("builtin.")}
            for kind, part in recipe.parts()[:2]:
                spelt |= {f"{kind}.{spelt[kind]}.{k}": v for k, v in part.params.items()}
            spelt |= {"batch_size": recipe.batch_size, "model.width": recipe.model["width"]}
            assert spelt == values


def test_the_default_recipe_has_the_defaults_of_the_components(catalog):
    for space in arms_of(spec_of(), catalog, MODEL):
        recipe = space.default()

        assert recipe.optimizer.params == catalog.find("optimizer", space.arm).defaults()
        assert recipe.scheduler.id == "builtin.constant"
        assert recipe.regularizers == ()
        assert (recipe.batch_size, recipe.model["width"]) == (16, MODEL["width"].default)


def test_an_override_changes_one_parameter_of_one_component(catalog):
    ranges = {"optimizer": {"sgd": {"lr": {"low": 0.01, "high": 0.1}}}}

    sgd, adamw = arms_of(spec_of(ranges=ranges), catalog, MODEL)

    declared = catalog.find("optimizer", "adamw").spec.params["lr"]
    assert entry(sgd, "optimizer.lr").param == Float(0.01, 0.1, log=True, default=0.1)
    assert entry(adamw, "optimizer.lr").param == declared


@pytest.mark.parametrize(
    ("ranges", "error", "texts"),
    [
        ({"optimizer": {"adamv": {"lr": 1}}}, UnknownComponent, ["[ranges.optimizer] adamv"]),
        ({"optimizer": {"adamv": {"lr": 1}}}, UnknownComponent, ["'builtin.adamw'"]),
        ({"optimizer": {"adamw": {"lrr": 1}}}, SpecError, ["[ranges.optimizer.adamw] lrr", "'lr'"]),
        (
            {"optimizer": {"adamw": {"lr": {"low": 2, "high": 1}}}},
            SpecError,
            ["[ranges.optimizer.adamw] lr", "inverted"],
        ),
    ],
)
def test_a_wrong_override_is_an_error_with_file_key_and_the_nearest(catalog, ranges, error, texts):
    with pytest.raises(error) as raised:
        arms_of(spec_of(ranges=ranges), catalog, MODEL)

    for text in ["studies/digits/study.toml", *texts]:
        assert text in str(raised.value)


def test_a_wrong_name_is_an_error_with_file_key_and_the_nearest(catalog):
    spec = spec_of(space={"optimizer": ["sgd"], "scheduler": ["cosin"]})

    with pytest.raises(UnknownComponent) as raised:
        arms_of(spec, catalog, MODEL)

    assert "studies/digits/study.toml, [space] scheduler" in str(raised.value)
    assert "did you mean 'builtin.cosine'" in str(raised.value)


def test_one_component_under_two_names_is_an_error(catalog):
    spec = spec_of(space={"optimizer": ["sgd", "builtin.sgd"]})

    with pytest.raises(SpecError, match=r"\[space\] optimizer: names builtin.sgd twice"):
        arms_of(spec, catalog, MODEL)


def test_one_name_for_components_of_two_kinds_mixes_up_nothing(installed):
    source = """
from automl_opt.api import Float, InitializerSpec, SchedulerSpec, hookimpl

@hookimpl
def automl_opt_schedulers():
    yield SchedulerSpec(name="smooth", summary="s", paper="none: a test",
                        factor=lambda step, total, *, floor: 1.0,
                        params={"floor": Float(0.0, 1.0)})

@hookimpl
def automl_opt_initializers():
    yield InitializerSpec(name="smooth", summary="s", paper="none: a test",
                          init=lambda tensor, generator, *, gain: None,
                          params={"gain": Float(1.0, 2.0)})
"""
    catalog = installed.write("acme", source).host(ours=True).catalog
    space = {"optimizer": ["sgd"], "scheduler": ["acme.smooth"], "initializer": ["acme.smooth"]}

    [sgd] = arms_of(spec_of(space=space), catalog, {})

    assert names(sgd)[1:3] == ["scheduler.acme.smooth.floor", "initializer.acme.smooth.gain"]
    assert sgd.default().initializer.params == {"gain": 1.5}


class TestSpaceOfOnesOwn:
    """``automl_opt.search_space(…)``, for an objective of the user's own."""

    def test_a_single_name_is_given_and_a_list_is_chosen_from(self):
        given = automl_opt.search_space("adamw", regularizer="l2")
        chosen = automl_opt.search_space(["adamw"], regularizer=["l2"])

        assert "optimizer.lr" in names(given)
        assert "regularizer.strength" in names(given)
        assert "optimizer.adamw.lr" in names(chosen)
        assert {"regularizer.l2", "regularizer.l2.strength"} <= set(names(chosen))

    def test_ranges_and_batch_sizes_are_given_as_in_a_study_file(self):
        space = automl_opt.search_space(
            "sgd",
            batch_size={"low": 8, "high": 64, "log": True},
            ranges={"optimizer": {"sgd": {"lr": [0.1, 0.2]}}},
        )

        assert entry(space, "optimizer.lr").param == OneOf((0.1, 0.2))
        assert entry(space, "batch_size").param.low == 8

    def test_a_suggested_recipe_builds_what_it_names(self):
        torch = pytest.importorskip("torch")
        space = automl_opt.search_space(["sgd", "adamw"], scheduler="cosine")
        model = torch.nn.Linear(3, 1)

        recipe = space.suggest(optuna.create_study().ask())
        optimizer = recipe.optimizer(model.parameters())
        recipe.scheduler(optimizer, 10)

        assert isinstance(optimizer, torch.optim.Optimizer)

    def test_a_wrong_name_says_where(self):
        with pytest.raises(UnknownComponent, match=r"search_space\(…\), \[space\] optimizer"):
            automl_opt.search_space("adamv")

    def test_no_optimizer_is_an_error(self):
        with pytest.raises(SpecError, match="at least one"):
            automl_opt.search_space([])


def test_a_wrappers_own_parameters_stand_beside_those_of_what_it_wraps(catalog):
    space = {"optimizer": ["sam(sgd)", "lookahead(sam(sgd))"], "scheduler": ["warmup(cosine)"]}

    sam, both = arms_of(spec_of(space=space), catalog, {})

    assert sam.arm == "sam(sgd)"
    assert names(sam)[:2] == ["optimizer.lr", "optimizer.sam.rho"]
    assert {"optimizer.lr", "optimizer.sam.rho", "optimizer.lookahead.k"} <= set(names(both))
    assert "scheduler.warmup(cosine).floor" in names(sam)
    assert "scheduler.warmup(cosine).warmup.fraction" in names(sam)


def test_the_values_of_a_chain_become_the_parameters_of_its_links(catalog):
    space = {"optimizer": ["sam(sgd)"], "scheduler": ["constant", "warmup(cosine)"]}
    [sam] = arms_of(spec_of(space=space), catalog, {})
    values = sam.space.defaults() | {
        "optimizer.lr": 0.25,
        "optimizer.sam.rho": 0.125,
        "scheduler": "warmup(cosine)",
        "scheduler.warmup(cosine).floor": 0.1,
        "scheduler.warmup(cosine).warmup.fraction": 0.2,
        "scheduler.warmup(cosine).warmup.start": 0.5,
    }

    recipe = sam.recipe(values)

    assert recipe.optimizer.params == {"rho": 0.125}
    assert recipe.optimizer.base.params == {"lr": 0.25}
    assert recipe.scheduler.params == {"fraction": 0.2, "start": 0.5}
    assert recipe.scheduler.base.params == {"floor": 0.1}


def test_ranges_of_a_chain_are_those_of_its_components(catalog):
    ranges = {"optimizer": {"sam": {"rho": 0.1}, "sgd": {"lr": 0.5}}}
    [sam] = arms_of(spec_of(space={"optimizer": ["sam(sgd)"]}, ranges=ranges), catalog, {})

    assert sam.default().optimizer.params["rho"] == 0.1
    assert sam.default().optimizer.base.params["lr"] == 0.5

    wrong = {"optimizer": {"sam(sgd)": {"rho": 0.1}}}
    with pytest.raises(SpecError, match=r"write \[ranges.optimizer.sam\] and .*optimizer.sgd\]"):
        arms_of(spec_of(space={"optimizer": ["sam(sgd)"]}, ranges=wrong), catalog, {})


def test_all_optimizers_are_all_but_the_wrappers(catalog):
    arms = arms_of(spec_of(space={"optimizer": "all"}), catalog, {})

    assert [arm.arm for arm in arms] == [c.label for c in catalog.candidates("optimizer")]


def test_a_wrapper_alone_is_refused_with_what_to_write(catalog):
    with pytest.raises(UnknownComponent, match=r"\[space\] optimizer.*write sam\(OPTIMIZER\)"):
        arms_of(spec_of(space={"optimizer": ["sam"]}), catalog, {})


def test_the_scaling_rule_is_searched_where_there_are_several(catalog):
    space = {"optimizer": ["sgd", "gd"], "batch_size": [32, 128], "lr_scaling": ["none", "linear"]}

    sgd, gd = arms_of(spec_of(space=space), catalog, {})

    assert entry(sgd, "lr_scaling").param == OneOf(("none", "linear"))
    assert "lr_scaling" not in names(gd)
    values = sgd.space.defaults() | {"batch_size": 128, "lr_scaling": "linear"}
    assert sgd.recipe(values).lr_factor == 4.0


def test_a_single_scaling_rule_is_given(catalog):
    space = {"optimizer": ["sgd"], "batch_size": [128], "lr_scaling": "sqrt"}

    [sgd] = arms_of(spec_of(space=space), catalog, {})

    assert "lr_scaling" not in names(sgd)
    assert sgd.default().lr_scaling == "sqrt"
    assert sgd.default().lr_factor == 2.0


def test_an_own_space_knows_wrappers_and_scaling_rules():
    space = automl_opt.search_space("sam(sgd)", batch_size=128, lr_scaling="linear")

    assert space.default().optimizer.name == "builtin.sam(builtin.sgd)"
    assert space.default().lr_factor == 4.0
