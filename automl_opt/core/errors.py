"""The errors a user can act on: each message names the place, the value, and what is allowed."""

from __future__ import annotations

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


class ComponentError(PluginError):
    """The code of one component raised, or gave what it must not.

    Args:
        kind: of the component, for example ``optimizer``.
    """

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class TaskError(AutomlOptError):
    """A task cannot be loaded, or its model, data and loss do not fit each other."""


class StoreError(AutomlOptError):
    """A database cannot be opened, is too new, or is in use by another process."""


class StudyChanged(AutomlOptError):
    """The study file no longer describes the study that the database holds."""


class VerdictError(AutomlOptError):
    """What was measured allows no verdict, with the reason: never a number that means nothing."""


def did_you_mean(name: str, allowed: Iterable[str], *, show: int = 12) -> str:
    """The tail of a message about an unknown *name*: the nearest right one and what is allowed."""
    names = sorted(set(allowed))
    nearest = max(names, key=lambda known: _likeness(name, known), default="")
    hint = f"did you mean {nearest!r}? " if _likeness(name, nearest)[0] >= 0.6 else ""
    listed = ", ".join(names[:show]) + (f", … ({len(names)} in all)" if len(names) > show else "")
    return f"{hint}allowed: {listed or 'nothing'}"


def _likeness(name: str, known: str) -> tuple[float, int]:
    """The share of letters in common; of equals, the name of the same length is the likelier.

    'builtin.adamw' is near to 'adamv' though the letters before the dot say no, and nearer than
    'builtin.adam': a wrong letter is likelier than one too many.
    """
    import difflib  # here, because most runs make no such mistake

    def likeness(text: str) -> tuple[float, int]:
        matcher = difflib.SequenceMatcher(None, name, text)
        common = sum(block.size for block in matcher.get_matching_blocks())
        return common / max(len(name), len(text), 1), -abs(len(name) - len(text))

    return max(likeness(known), likeness(known.rpartition(".")[2]))
