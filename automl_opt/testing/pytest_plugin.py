"""The pytest plugin: every check of every component of a plugin as a test of its own.

``test_conformance = conformance("acme")`` in a test file gives test ids like
``acme.signum-quadratic``. An expected failure shows as xfailed, its reason at the end of the run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from automl_opt.core.errors import AutomlOptError
from automl_opt.plugin.catalog import Component
from automl_opt.plugin.host import Host, load_host

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

EXPECTED = "automl_opt_expected"
"""The property of a report that says why a component cannot pass a check."""


def conformance(plugin: str) -> Callable[..., None]:
    """A test function that is run once for every check of every component of *plugin*.

    Args:
        plugin: the name of its entry point in the group ``automl_opt``; it must be installed.
    """

    def test_conformance(
        automl_opt_component: Component,
        automl_opt_check: str,
        automl_opt_host: Host,
        record_property: Callable[[str, object], None],
    ) -> None:
        __tracebackhide__ = True
        from automl_opt.testing.kit import run_checks

        outcomes = run_checks(automl_opt_component, automl_opt_host.catalog, [automl_opt_check])
        for outcome in outcomes:
            if outcome.status == "failed":
                pytest.fail(
                    f"{outcome.component}, check {outcome.check}: {outcome.message}", pytrace=False
                )
            if outcome.status == "expected":
                record_property(EXPECTED, f"{outcome.component}-{outcome.check}: {outcome.message}")
                pytest.xfail(outcome.message)

    test_conformance.automl_opt_plugin = plugin  # type: ignore[attr-defined]
    return test_conformance


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    plugin = getattr(metafunc.function, "automl_opt_plugin", None)
    if plugin is None:
        return
    from automl_opt.testing.kit import checks_of, unknown_declarations  # here: it imports torch

    host = _host(plugin)
    cases = [
        pytest.param(host, component, name, id=f"{component.id}-{name}")
        for component in _offered(host, plugin)
        for name in [*(c.name for c in checks_of(component)), *unknown_declarations(component)]
    ]
    metafunc.parametrize(("automl_opt_host", "automl_opt_component", "automl_opt_check"), cases)


def _host(plugin: str) -> Host:
    """What ships with automl-opt and *plugin*, whatever else is installed."""
    try:
        return load_host(allow=[plugin])
    except AutomlOptError as error:
        raise pytest.UsageError(str(error)) from error


def _offered(host: Host, plugin: str) -> tuple[Component, ...]:
    found = [info for info in host.plugins if info.name == plugin]
    if not found:
        raise pytest.UsageError(
            f"conformance({plugin!r}): no plugin of this name is installed; it has "
            f"{', '.join(sorted(info.name for info in host.plugins))}. Is the entry point "
            f"'{plugin} = \"your_module\"' in pyproject.toml, and the distribution installed "
            "(pip install -e .)?"
        )
    if found[0].status != "loaded":
        raise pytest.UsageError(f"conformance({plugin!r}): {found[0].reason}")
    return found[0].components


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Show each expected failure with its reason; pytest shows the number alone."""
    said: list[Any] = [
        value
        for report in terminalreporter.stats.get("xfailed", [])
        for name, value in report.user_properties
        if name == EXPECTED
    ]
    if said:
        terminalreporter.section("expected failures of automl_opt components")
        for line in said:
            terminalreporter.line(line)
