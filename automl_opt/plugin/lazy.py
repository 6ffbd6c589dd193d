"""Dotted paths, resolved on first use."""

from __future__ import annotations

import importlib
from typing import Any

from automl_opt.api.component import Code
from automl_opt.core.errors import PluginError


def resolve(code: Code, owner: str) -> Any:
    """The object that *code* is or names.

    Args:
        owner: who declared it, for the message.

    Raises:
        PluginError: the module does not import, or has no such name.
    """
    if not isinstance(code, str):
        return code
    module_name, _, path = code.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for name in path.split("."):
            found = getattr(found, name)
    except (Exception, SystemExit) as error:  # a plugin's import may raise anything
        raise PluginError(
            f"{owner}: {code!r} cannot be loaded ({_why(error)}); install what it needs, or leave "
            "it out of the study"
        ) from error
    return found


def _why(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
