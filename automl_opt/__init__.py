"""Which optimizer, schedule and regularization should train my model, and how sure are you?

The public names load what they need on first use: importing this package imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from automl_opt.core.errors import AutomlOptError
    from automl_opt.core.params import Float, Int, OneOf, Prior
    from automl_opt.core.recipe import Recipe
    from automl_opt.core.spec import StudySpec, load_study
    from automl_opt.plugin.host import load_host
    from automl_opt.store import Store
    from automl_opt.study.entry import bind, confirm_study, run_study, sampler, search_space
    from automl_opt.training.task import Metric, Task

_HOME = {
    "AutomlOptError": "core.errors",
    "Float": "core.params",
    "Int": "core.params",
    "OneOf": "core.params",
    "Prior": "core.params",
    "Recipe": "core.recipe",
    "StudySpec": "core.spec",
    "load_study": "core.spec",
    "load_host": "plugin.host",
    "Store": "store",
    "bind": "study.entry",
    "confirm_study": "study.entry",
    "run_study": "study.entry",
    "sampler": "study.entry",
    "search_space": "study.entry",
    "Metric": "training.task",
    "Task": "training.task",
}

__all__ = [
    "AutomlOptError",
    "Float",
    "Int",
    "Metric",
    "OneOf",
    "Prior",
    "Recipe",
    "Store",
    "StudySpec",
    "Task",
    "bind",
    "confirm_study",
    "load_host",
    "load_study",
    "run_study",
    "sampler",
    "search_space",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
