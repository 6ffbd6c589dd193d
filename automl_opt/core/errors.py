"""The errors a user can act on: each message names the place, the value, and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AutomlOptError(Exception):
    """Something the user can mend. Shown without a traceback; the command line exits with 2."""


class SpecError(AutomlOptError):
    """A study file, or a setting given in its place, cannot be read as a study."""


class ParamError(AutomlOptError, ValueError):
    """A range that no value can satisfy, or a value outside its range."""


class UnknownComponent(AutomlOptError, LookupError):
    """No plugin that loaded offers a component of this name, or more than one does."""


class PluginError(AutomlOptError):
    """A plugin or one of its components does not keep the contract of :mod:`automl_opt.api`."""


class TaskError(AutomlOptError):
    """A task cannot be loaded, or its model, data and loss do not fit each other."""


class StoreError(AutomlOptError):
    """A database cannot be opened, is too new, or is in use by another process."""


class StudyChanged(AutomlOptError):
    """The study file no longer describes the study that the database holds."""


def did_you_mean(name: str, allowed: Iterable[str], *, show: int = 12) -> str:
    """The tail of a message about an unknown *name*: the nearest right one and what is allowed."""
    names = sorted(set(allowed))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not near:  # 'builtin.adamw' is near to 'adamv', though the letters before the dot say no
        tails = {known.rpartition(".")[2]: known for known in names}
        near = [tails[tail] for tail in difflib.get_close_matches(name, tails, n=1, cutoff=0.6)]
    listed = ", ".join(names[:show]) + (f", … ({len(names)} in all)" if len(names) > show else "")
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}allowed: {listed or 'nothing'}"
