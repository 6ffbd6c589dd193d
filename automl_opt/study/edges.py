"""Ranges whose end was the best place: found in a recipe, and widened in a study beside."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from automl_opt.core.params import Float, Int
from automl_opt.core.recipe import Recipe
from automl_opt.core.spec import StudySpec
from automl_opt.plugin.catalog import Catalog

EDGE = 0.1
"""The outer share of a range, on its scale, in which a best value says the range is too narrow."""

DECADE = 10.0


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A value near the end of its range.

    Args:
        entry: its name in the search space: ``optimizer.lr``.
        kind, component: whose parameter *param* it is; ``model`` and ``batch_size`` have none.
    """

    entry: str
    kind: str
    component: str | None
    param: str
    value: float
    low: float
    high: float
    log: bool
    whole: bool
    step: float | None

    @property
    def end(self) -> str:
        return "low" if position(self.value, self.low, self.high, log=self.log) < 0.5 else "high"

    def widened(self) -> float:
        """The end, further out: half the range, on its scale, and a decade at most.

        A linear range between 0 and 1 is taken for one of shares: its end goes half of the way to
        0 or 1, beyond which most parameters mean nothing. No end crosses 0.
        """
        out = self.end == "high"
        if self.log:
            factor = min(math.sqrt(self.high / self.low), DECADE)
            moved = self.high * factor if out else self.low / factor
        elif self.low >= 0 and self.high <= 1 and not self.whole:
            moved = (1 + self.high) / 2 if out else self.low / 2
        else:
            width = (self.high - self.low) / 2
            moved = self.high + width if out else self.low - width
            if self.step:
                steps = math.ceil(width / self.step) * self.step
                moved = self.high + steps if out else self.low - steps
        if self.low >= 0:
            moved = max(moved, 0.0)
        if self.whole:
            return max(1, round(moved)) if self.low >= 1 else round(moved)
        return moved


def edges(recipe: Recipe, entries: Mapping[str, Any], catalog: Catalog) -> Iterator[Edge]:
    """The searched numbers of *recipe* that lie near an end of their range.

    Args:
        entries: of the search space, by name, as the database has them.

    Raises:
        UnknownComponent: a component of the recipe is not installed any more.
    """
    for name, kind, component, param, value in searched(recipe, entries, catalog):
        entry = entries[name]
        low, high = entry.get("low"), entry.get("high")
        if low is None or low == high:
            continue
        log = bool(entry.get("log"))
        if EDGE < position(float(value), low, high, log=log) < 1 - EDGE:
            continue
        yield Edge(
            entry=name,
            kind=kind,
            component=component,
            param=param,
            value=value,
            low=low,
            high=high,
            log=log,
            whole=entry["kind"] == "int",
            step=entry.get("step"),
        )


def extended(spec: StudySpec, found: Sequence[Edge], catalog: Catalog) -> StudySpec:
    """*spec* under another name, each of the ends *found* moved out once."""
    overrides = {kind: dict(names) for kind, names in spec.overrides.items()}
    batch_size = spec.batch_size
    for edge in found:
        moved = edge.widened()
        if edge.kind == "batch_size":
            assert isinstance(batch_size, (Int, Float))
            change: dict[str, Any] = {edge.end: moved}
            batch_size = replace(batch_size, **change)
            continue
        names = overrides.setdefault(edge.kind, {})
        if edge.component is None:
            names[edge.param] = _merged(names.get(edge.param), edge.end, moved)
            continue
        of = edge.component
        own = [name for name in names if catalog.find(edge.kind, name).id == of]
        key = own[0] if own else of
        params = dict(names.get(key, {}))
        params[edge.param] = _merged(params.get(edge.param), edge.end, moved)
        names[key] = params
    return replace(
        spec,
        name=f"{spec.name}.extended",
        batch_size=batch_size,
        overrides=MappingProxyType(overrides),
    )


def _merged(known: Any, end: str, moved: float) -> dict[str, Any]:
    """Another edge may have moved this end already: the further one stays."""
    before = dict(known) if isinstance(known, Mapping) else {}
    if end in before:
        moved = max(moved, before[end]) if end == "high" else min(moved, before[end])
    return {**before, end: moved}


def position(value: float, low: float, high: float, *, log: bool) -> float:
    """Where *value* lies in its range, from 0 to 1 on its scale."""
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low)


def searched(
    recipe: Recipe, entries: Mapping[str, Any], catalog: Catalog
) -> Iterator[tuple[str, str, str | None, str, Any]]:
    """``(entry, kind, component, parameter, value)`` of every searched number of *recipe*."""
    parts = [
        ("optimizer", recipe.optimizer),
        ("scheduler", recipe.scheduler),
        *(("regularizer", part) for part in recipe.regularizers),
        ("initializer", recipe.initializer),
    ]
    for kind, part in parts:
        component = catalog.whole(kind, part.name)
        for link, own in zip(component.chain, part.chain, strict=True):
            tail = "" if link.base is None else f".{link.alone.label}"
            for name, value in own.params.items():
                for prefix in (kind, f"{kind}.{component.label}"):
                    entry = f"{prefix}{tail}.{name}"
                    if entry in entries:
                        yield entry, kind, own.id, name, value
    if recipe.batch_size is not None and "batch_size" in entries:
        yield "batch_size", "batch_size", None, "batch_size", recipe.batch_size
    for name, value in recipe.model.items():
        yield f"model.{name}", "model", None, name, value
