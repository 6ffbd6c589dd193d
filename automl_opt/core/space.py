"""The declared search space of one arm: a tree of ranges, told as a list in reading order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from automl_opt.core import params as ranges
from automl_opt.core.errors import ParamError
from automl_opt.core.params import Param, Suggests, Value


@dataclass(frozen=True)
class Entry:
    """One searched number: its name in Optuna, its range, and the choices it hangs from.

    Args:
        when: ``((name, values), …)``: exists only where every named choice has one of its values.
    """

    name: str
    param: Param
    when: tuple[tuple[str, tuple[Value, ...]], ...] = ()

    def is_active(self, values: Mapping[str, Value]) -> bool:
        return all(name in values and values[name] in allowed for name, allowed in self.when)


@dataclass(frozen=True)
class SearchSpace:
    """Entries in an order in which every choice comes before what hangs from it.

    Raises:
        ParamError: two entries have one name, or one hangs from what does not come before it: it
            would never be active.
    """

    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        before: set[str] = set()
        for entry in self.entries:
            if entry.name in before:
                raise ParamError(f"two entries of the search space are named {entry.name!r}")
            for name, _ in entry.when:
                if name not in before:
                    raise ParamError(f"{entry.name!r} hangs from {name!r}, which is not before it")
            before.add(entry.name)

    def suggest_values(self, trial: Suggests) -> dict[str, Value]:
        """Ask *trial* for every active entry, in order."""
        values: dict[str, Value] = {}
        for entry in self.entries:
            if entry.is_active(values):
                values[entry.name] = entry.param.suggest(trial, entry.name)
        return values

    def defaults(self) -> dict[str, Value]:
        """The default of every entry that is active at the defaults: where a search starts."""
        values: dict[str, Value] = {}
        for entry in self.entries:
            if entry.is_active(values):
                values[entry.name] = entry.param.default
        return values

    def to_json(self) -> str:
        import json  # here and below: listing plugins imports this module and needs neither

        data: list[dict[str, Any]] = [
            {**ranges.to_dict(entry.param), "name": entry.name, "when": entry.when}
            for entry in self.entries
        ]
        return json.dumps(data, sort_keys=True)

    def fingerprint(self) -> str:
        import hashlib

        return hashlib.sha256(self.to_json().encode()).hexdigest()
