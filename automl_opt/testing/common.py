"""Checks of every kind of component: its source, imports, ranges, and what it generalises."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import os
import re
import subprocess
import sys

from automl_opt.api import PROJECT
from automl_opt.core.errors import UnknownComponent
from automl_opt.plugin.catalog import SPEC_OF_KIND, Catalog, Component
from automl_opt.testing import (
    initializers,
    optimizers,
    pruners,
    regularizers,
    schedulers,
    strategies,
)
from automl_opt.testing.check import Check, CheckFailed, fail, need
from automl_opt.testing.comparing import near
from automl_opt.testing.raised import raised
from automl_opt.testing.values import at_the_ends, draw, settled, text

KINDS = tuple(SPEC_OF_KIND)

HEAVY = ("torch", "optuna", "numpy", "scipy", "pandas", "sklearn", "sqlalchemy")

A_SOURCE = re.compile(r"arxiv|doi|https?:|www\.|\b(1[6-9]|20)\d\d\b", re.IGNORECASE)

TRIED = {
    "optimizer": optimizers.try_once,
    "scheduler": schedulers.try_once,
    "regularizer": regularizers.try_once,
    "initializer": initializers.try_once,
    "strategy": strategies.try_once,
    "pruner": pruners.try_once,
}

BEHAVIOUR = {
    "optimizer": optimizers.behaviour,
    "scheduler": schedulers.behaviour,
    "regularizer": regularizers.behaviour,
    "initializer": initializers.behaviour,
    "strategy": strategies.behaviour,
    "pruner": pruners.behaviour,
}


def check_source(component: Component, catalog: Catalog) -> None:
    """The formula has a source: name it in ``paper``, or in the docstring of the module."""
    if component.spec.paper.strip():
        return
    try:
        docstring = importlib.import_module(component.module).__doc__ or ""
    except ImportError:
        docstring = ""
    need(
        A_SOURCE.search(docstring) is not None,
        f"no source is named: give {type(component.spec).__name__}(paper=…), or a year, arXiv "
        f"number, DOI or address in the docstring of {component.module}",
    )


def check_light_import(component: Component, catalog: Catalog) -> None:
    """Loading the plugin imports no torch, Optuna or NumPy: import them inside the functions."""
    known = importlib.metadata.entry_points(group=PROJECT, name=component.plugin)
    module = None if known else component.module
    heavy = _heavy_imports(component.plugin, module, tuple(sys.path))
    need(
        not heavy,
        f"loading plugin {component.plugin!r} imports {', '.join(heavy)}, which slows every "
        "command line: import inside the functions that need it, and under TYPE_CHECKING for "
        "annotations",
    )


@functools.cache
def _heavy_imports(plugin: str, module: str | None, path: tuple[str, ...]) -> tuple[str, ...]:
    """What a Python of its own has imported once it has loaded *plugin* and asked what it offers.

    Args:
        module: imported instead, where there is no such entry point: a component made by hand.
    """
    load = (
        "from importlib.metadata import entry_points\n"
        "from automl_opt.plugin.host import load_host\n"
        f"load_host(entry_points(group={PROJECT!r}, name={plugin!r}), allow=[{plugin!r}])"
        if module is None
        else f"import {module}"
    )
    program = f"import sys\n{load}\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
    )
    if run.returncode:
        said = (run.stderr.strip().splitlines() or [f"exit status {run.returncode}"])[-1]
        fail(f"a new Python cannot load plugin {plugin!r}: {said}")
    return tuple(run.stdout.split())


def check_ranges(component: Component, catalog: Catalog) -> None:
    """Both ends of every range work, and the defaults: narrow a range that reaches too far."""
    for what, values in at_the_ends(component.spec):
        try:
            TRIED[component.kind](component, catalog, values)
        except CheckFailed as failure:
            raise CheckFailed(f"with {what} {failure}: narrow its range in params") from failure
        except Exception as error:  # the component's own code
            fail(f"with {what} it {raised(error)}: narrow its range in params")


def check_generalises(component: Component, catalog: Catalog) -> None:
    """At the values it declares it does what the other does: mend the formula or the values."""
    spec, behaviour = component.spec, BEHAVIOUR[component.kind]
    for name, pinned in spec.generalises.items():
        try:
            other = catalog.find(component.kind, name)
        except UnknownComponent as error:
            fail(f"generalises names {name!r}: {error}")
        for seed in range(3):
            values = settled(spec, draw(spec, seed) | dict(pinned))
            shared = {key: values[key] for key in other.spec.params if key in values}
            theirs = settled(other.spec, shared)
            need(
                near(
                    behaviour(component, catalog, values),
                    behaviour(other, catalog, theirs),
                ),
                f"at {text(values)} it does not do what {other.id} does at {text(theirs)}: mend "
                "the formula, or what generalises declares",
            )


CHECKS = (
    Check("source", KINDS, check_source),
    Check("light_import", KINDS, check_light_import),
    Check("ranges", KINDS, check_ranges),
    Check("generalises", KINDS, check_generalises, lambda c: bool(c.spec.generalises)),
)
