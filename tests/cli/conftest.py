"""A study that has been run, and the plugins a process sees, as a user has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .shell import QUIET, automl_opt, write_study


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study and its database, the budget spent. Copy it before you change it."""
    folder = write_study(tmp_path_factory.mktemp("finished"))
    done = automl_opt("run", ".", folder=folder)
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def seeing(installed) -> Callable[[], dict[str, str]]:
    """The environment in which a process sees the installed fixture plugins."""
    return lambda: {**QUIET, **installed.environment()}
