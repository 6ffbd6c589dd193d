"""The kit: all checks, those that a component's declarations call for, and their outcomes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from automl_opt.core.errors import did_you_mean
from automl_opt.plugin.catalog import Catalog, Component
from automl_opt.testing import (
    common,
    initializers,
    optimizers,
    pruners,
    regularizers,
    schedulers,
    strategies,
)
from automl_opt.testing.check import Check, CheckFailed, Outcome
from automl_opt.testing.raised import raised
from automl_opt.training.randomness import seeded

CHECKS: tuple[Check, ...] = (
    *common.CHECKS,
    *optimizers.CHECKS,
    *schedulers.CHECKS,
    *regularizers.CHECKS,
    *initializers.CHECKS,
    *strategies.CHECKS,
    *pruners.CHECKS,
)


def checks_of(component: Component) -> tuple[Check, ...]:
    """The checks that have something to ask of *component*."""
    return tuple(
        check for check in CHECKS if component.kind in check.kinds and check.applies(component)
    )


def run_checks(
    component: Component, catalog: Catalog, names: Iterable[str] | None = None
) -> list[Outcome]:
    """Put every check that applies to *component*, and judge its declared expected failures.

    Args:
        catalog: where it finds other components.
        names: only the checks of these names; those that do not apply are passed over.

    Raises:
        ValueError: one of *names* is no check at all.
    """
    chosen = None if names is None else tuple(names)
    known = {check.name for check in CHECKS}
    for name in chosen or ():
        if name not in known and name not in component.spec.expected_failures:
            raise ValueError(f"there is no check {name!r}; {did_you_mean(name, known)}")
    outcomes = [
        _outcome(check, component, catalog)
        for check in checks_of(component)
        if chosen is None or check.name in chosen
    ]
    unknown = (name for name in unknown_declarations(component) if chosen is None or name in chosen)
    return [*outcomes, *(_never_asked(name, component) for name in unknown)]


def unknown_declarations(component: Component) -> list[str]:
    """Declared expected failures that name no check of the component."""
    asked = {check.name for check in checks_of(component)}
    return [name for name in component.spec.expected_failures if name not in asked]


def _outcome(check: Check, component: Component, catalog: Catalog) -> Outcome:
    message = _failure(check, component, catalog)
    reasons = [link.spec.expected_failures.get(check.name) for link in component.chain]
    if message and any(reasons):  # what a wrapper wraps may be why it fails, and need not be
        return Outcome(component.name, check.name, "expected", next(filter(None, reasons)))
    reason = reasons[0]
    if message or reason is None:
        return Outcome(component.name, check.name, "failed" if message else "passed", message)
    return Outcome(
        component.name,
        check.name,
        "failed",
        f"it is expected to fail ({reason}), but passes: delete {check.name!r} from "
        "expected_failures",
    )


def _failure(check: Check, component: Component, catalog: Catalog) -> str:
    """Why *component* does not pass; empty if it does."""
    try:
        with warnings.catch_warnings(), seeded("conformance", component.id, check.name):
            warnings.simplefilter("ignore")  # the component's answers count, not its remarks
            check.run(component, catalog)
    except CheckFailed as failure:
        return str(failure)
    except (Exception, SystemExit) as error:  # a component may raise anything, exit() too
        return raised(error)
    return ""


def _never_asked(name: str, component: Component) -> Outcome:
    asked = [check.name for check in checks_of(component)]
    of_kind = {check.name for check in CHECKS if component.kind in check.kinds}
    why = (
        f"expects {name!r} to fail, which has nothing to ask of it"
        if name in of_kind
        else f"expects {name!r} to fail, which is no check of {component.kind}s"
    )
    message = f"{why}: mend or delete the declaration; {did_you_mean(name, asked, show=20)}"
    return Outcome(component.name, name, "failed", message)
