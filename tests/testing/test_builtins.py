"""Every component that ships with automl-opt passes the kit it would put to a stranger's."""

from __future__ import annotations

import pytest

from automl_opt.plugin.host import load_host
from automl_opt.testing import checks_of, run_checks
from automl_opt.testing.kit import unknown_declarations

CATALOG = load_host(allow=()).catalog
CASES = [
    (component, name)
    for component in CATALOG.components()
    for name in [*(c.name for c in checks_of(component)), *unknown_declarations(component)]
]


@pytest.mark.parametrize(
    ("component", "check"), CASES, ids=[f"{c.kind}-{c.id}-{name}" for c, name in CASES]
)
def test_a_built_in_passes_or_says_why_it_cannot(component, check):
    (outcome,) = run_checks(component, CATALOG, [check])

    if outcome.status == "expected":
        pytest.xfail(outcome.message)
    assert outcome.status == "passed", outcome.message
