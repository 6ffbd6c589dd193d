from __future__ import annotations

import json
import math
from datetime import date

import optuna
import pytest

from automl_opt.core.errors import ParamError
from automl_opt.core.params import (
    Float,
    Int,
    OneOf,
    Prior,
    from_dict,
    overridden,
    parse_range,
    to_dict,
)

RANGES = [
    Float(0.0, 1.0),
    Float(1e-5, 1e-1, log=True, default=1e-3),
    Float(0.1, 0.7, step=0.2),
    Float(0.1, 0.3, when=("kind", ("a", "b"))),
    Float(1e-5, 1e-1, log=True, prior=Prior(1e-3, 3)),
    Int(1, 9),
    Int(1, 1000, log=True),
    Int(8, 64, step=8, prior=Prior(24, 8), default=32, when=("on", True)),
    Int(8, 64, step=8, default=16, when=("on", True)),
    OneOf(("a", "b"), default="b"),
    OneOf((None, 1, 2.5, "x")),
    OneOf((True, False), when=("kind", "a")),
]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Float("1", 2), "low must be a number, not '1'"),
        (lambda: Float(0, True), "high must be a number, not True"),
        (lambda: Float(0, math.inf), "high must be finite, not inf"),
        (lambda: Float(math.nan, 1), "low must be finite, not nan"),
        (lambda: Float(2, 1), "the range is inverted: low 2.0 is above high 1.0"),
        (lambda: Float(0, 1, log=True), "a log scale needs low above 0, not 0.0"),
        (lambda: Float(0, 1, log="yes"), "log must be true or false, not 'yes'"),
        (lambda: Float(0, 1, step=0), "step must be above 0, not 0.0"),
        (lambda: Float(1, 2, log=True, step=0.5), "a log scale or a step, not both"),
        (lambda: Float(0, 1, step=0.3), "steps of 0.3 from 0.0 do not arrive at high 1.0"),
        (lambda: Float(0, 1, default=2), r"default 2.0 lies outside \[0.0, 1.0\]$"),
        (lambda: Float(0, 1, step=0.5, default=0.3), "default 0.3 lies outside .* steps of 0.5"),
        (lambda: Prior("1", 2), "prior: center must be a finite number, not '1'"),
        (lambda: Prior(1, math.inf), "prior: spread must be a finite number, not inf"),
        (lambda: Prior(1, True), "prior: spread must be a finite number, not True"),
        (lambda: Prior(1, 0), "prior: spread must be above 0, not 0"),
        (lambda: Float(0, 1, prior=Prior(2, 1)), r"prior: center 2.0 lies outside \[0.0, 1.0\]$"),
        (lambda: Float(0, 1, step=0.5, prior=Prior(0.3, 1)), "center 0.3 lies .* steps of 0.5"),
        (
            lambda: Float(1, 9, log=True, prior=Prior(2, 1)),
            "a factor above 1 on a log scale, not 1",
        ),
        (lambda: Float(0, 1, prior=0.5), "prior must be {center = …, spread = …}, not 0.5"),
        (lambda: Int(1, 9, prior=Prior(2.0, 1)), "center must be a whole number, not 2.0"),
        (lambda: Int(1.0, 2), "low must be a whole number, not 1.0"),
        (lambda: Int(1, 2, default=True), "default must be a whole number, not True"),
        (lambda: Int(1, 2, step=None), "step must be a whole number, not None"),
        (lambda: Int(2, 1), "the range is inverted: low 2 is above high 1"),
        (lambda: Int(0, 8, log=True), "a log scale needs low above 0, not 0"),
        (lambda: Int(0, 8, log=1), "log must be true or false, not 1"),
        (lambda: Int(0, 8, step=0), "step must be at least 1, not 0"),
        (lambda: Int(1, 9, log=True, step=2), "a log scale or a step, not both"),
        (lambda: Int(0, 9, step=2), "steps of 2 from 0 do not arrive at high 9"),
        (lambda: Int(0, 8, step=2, default=3), "default 3 lies outside .* in steps of 2"),
        (lambda: OneOf("ab"), "choices must be a list, not 'ab'"),
        (lambda: OneOf({1, 2}), "choices must be a list"),
        (lambda: OneOf(()), "choices must not be empty"),
        (lambda: OneOf(([1],)), r"a choice must be a number, a text or a truth, not \[1\]"),
        (lambda: OneOf((1.0, math.nan)), "a choice must be finite, not nan"),
        (lambda: OneOf(("a", "a")), "choices must differ"),
        (lambda: OneOf((1, True)), "choices must differ"),
        (lambda: OneOf((1, 1.0)), "choices must differ"),
        (lambda: OneOf((1, 2), default=3), r"default 3 is not among \[1, 2\]"),
        (lambda: OneOf((0, 1), default=True), r"default True is not among \[0, 1\]"),
        (lambda: Float(0, 1, when="kind"), "when must be .sibling, value or values., not 'kind'"),
        (lambda: Int(0, 1, when=(1, 2)), "when must be"),
        (lambda: OneOf((1,), when=("a", "b", "c")), "when must be"),
    ],
)
def test_an_impossible_range_is_refused_with_its_reason(make, message):
    with pytest.raises(ParamError, match=message):
        make()


@pytest.mark.parametrize(
    ("param", "default"),
    [
        (Float(0, 1), 0.5),
        (Float(1e-4, 1e-2, log=True), pytest.approx(1e-3)),
        (Float(1e-300, 1e-280, log=True), pytest.approx(1e-290)),
        (Float(0.1, 0.1, log=True), 0.1),
        (Float(0, 1, step=0.25), 0.5),
        (Float(0.1, 0.7, step=0.2), pytest.approx(0.3)),
        (Float(0, 1, prior=Prior(0.2, 0.1)), 0.2),
        (Float(0, 1, prior=Prior(0.2, 0.1), default=0.3), 0.3),
        (Int(1, 9), 5),
        (Int(1, 9, prior=Prior(8, 2)), 8),
        (Int(1, 100, log=True), 10),
        (Int(8, 64, step=8), 32),
        (OneOf(("x", None)), "x"),
        (OneOf((None, "x")), None),
        (OneOf((False, True)), False),
    ],
)
def test_a_search_without_a_default_starts_at_the_prior_the_centre_or_the_first_choice(
    param, default
):
    assert param.default == default
    assert param.contains(param.default)


@pytest.mark.parametrize(
    ("param", "inside", "outside"),
    [
        (Float(0, 1), [0, 0.0, 1, 0.3], [-1e-9, 1.1, True, "0.5", None, math.nan]),
        (Float(0.1, 0.7, step=0.2), [0.1, 0.1 + 0.2, 0.7], [0.2, 0.75]),
        (Int(0, 8, step=2), [0, 2, 8], [1, 2.0, 10, True, None]),
        (OneOf((1, "a", None)), [1, "a", None], [True, 1.0, "b", 2]),
    ],
)
def test_a_range_contains_what_its_kind_bounds_and_steps_allow(param, inside, outside):
    assert [value for value in inside if not param.contains(value)] == []
    assert [value for value in outside if param.contains(value)] == []


def test_whole_numbers_are_taken_as_the_real_numbers_a_float_range_needs():
    param = Float(1, 4, step=1, default=2)

    assert [type(x) for x in (param.low, param.high, param.step, param.default)] == [float] * 4


@pytest.mark.parametrize("given", [("kind", "a"), ("kind", ("a",)), ["kind", ["a"]]])
def test_one_value_in_a_condition_is_a_list_of_one(given):
    assert Float(0, 1, when=given).when == ("kind", ("a",))


def test_a_range_without_a_prior_is_written_as_it_was_before_there_were_any():
    assert to_dict(Float(0, 1)) == {
        "kind": "float", "low": 0.0, "high": 1.0, "log": False, "default": 0.5
    }  # fmt: skip


def test_whole_numbers_in_a_prior_are_taken_as_the_real_numbers_they_stand_for():
    param = Float(1, 4, prior=Prior(2, 1))

    assert [type(param.prior.center), type(param.prior.spread)] == [float] * 2
    assert to_dict(param)["prior"] == {"center": 2.0, "spread": 1.0}


@pytest.mark.parametrize("param", RANGES, ids=str)
def test_a_range_survives_json(param):
    again = from_dict(json.loads(json.dumps(to_dict(param))))

    assert again == param
    assert hash(again) == hash(param)


@pytest.mark.parametrize("param", RANGES, ids=str)
def test_optuna_suggests_values_inside_the_range_and_warns_of_nothing(param):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))

    values = [param.suggest(study.ask(), "x") for _ in range(20)]

    assert all(param.contains(value) for value in values)


@pytest.mark.parametrize(
    ("param", "override", "expected"),
    [
        # a value fixes, a list gives the choices
        (Float(0, 1), 0.5, OneOf((0.5,))),
        (Float(0, 1), 3, OneOf((3.0,))),
        (Float(0, 1, when=("k", "a")), [1, 0.5], OneOf((1.0, 0.5), when=("k", "a"))),
        (Int(0, 8), 3, OneOf((3,))),
        (OneOf(("a", "b")), "b", OneOf(("b",))),
        (OneOf((True, False)), False, OneOf((False,))),
        (OneOf((0.0, 0.9)), [0, 1], OneOf((0.0, 1.0))),
        (OneOf((16, 32)), [64], OneOf((64,))),
        # a table changes what it names
        (Float(0, 1, default=0.2), {"high": 2}, Float(0, 2, default=0.2)),
        (Float(0, 1, default=0.2), {"low": 0.5}, Float(0.5, 1)),
        (Float(0, 1, default=0.2), {"step": 0.25}, Float(0, 1, step=0.25)),
        (Float(0, 1, default=0.5), {"step": 0.25}, Float(0, 1, step=0.25, default=0.5)),
        (Float(0, 1), {"default": 1}, Float(0, 1, default=1.0)),
        (Float(1, 9, log=True), {"log": False, "default": 2}, Float(1, 9, default=2)),
        (Int(1, 9, default=4), {"low": 2, "high": 8}, Int(2, 8, default=4)),
        (Int(1, 9, default=4), {"high": 3}, Int(1, 3)),
        (Int(1, 9, when=("k", "a")), {"low": 3}, Int(3, 9, default=5, when=("k", "a"))),
        # a prior: where it and the default stand when only one of them, or the range, is changed
        (
            Float(0, 1, default=0.2),
            {"prior": {"center": 0.7, "spread": 0.1}},
            Float(0, 1, default=0.7, prior=Prior(0.7, 0.1)),
        ),
        (
            Float(1e-4, 1, log=True),
            {"prior": {"center": 0.1, "spread": 3}, "default": 0.01, "high": 10},
            Float(1e-4, 10, log=True, default=0.01, prior=Prior(0.1, 3)),
        ),
        (
            Float(0, 1, prior=Prior(0.7, 0.1)),
            {"default": 0.2},
            Float(0, 1, default=0.2, prior=Prior(0.7, 0.1)),
        ),
        (
            Float(0, 1, default=0.1, prior=Prior(0.7, 0.1)),
            {"low": 0.2},
            Float(0.2, 1, default=0.7, prior=Prior(0.7, 0.1)),
        ),
        (
            Float(0, 1, default=0.1, prior=Prior(0.7, 0.1)),
            {"high": 0.5},
            Float(0, 0.5, default=0.1),
        ),
        (Float(1, 9, prior=Prior(3, 2)), {"log": True}, Float(1, 9, log=True, default=3)),
        (Float(0, 1, prior=Prior(0.7, 0.1)), 0.5, OneOf((0.5,))),
        (
            OneOf((16, 32)),
            {"low": 8, "high": 64, "log": True, "prior": {"center": 16, "spread": 1.5}},
            Int(8, 64, log=True, prior=Prior(16, 1.5)),
        ),
        # numbers that were choices may become a range
        (OneOf((0.0, 0.5)), {"low": 0, "high": 1}, Float(0, 1)),
        (OneOf((16, 32)), {"low": 8, "high": 64, "log": True}, Int(8, 64, log=True)),
    ],
)
def test_an_override_gives_the_range_it_describes(param, override, expected):
    assert overridden(param, override) == expected


@pytest.mark.parametrize(
    ("param", "override", "message"),
    [
        (Float(0, 1), "fast", "'fast' is not a number"),
        (Float(0, 1), True, "True is not a number"),
        (Float(0, 1), [[1]], r"\[1\] is not a number"),
        (Float(0, 1), [], "choices must not be empty"),
        (Float(0, 1), [1, 1.0], "choices must differ"),
        (Float(0, 1), math.inf, "a choice must be finite"),
        (Float(0, 1), None, "None is no range; write a value, a list"),
        (Float(0, 1), date(2024, 1, 1), "is no range; write a value, a list"),
        (Float(0, 1), {"hihg": 2}, "no key 'hihg'; did you mean 'high'"),
        (Float(0, 1), {"low": 2}, "inverted: low 2.0 is above high 1.0"),
        (Float(0, 1), {"low": "2"}, "low must be a number, not '2'"),
        (Float(0, 1), {"low": True}, "low must be a number, not True"),
        (Float(0, 1), {"log": True}, "a log scale needs low above 0"),
        (Float(0, 1), {"log": "yes"}, "log must be true or false, not 'yes'"),
        (Float(1, 2, log=True), {"step": 0.5}, "a log scale or a step, not both"),
        (Float(0, 1), {"default": 2}, "default 2.0 lies outside"),
        (Float(0, 1), {"when": ["a", "b"]}, "no key 'when'"),
        (Float(0, 1), {"prior": 0.5}, "prior must be {center = …, spread = …}, not 0.5"),
        (Float(0, 1), {"prior": {"center": 0.5}}, "the prior {'center': 0.5} lacks 'spread'"),
        (
            Float(0, 1),
            {"prior": {"centre": 0.5}},
            "a prior has no key 'centre'; did you mean 'center'",
        ),
        (Float(0, 1), {"prior": {"center": 2, "spread": 1}}, "prior: center 2.0 lies outside"),
        (
            Float(0, 1),
            {"high": 0.5, "prior": {"center": 0.7, "spread": 1}},
            r"outside \[0.0, 0.5\]",
        ),
        (Float(1, 9, log=True), {"prior": {"center": 2, "spread": 0.5}}, "a factor above 1"),
        (Int(0, 8), {"prior": {"center": 2.5, "spread": 1}}, "must be a whole number, not 2.5"),
        (
            OneOf(("a", "b")),
            {"prior": {"center": 0, "spread": 1}},
            "has no range, only the choices",
        ),
        (OneOf((16, 32)), {"prior": {"center": 16, "spread": 2}}, "lacks 'low'"),
        (Int(0, 8), 0.5, "0.5 is not a whole number"),
        (Int(0, 8), [1, 2.0], "2.0 is not a whole number"),
        (Int(0, 8), "8", "'8' is not a number"),
        (Int(0, 8), {"high": 8.5}, "high must be a whole number, not 8.5"),
        (Int(0, 8, step=2), {"high": 9}, "do not arrive at high 9"),
        (OneOf(("a", "b")), "c", r"'c' is not among the choices \['a', 'b'\]"),
        (OneOf(("a", "b")), ["a", 1], "1 is not among the choices"),
        (OneOf((16, 32)), 0.5, "0.5 is not a whole number"),
        (OneOf((16, 32)), {"low": 0, "high": 1, "step": 0.5}, "step must be a whole number"),
        (OneOf((True, False)), 1, "1 is not among the choices"),
        (OneOf(("a", "b")), {"low": 0, "high": 1}, "has no range, only the choices"),
        (OneOf((1, 2)), {"low": 0}, "lacks 'high'"),
        (OneOf((1, 2)), {"low": 0, "top": 1}, "no key 'top'; allowed"),
    ],
)
def test_an_override_that_cannot_be_meant_is_refused_with_its_reason(param, override, message):
    with pytest.raises(ParamError, match=message):
        overridden(param, override)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (32, OneOf((32,))),
        ("x", OneOf(("x",))),
        ([16, 32], OneOf((16, 32))),
        ({"low": 8, "high": 64, "log": True}, Int(8, 64, log=True)),
        ({"low": 8, "high": 64, "step": 8, "default": 16}, Int(8, 64, step=8, default=16)),
        ({"low": 0, "high": 1, "step": 0.25}, Float(0, 1, step=0.25)),
        ({"low": 0, "high": 1, "default": 0.3}, Float(0, 1, default=0.3)),
        ({"low": 0, "high": 1.5}, Float(0, 1.5)),
        (
            {"low": 8, "high": 64, "prior": {"center": 32, "spread": 7.5}},
            Int(8, 64, prior=Prior(32, 7.5)),
        ),
    ],
)
def test_a_range_alone_is_read_from_a_value_a_list_or_a_table(data, expected):
    assert parse_range(data) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "None is no value"),
        (date(2024, 1, 1), "is no value, no list of values and no range"),
        ({"low": 1}, "lacks 'high'"),
        ({"low": 1, "high": "2"}, "high must be a number, not '2'"),
        ({"prior": {"center": 1, "spread": 2}}, "lacks 'low'"),
        ({"low": 1, "high": 2, "pior": {}}, "no key 'pior'; did you mean 'prior'"),
        ({"low": 1, "high": 2, "lgo": True}, "no key 'lgo'; did you mean 'log'"),
        ([], "choices must not be empty"),
        ([{"low": 1}], "a choice must be a number"),
    ],
)
def test_what_is_no_range_is_refused_with_its_reason(data, message):
    with pytest.raises(ParamError, match=message):
        parse_range(data)
