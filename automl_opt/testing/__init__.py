"""Floor 5: the conformance kit, the same small checks for pytest and for ``plugins check``.

A plugin's whole test file::

    from automl_opt.testing import conformance

    test_conformance = conformance("acme")  # the entry point's name

The names load what they need on first use: importing this package imports neither torch nor pytest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from automl_opt.testing.check import Check, CheckFailed, Outcome
    from automl_opt.testing.kit import CHECKS, checks_of, run_checks
    from automl_opt.testing.pytest_plugin import conformance

_HOME = {
    "Check": "check",
    "CheckFailed": "check",
    "Outcome": "check",
    "CHECKS": "kit",
    "checks_of": "kit",
    "run_checks": "kit",
    "conformance": "pytest_plugin",
}

__all__ = [
    "CHECKS",
    "Check",
    "CheckFailed",
    "Outcome",
    "checks_of",
    "conformance",
    "run_checks",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
