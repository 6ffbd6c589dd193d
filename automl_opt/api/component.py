"""What every component declares, whatever its kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

from automl_opt.core.errors import PluginError
from automl_opt.core.params import Float, Int, OneOf, Param, Value

Code: TypeAlias = Callable[..., Any] | str
"""A function, or ``"package.module:name"``: resolved on first use, so that listing stays light."""


@dataclass(frozen=True, kw_only=True)
class ComponentSpec:
    """The fields common to all kinds.

    Args:
        name: lower-case letters, digits and ``_``; with the plugin's name before it, the id.
        params: what may be searched. The range is part of the component and is versioned with it.
        summary: one line for a list: what it does.
        paper: where the formula comes from.
        version: rises when the maths or a range changes: no formula changes under an old version.
        generalises: component name -> the values of own parameters at which this one does exactly
            what that one does, wherever their other parameters agree; outside the range, often.
        expected_failures: name of a check of the conformance kit -> why this component cannot
            pass it; shown with the reason instead of failed.
    """

    kind: ClassVar[str]

    name: str
    params: Mapping[str, Param] = field(default_factory=dict)
    summary: str = ""
    paper: str = ""
    version: int = 1
    generalises: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    expected_failures: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for mapping in ("params", "generalises", "expected_failures"):
            object.__setattr__(self, mapping, MappingProxyType(dict(getattr(self, mapping))))
        if not isinstance(self.name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise PluginError(
                f"{self.kind} {self.name!r}: a name is lower-case letters, digits and '_'"
            )
        if isinstance(self.version, bool) or not isinstance(self.version, int) or self.version < 1:
            raise PluginError(f"{self.kind} {self.name}: version must be a whole number from 1")
        declared: dict[str, Param] = {}
        for key, param in self.params.items():
            if not isinstance(param, (Float, Int, OneOf)):
                raise PluginError(
                    f"{self.kind} {self.name}: params[{key!r}] must be a Float, Int or OneOf, "
                    f"not {param!r}"
                )
            if not key.isidentifier():
                raise PluginError(f"{self.kind} {self.name}: {key!r} is no parameter name")
            if param.when:
                sibling, values = param.when
                if sibling not in declared:
                    raise PluginError(
                        f"{self.kind} {self.name}: params[{key!r}] hangs from {sibling!r}, "
                        "which is not among the parameters before it"
                    )
                if never := [v for v in values if not declared[sibling].contains(v)]:
                    raise PluginError(
                        f"{self.kind} {self.name}: params[{key!r}] hangs from {sibling!r} being "
                        f"{' or '.join(map(repr, never))}, which it never is"
                    )
            declared[key] = param
        for other, settings in self.generalises.items():
            for setting in settings:
                self._need(
                    setting in declared,
                    f"generalises[{other!r}] sets {setting!r}, which is no parameter of it",
                )
        for check, reason in self.expected_failures.items():
            self._need(
                isinstance(reason, str) and bool(reason.strip()),
                f"expected_failures[{check!r}] must give the reason",
            )

    def _need(self, condition: bool, message: str) -> None:
        if not condition:
            raise PluginError(f"{self.kind} {self.name}: {message}")


def is_code(value: object) -> bool:
    """Whether *value* can be called, or names something that may be."""
    return callable(value) or (
        isinstance(value, str) and re.fullmatch(r"[\w.]+:[\w.]+", value) is not None
    )
