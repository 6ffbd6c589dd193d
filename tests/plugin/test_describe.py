from __future__ import annotations

import json

import pytest

from automl_opt.api import Float, Int, OneOf, Prior
from automl_opt.core.params import from_dict
from automl_opt.plugin.describe import (
    PLURALS,
    component_data,
    count_text,
    facts,
    host_data,
    range_text,
    written,
)


@pytest.mark.parametrize(
    ("param", "text"),
    [
        (Float(1e-5, 0.1, log=True, default=1e-3), "1e-05 … 0.1, log, default 0.001"),
        (Float(0, 1, step=0.25), "0 … 1, step 0.25, default 0.5"),
        (Float(0, 4, step=1), "0 … 4, step 1, default 2.0"),
        (Int(1, 9), "1 … 9, default 5"),
        (Int(1, 9, prior=Prior(7, 2)), "1 … 9, default 7, prior 7 ± 2"),
        (
            Float(1e-5, 0.1, log=True, prior=Prior(1e-3, 3)),
            "1e-05 … 0.1, log, default 0.001, prior 0.001 ×÷ 3",
        ),
        (Int(0, 12345678, step=2), "0 … 12345678, step 2, default 6172838"),
        (OneOf(("a", None), default="a"), "'a' | None, default 'a'"),
        (
            Float(0, 1, when=("mode", ("a", "b"))),
            "0 … 1, default 0.5, when mode is 'a' or 'b'",
        ),
    ],
)
def test_a_range_is_told_on_one_line(param, text):
    assert range_text(param) == text


def test_a_component_is_told_with_all_it_declares(installed):
    component = installed.add("healthy").host().catalog.find("optimizer", "lion")

    data = component_data(component)
    params = data.pop("params")

    assert data == {
        "id": "acme.lion",
        "kind": "optimizer",
        "summary": "the sign of an interpolated momentum",
        "paper": "arXiv:2302.06675",
        "version": 1,
        "wraps": False,
        "generalises": {},
        "expected_failures": {},
        "decay": None,
        "hooks": [],
        "plugin": "acme",
        "distribution": "acme-optimizers",
        "distribution_version": "1.2.0",
    }
    assert {name: from_dict(param) for name, param in params.items()} == component.spec.params


def test_a_host_is_told_with_its_failures_and_shared_names(installed):
    host = installed.add("healthy", "sharing", "broken").host()

    data = json.loads(json.dumps(host_data(host)))

    assert [(p["name"], p["status"], p["components"]) for p in data["plugins"]] == [
        ("acme", "loaded", 3),
        ("broken", "failed", 0),
        ("umbrella", "loaded", 2),
    ]
    assert [p["reason"] for p in data["plugins"]] == [
        None,
        "import failed: ModuleNotFoundError: No module named 'apex'",
        None,
    ]
    assert [c["id"] for c in data["components"]] == [
        "acme.lbfgs",
        "acme.lion",
        "acme.radam",
        "umbrella.adamw",
        "umbrella.lion",
    ]
    assert data["counts"] == {
        "optimizer": 5,
        "scheduler": 0,
        "regularizer": 0,
        "initializer": 0,
        "strategy": 0,
        "pruner": 0,
    }
    assert data["shared_names"] == [
        {"kind": "optimizer", "name": "lion", "ids": ["acme.lion", "umbrella.lion"]}
    ]


def test_several_of_a_kind_are_called_by_the_plural_of_their_hook():
    assert [count_text(kind, 2) for kind in PLURALS] == [
        "2 optimizers",
        "2 schedulers",
        "2 regularizers",
        "2 initializers",
        "2 strategies",
        "2 pruners",
    ]
    assert [count_text("strategy", count) for count in (0, 1)] == ["0 strategies", "1 strategy"]


WRAPPING = """
from automl_opt.api import Float, OptimizerSpec, hookimpl


def wrap(optimizer, *, rho):
    return optimizer


@hookimpl
def automl_opt_optimizers():
    yield OptimizerSpec(name="around", wrap=wrap, params={"rho": Float(0, 1)})
    yield OptimizerSpec(
        name="plain",
        torch="torch.optim:SGD",
        params={"lr": Float(0.1, 1), "momentum": Float(0, 0.9)},
        generalises={"sgd": {"momentum": 0.0}, "gd": {}},
        expected_failures={"twin": "there is no other", "pure": "it keeps a diary"},
    )
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain", "some.plain"),
        ("around", "some.around(…)"),
        ("around(plain)", "some.around(some.plain)"),
    ],
)
def test_a_wrapper_is_written_as_a_study_names_it(installed, name, text):
    catalog = installed.write("some", WRAPPING).host().catalog

    assert written(catalog.find("optimizer", name)) == text


def test_what_a_component_declares_is_told_line_by_line(installed):
    catalog = installed.write("some", WRAPPING).host().catalog

    assert facts(catalog.find("optimizer", "plain"))[3:] == [
        ("generalises", "sgd, at momentum = 0.0"),
        ("generalises", "gd"),
        ("expected failure", "twin: there is no other"),
        ("expected failure", "pure: it keeps a diary"),
    ]
    assert facts(catalog.find("optimizer", "around"))[3:] == [("wraps", "another optimizer")]
