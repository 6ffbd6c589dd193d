"""What must stay light is imported in a Python of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "optuna", "sqlalchemy", "alembic", "numpy", "sklearn", "rich")


@pytest.mark.parametrize(
    "statement",
    [
        "import automl_opt",
        "import automl_opt.api",
        "from automl_opt.core import errors, params, recipe, result, seeds, space, spec",
        "import automl_opt.plugin.host",
        "import automl_opt.plugin.describe",
    ],
)
def test_it_imports_no_heavy_library(statement):
    program = f"import sys\n{statement}\nprint(*sorted(set(sys.modules) & set({HEAVY!r})))"

    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (run.returncode, run.stdout.strip()) == (0, ""), run.stderr


def test_listing_plugins_and_their_components_imports_no_heavy_library(installed):
    environment = installed.add("healthy", "broken", "sharing").environment()
    program = (
        "import json, sys\n"
        "from automl_opt.plugin.describe import host_data\n"
        "from automl_opt.plugin.host import load_host\n"
        "json.dumps(host_data(load_host()))\n"
        f"print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    )

    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )

    assert (run.returncode, run.stdout.strip()) == (0, ""), run.stderr
