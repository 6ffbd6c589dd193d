"""What needs no training, no search and no database starts without their libraries."""

from __future__ import annotations

import shutil
import sys

import pytest

from .shell import STUDY, command, write_study

PROGRAM = """
import sys

from automl_opt.cli.main import main

try:
    main(sys.argv[1:])
finally:
    whole = {"torch._dynamo"} & sys.modules.keys()
    print(*sorted({name.partition(".")[0] for name in sys.modules} | whole), file=sys.stderr)
"""
TORCH = {"torch", "numpy", "sklearn"}
SQL = {"sqlalchemy", "alembic"}
HEAVY = {"optuna", *TORCH, *SQL}


def imported(*arguments: str, folder) -> set[str]:
    done = command([sys.executable, "-c", PROGRAM, *arguments], folder)
    modules = set(done.err.splitlines()[-1].split())
    assert "click" in modules, done.err
    return modules


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--help",),
        ("--version",),
        ("run", "--help"),
        ("status", "--help"),
        ("report", "--help"),
        ("select", "--help"),
        ("compare", "--help"),
        ("export", "--help"),
        ("replay", "--help"),
        ("db", "--help"),
        ("plugins", "list"),
        ("plugins", "list", "--json"),
        ("plugins", "show", "adamw"),
        ("plugins", "list", "--no-plugins"),
        ("plugins", "show", "tpe"),
        ("plugins", "show", "sam(adamw)"),
        ("plugins", "check", "--help"),
        ("plugins", "check", "no_such_plugin"),
        ("plugins", "new", "--help"),
        ("plugins", "new", "acme", "--kind", "optimizer"),
    ],
    ids=" ".join,
)
def test_no_heavy_library_is_imported_by(arguments, tmp_path):
    assert imported(*arguments, folder=tmp_path) & HEAVY == set()


@pytest.mark.parametrize(
    "wrong",
    [("epochs = 2", "epochs = 0"), ('"adamw"', '"adamv"'), ('"random"', '"randon"')],
    ids=["key", "component", "strategy"],
)
def test_a_study_file_is_checked_before_any_heavy_library_is_imported(wrong, tmp_path):
    write_study(tmp_path, STUDY.replace(*wrong))

    assert imported("run", ".", folder=tmp_path) & HEAVY == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "."),
        ("status", "."),
        ("db", "check", "--storage", "sqlite:///automl_opt.db"),
        ("run", ".", "--storage", "sqlite:///no/where.db"),
    ],
    ids=" ".join,
)
def test_what_only_reads_a_database_imports_neither_torch_nor_optuna(arguments, finished):
    modules = imported(*arguments, folder=finished)

    assert "sqlalchemy" in modules
    assert modules & {"optuna", "alembic", *TORCH} == set()


@pytest.mark.parametrize(
    "arguments", [("select", "."), ("export", ".", "-o", "-"), ("report", ".", "-o", "r.md")]
)
def test_what_judges_and_writes_trains_nothing_and_imports_no_torch(arguments, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "copy")

    modules = imported(*arguments, folder=folder)

    assert "scipy" in modules
    assert "torch" not in modules


def test_a_run_does_without_the_compiler_of_torch(tmp_path):
    """It takes longer to import than torch itself; here, a checkpoint is written and read."""
    write_study(tmp_path)

    for limit in (("--set", "search.time_limit=0.001"), ()):
        modules = imported("run", ".", *limit, folder=tmp_path)

        assert {"torch", "optuna", "sqlalchemy"} <= modules
        assert "torch._dynamo" not in modules
