"""Fixture plugins of the kit's tests, and what the kit says of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from automl_opt.plugin.catalog import Component
from automl_opt.plugin.host import Host
from automl_opt.testing import Outcome, run_checks

WRONG = Path(__file__).parent / "wrong"
"""The folder of the module ``wrong_components``."""


def component_named(host: Host, name: str) -> Component:
    (found,) = [c for c in host.catalog.components() if c.spec.name == name]
    return found


def outcomes(host: Host, name: str, checks: Iterable[str] | None = None) -> dict[str, Outcome]:
    """What the kit finds of the component called *name*, by check."""
    component = component_named(host, name)
    return {outcome.check: outcome for outcome in run_checks(component, host.catalog, checks)}


def failed(host: Host, name: str) -> dict[str, str]:
    """The checks that the component called *name* fails, and their messages."""
    return {
        check: outcome.message
        for check, outcome in outcomes(host, name).items()
        if outcome.status == "failed"
    }
