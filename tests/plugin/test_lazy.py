from __future__ import annotations

import math
import os.path

import pytest

from automl_opt.core.errors import PluginError
from automl_opt.plugin.lazy import resolve


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (math.sqrt, math.sqrt),
        ("math:sqrt", math.sqrt),
        ("os.path:join", os.path.join),
        ("builtins:dict.fromkeys", dict.fromkeys),
    ],
)
def test_code_is_itself_or_what_its_path_names(code, found):
    assert resolve(code, "optimizer acme.lion") == found


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("no_such_module:x", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("math:no_such_name", "AttributeError: module 'math' has no attribute 'no_such_name'"),
        ("quits_plugin:x", "SystemExit: 3"),
        ("fails_plugin:x", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_path_that_leads_nowhere_is_an_error_that_names_its_owner(installed, code, reason):
    installed.write("quits", "raise SystemExit(3)").write("fails", "1 / 0")

    with pytest.raises(PluginError) as caught:
        resolve(code, "optimizer acme.lion (acme 1.0)")

    assert str(caught.value) == (
        f"optimizer acme.lion (acme 1.0): {code!r} cannot be loaded ({reason}); install what it "
        "needs, or leave it out of the study"
    )
