"""What the tests of the built-in components share: values drawn from a component's own ranges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest

from automl_opt.api import ComponentSpec
from automl_opt.core.space import Entry, SearchSpace


def _draw(spec: ComponentSpec, sample: int) -> dict[str, Any]:
    space = SearchSpace(
        tuple(
            Entry(name, param, () if param.when is None else (param.when,))
            for name, param in spec.params.items()
        )
    )
    if sample == 0:
        return space.defaults()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=sample))
    return space.suggest_values(study.ask())


@pytest.fixture(scope="session")
def draw() -> Callable[[ComponentSpec, int], dict[str, Any]]:
    """``draw(spec, 0)`` has the defaults, ``draw(spec, n)`` the n-th random draw."""
    return _draw
