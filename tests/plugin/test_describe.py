from __future__ import annotations

import json

import pytest

from automl_opt.api import Float, Int, OneOf
from automl_opt.core.params import from_dict
from automl_opt.plugin.describe import component_data, host_data, range_text


@pytest.mark.parametrize(
    ("param", "text"),
    [
        (Float(1e-5, 0.1, log=True, default=1e-3), "1e-05 … 0.1, log, default 0.001"),
        (Float(0, 1, step=0.25), "0 … 1, step 0.25, default 0.5"),
        (Float(0, 4, step=1), "0 … 4, step 1, default 2.0"),
        (Int(1, 9), "1 … 9, default 5"),
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
    assert data["shared_names"] == [
        {"kind": "optimizer", "name": "lion", "ids": ["acme.lion", "umbrella.lion"]}
    ]
