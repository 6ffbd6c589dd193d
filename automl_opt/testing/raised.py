"""What a component raised, in the words of a message about it."""

from __future__ import annotations

from automl_opt.core.errors import AutomlOptError
from automl_opt.training.task import where

ADVICE = "; see 'automl-opt plugins check"


def raised(error: BaseException) -> str:
    """``raised TypeError: … (file.py:12)``: what the component raised, not what was made of it."""
    if not isinstance(error, AutomlOptError):
        return f"raised {where(error)}"
    if error.__cause__ is not None:
        return f"raised {where(error.__cause__)}"
    return f"raised {type(error).__name__}: {str(error).partition(ADVICE)[0]}"
