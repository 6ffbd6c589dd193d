"""Which parameters a component's functions take, against those it declares."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from automl_opt.core.errors import did_you_mean
from automl_opt.testing.check import fail


def taken(
    what: str, function: Callable[..., Any], given: int | Iterable[str]
) -> tuple[set[str], bool]:
    """The parameters *function* takes beside what it is *given*, and whether it takes any other.

    Args:
        given: how many arguments come by position, or the names that come by keyword.
    """
    parameters = list(inspect.signature(function).parameters.values())
    if isinstance(given, int):
        places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        any_number = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        if len(places) < given and not any_number:
            fail(
                f"{what} is handed {given} arguments by position, and takes {len(places)}: add them"
            )
        known = {p.name for p in places[:given]}
    else:
        known = set(given)
    own = [p for p in parameters if p.name not in known and p.kind is not p.VAR_POSITIONAL]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in own)
    return {p.name for p in own if p.kind is not p.VAR_KEYWORD}, open_ended


def compare(
    what: str,
    function: Callable[..., Any],
    given: int | Iterable[str],
    declared: Iterable[str],
    source: str = "params",
) -> None:
    """Fail unless *function* takes what is *declared* and nothing else.

    Args:
        what: the function's name in the message.
        source: where the declared names come from.
    """
    try:
        takes, open_ended = taken(what, function, given)
    except (TypeError, ValueError):  # a function in C has no signature: calling it must tell
        return
    declared = set(declared)
    for name in sorted(takes - declared):
        fail(
            f"{what} takes {name!r}, which {source} does not have: declare it in params, or make "
            f"it a constant of the module ({did_you_mean(name, declared)})"
        )
    for name in sorted(declared - takes):
        if not open_ended:
            fail(f"{what} does not take {name!r}, which {source} has: use it or delete it there")
