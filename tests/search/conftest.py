from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import optuna
import pytest
from optuna.storages import RDBStorage

from automl_opt.core.spec import StudySpec
from automl_opt.search.arms import Arms, open_arms, storage_at
from automl_opt.search.space import arms_of
from automl_opt.store.engine import tune

from .examples import MODEL


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


@pytest.fixture
def open_storage(url) -> Iterator[Callable[[], RDBStorage]]:
    """Opens the same database again and again: each storage stands for a process."""
    with ExitStack() as stack:

        def open_one() -> RDBStorage:
            storage = stack.enter_context(storage_at(url))
            tune(storage.engine)
            return storage

        yield open_one


@pytest.fixture
def open_one(open_storage, catalog) -> Callable[[StudySpec], Arms]:
    """The arms of a study, as a process that has just started finds them."""

    def open_one(spec: StudySpec) -> Arms:
        return open_arms(spec, catalog, open_storage(), arms_of(spec, catalog, MODEL))

    return open_one


@pytest.fixture
def load(open_storage) -> Callable[[str], optuna.Study]:
    """A study of the database, as plain Optuna sees it."""
    return lambda name: optuna.load_study(study_name=name, storage=open_storage())
