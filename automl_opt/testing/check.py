"""A check: one question to a component, and the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NoReturn

from automl_opt.plugin.catalog import Catalog, Component

Status = Literal["passed", "failed", "expected"]


class CheckFailed(AssertionError):
    """A component does not do what it should; the message says what to change."""


def _always(component: Component) -> bool:
    return True


@dataclass(frozen=True)
class Check:
    """One question.

    Args:
        kinds: the kinds of component it is put to; several checks may share a name, one a kind.
        run: ``run(component, catalog)`` raises :class:`CheckFailed`, or whatever the component
            raises; the first paragraph of its docstring says what it asks.
        applies: whether it has anything to ask of a component, by what that declares.
    """

    name: str
    kinds: tuple[str, ...]
    run: Callable[[Component, Catalog], None]
    applies: Callable[[Component], bool] = _always

    @property
    def asks(self) -> str:
        """What it asks and what to do, on one line."""
        return " ".join((self.run.__doc__ or "").partition("\n\n")[0].split())


@dataclass(frozen=True)
class Outcome:
    """What a check found of a component.

    Args:
        component: its id.
        status: ``expected``: it failed, as the component's ``expected_failures`` say.
        message: empty if passed; why it failed and what to change; the declared reason.
    """

    component: str
    check: str
    status: Status
    message: str = ""


def fail(message: str) -> NoReturn:
    raise CheckFailed(message)


def need(condition: bool, message: str) -> None:
    """Fail with *message* unless *condition*."""
    if not condition:
        fail(message)
