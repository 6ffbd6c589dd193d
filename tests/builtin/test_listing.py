"""The catalogue of built-in components as a whole."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from automl_opt.api.component import is_code
from automl_opt.plugin.host import OFFERS, load_host

HOST = load_host(allow=())
COMPONENTS = HOST.catalog.components()


def test_every_built_in_plugin_loads():
    assert [(p.name, p.status, p.reason) for p in HOST.plugins if p.status == "failed"] == []


@pytest.mark.parametrize("kind", sorted(OFFERS.values()))
def test_every_kind_has_a_built_in_component(kind):
    assert HOST.catalog.components(kind)


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: f"{c.kind} {c.id}")
def test_a_component_says_what_it_does_and_where_it_is_from(component):
    assert component.spec.summary
    assert component.spec.paper
    assert importlib.import_module(component.module).__doc__


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: f"{c.kind} {c.id}")
def test_a_component_that_has_an_independent_twin_can_build_it(component):
    twin = getattr(component.spec, "twin", None)

    assert twin is None or is_code(twin)


def test_listing_every_component_imports_no_heavy_library():
    program = """
import sys
from automl_opt.plugin.host import load_host

assert load_host(allow=()).catalog.components()
heavy = {"torch", "optuna", "sqlalchemy", "alembic", "numpy", "scipy", "sklearn"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
