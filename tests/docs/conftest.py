"""Somebody who reads our pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .page import Reader

ROOT = Path(__file__).parents[2]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """With an empty folder, but for our studies."""
    shutil.copytree(ROOT / "studies", tmp_path / "studies")
    reader = Reader(tmp_path, monkeypatch)
    yield reader
    reader.leave()


@pytest.fixture(scope="module")
def with_a_study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """One who has run studies/digits there, briefly."""
    folder = tmp_path_factory.mktemp("study")
    shutil.copytree(ROOT / "studies", folder / "studies")
    with pytest.MonkeyPatch.context() as monkeypatch:
        reader = Reader(folder, monkeypatch)
        reader.give("automl-opt run studies/digits --trials 1 --set training.epochs=1")
        yield reader
        reader.leave()
