"""A study that has been run, by the command line as a user starts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .shell import automl_opt, write_study


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study and its database, the budget spent. Copy it before you change it."""
    folder = write_study(tmp_path_factory.mktemp("finished"))
    done = automl_opt("run", ".", folder=folder)
    assert done.code == 0, done.err
    return folder
