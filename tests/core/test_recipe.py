from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace

import pytest

from automl_opt.core.errors import AutomlOptError, ParamError
from automl_opt.core.recipe import Part, Recipe


def recipe(**changes) -> Recipe:
    fields = {
        "optimizer": Part("acme.lion", {"lr": 0.1 + 0.2, "beta1": 1 / 3, "decay": 5e-324}),
        "scheduler": Part("builtin.cosine", {"warmup": 10}, version=2),
        "regularizers": (
            Part("builtin.clip", {"norm": 1.0}),
            Part("builtin.mixup", {"on": True, "mode": "β", "alpha": None}),
        ),
        "initializer": Part("builtin.default"),
        "batch_size": 32,
        "model": {"width": 64, "dropout": 0.1},
    }
    return Recipe(**(fields | changes))


class Echo:
    """A builder that hands back what it was asked for."""

    def build(self, kind, part, *args):
        return kind, part.id, args


@pytest.mark.parametrize("given", [recipe(), recipe(batch_size=None, regularizers=(), model={})])
def test_a_recipe_survives_json_to_the_last_bit(given):
    again = Recipe.from_json(given.to_json())

    assert again == given
    assert again.to_json() == given.to_json()
    assert [value.hex() for value in again.optimizer.params.values() if value] == [
        value.hex() for _, value in sorted(given.optimizer.params.items())
    ]


def test_the_order_in_which_parameters_are_named_does_not_matter():
    turned = recipe(optimizer=Part("acme.lion", dict(reversed(recipe().optimizer.params.items()))))

    assert turned == recipe()
    assert turned.to_json() == recipe().to_json()
    assert hash(turned) == hash(recipe())


def test_the_order_of_regularizers_does():
    turned = recipe(regularizers=tuple(reversed(recipe().regularizers)))

    assert turned != recipe()
    assert turned.fingerprint() != recipe().fingerprint()


def test_the_fingerprint_of_a_recipe_is_the_same_on_every_machine_and_release():
    given = Recipe(
        optimizer=Part("builtin.sgd", {"lr": 0.1}),
        scheduler=Part("builtin.constant"),
        initializer=Part("builtin.default"),
        batch_size=32,
    )

    assert given.fingerprint() == (
        "834b7f4686558bf7ba796fe7107b8450ce5f078bd3322632512a136541718bbd"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": Part("acme.lion", {"lr": 0.3})},
        {"scheduler": Part("builtin.cosine", {"warmup": 10}, version=1)},
        {"initializer": Part("builtin.orthogonal")},
        {"batch_size": None},
        {"accumulate": 2},
        {"model": {"width": 64}},
    ],
)
def test_recipes_that_differ_in_anything_are_told_apart(change):
    assert recipe(**change) != recipe()
    assert recipe(**change).fingerprint() != recipe().fingerprint()


def test_equal_recipes_have_equal_hashes_whatever_kind_of_number_they_hold():
    whole, real = (recipe(optimizer=Part("acme.lion", {"lr": lr})) for lr in (1, 1.0))

    assert whole == real
    assert hash(whole) == hash(real)


def test_a_recipe_cannot_be_changed():
    given = recipe()

    with pytest.raises(FrozenInstanceError):
        given.batch_size = 64
    with pytest.raises(TypeError):
        given.optimizer.params["lr"] = 1.0
    with pytest.raises(TypeError):
        given.model["width"] = 1


def test_a_recipe_keeps_its_own_copy_of_the_parameters_it_is_given():
    params = {"lr": 0.1}
    part = Part("acme.lion", params)

    params["lr"] = 1.0

    assert part.params == {"lr": 0.1}


@pytest.mark.parametrize(("role", "part"), recipe().parts())
def test_calling_a_part_of_a_recipe_that_is_data_only_says_how_to_bind_it(role, part):
    with pytest.raises(AutomlOptError, match=rf"holds {part.id} is data only; .*bind\(recipe\)"):
        part()


def test_the_parts_of_a_bound_recipe_build_what_they_name():
    bound = recipe().bound(Echo())

    assert bound.optimizer("weights") == ("optimizer", "acme.lion", ("weights",))
    assert bound.scheduler(1, 2) == ("scheduler", "builtin.cosine", (1, 2))
    assert [part()[:2] for part in bound.regularizers] == [
        ("regularizer", "builtin.clip"),
        ("regularizer", "builtin.mixup"),
    ]
    assert bound.initializer()[0] == "initializer"


def test_a_bound_recipe_equals_the_recipe_it_was_made_from():
    bound = recipe().bound(Echo())

    assert bound == recipe()
    assert hash(bound) == hash(recipe())
    assert bound.to_json() == recipe().to_json()


def test_parts_are_told_in_the_order_of_training():
    roles = [role for role, _ in recipe().parts()]

    assert roles == ["optimizer", "scheduler", "regularizer", "regularizer", "initializer"]


def test_the_json_is_canonical():
    text = recipe().to_json()

    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def test_replacing_a_field_keeps_the_others():
    assert replace(recipe(), batch_size=64).optimizer == recipe().optimizer


SGD = Part("builtin.sgd", {"lr": 0.1})
WRAPPED = Part("builtin.sam", {"rho": 0.05}, base=Part("acme.lookahead", {"k": 5}, 2, base=SGD))


def test_a_wrapper_survives_json_with_everything_it_wraps():
    given = recipe(optimizer=WRAPPED)

    again = Recipe.from_json(given.to_json())

    assert again == given
    assert hash(again) == hash(given)
    assert again.optimizer.name == "builtin.sam(acme.lookahead(builtin.sgd))"
    assert [part.id for part in again.optimizer.chain] == [
        "builtin.sam",
        "acme.lookahead",
        "builtin.sgd",
    ]


def test_a_wrapper_and_what_it_wraps_are_parts_of_one_role():
    roles = [(role, part.id) for role, part in recipe(optimizer=WRAPPED).parts()]

    assert roles[:3] == [
        ("optimizer", "builtin.sam"),
        ("optimizer", "acme.lookahead"),
        ("optimizer", "builtin.sgd"),
    ]


def test_what_is_wrapped_makes_a_recipe_another():
    others = [
        recipe(optimizer=part) for part in (WRAPPED, WRAPPED.base, replace(WRAPPED, base=SGD))
    ]

    assert len({other.fingerprint() for other in others}) == 3
    assert len(set(others)) == 3


@pytest.mark.parametrize(
    ("scaling", "batch_size", "factor"),
    [
        ("none", 256, 1.0),
        ("linear", 32, 1.0),
        ("linear", 256, 8.0),
        ("linear", 8, 0.25),
        ("sqrt", 128, 2.0),
        ("linear", None, 1.0),
    ],
)
def test_the_learning_rate_follows_the_batch_size_by_the_rule(scaling, batch_size, factor):
    assert recipe(lr_scaling=scaling, batch_size=batch_size).lr_factor == factor


def test_a_scaling_rule_survives_json_and_none_leaves_no_trace():
    scaled = recipe(lr_scaling="sqrt")

    assert Recipe.from_json(scaled.to_json()) == scaled != recipe()
    assert "lr_scaling" not in recipe(lr_scaling="none").to_json()


def test_a_scaling_rule_that_is_none_of_ours_is_refused():
    with pytest.raises(ParamError, match=r"lr_scaling 'squareroot' is not known.*linear"):
        recipe(lr_scaling="squareroot")


def test_a_bound_recipe_hands_its_scaling_to_the_whole_chain():
    bound = recipe(optimizer=WRAPPED, lr_scaling="linear", batch_size=64).bound(Echo())

    assert [part.lr_factor for part in bound.optimizer.chain] == [2.0, 2.0, 2.0]
    assert bound == recipe(optimizer=WRAPPED, lr_scaling="linear", batch_size=64)
