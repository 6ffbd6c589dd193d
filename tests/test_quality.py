"""The house rules that a machine can check."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["lint-imports"],
    ],
    ids=" ".join,
)
def test_the_repository_passes(command):
    program = BIN / command[0]

    run = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True)

    assert run.returncode == 0, f"{' '.join(command)}\n{run.stdout}{run.stderr}"


FOR_STRANGERS = {"automl_opt", "automl_opt.api", "automl_opt.testing"}


def test_plugins_and_studies_import_nothing_deeper_than_the_public_packages():
    files = [file for folder in ("plugins", "studies", "tests/plugins") for file in found(folder)]

    deeper = {
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files
        for module in imported(file)
        if module.partition(".")[0] == "automl_opt" and module not in FOR_STRANGERS
    }

    assert len(files) > 5
    assert deeper == set()


def found(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(file: Path) -> list[str]:
    modules = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.append(node.module)
    return modules
