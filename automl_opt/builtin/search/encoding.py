"""The encoding: what Optuna suggests as points of a unit cube, with branches told apart.

A point has two forms. Its *genes* have one column a parameter: numbers in [0, 1] on their scale,
categories as the index of the choice, NaN where the parameter does not exist. Its *cube* is what
distances and models see: numbers as they are and .5 where inactive, a category one-hot × √½ (two
different choices are 1 apart, as the two ends of a number are) and zeros where inactive.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from automl_opt.api import SearchSpace
from automl_opt.builtin.search.scales import Array, Mask, Scales

SIDE = math.sqrt(0.5)
"""Length of a one-hot entry: two choices are then at distance 1."""
MANY = 8
"""Parameters of a flat space above which trials tell less of each."""


@dataclass(frozen=True)
class Condition:
    """A parameter exists only where column *parent* has one of the *allowed* internal values."""

    parent: int
    allowed: frozenset[float]


Tree: TypeAlias = Mapping[str, Sequence[tuple[str, frozenset[float]]]]
"""For each conditional parameter what it hangs from: ``(parent, allowed internal values)``."""


class Space(Scales):
    """The parameters that are proposed together, in a fixed order.

    Args:
        distributions: Optuna's, by name; those with a single value are kept (others may hang from
            them) and have no column in the cube.
        tree: which parameter exists where; what is not named always exists.

    Attributes:
        names: one a gene.
        columns: for each gene its slice of the cube.
        numbers, number_columns: the genes that are numbers with more than one value, and their
            columns.
        width: columns of the cube.
        groups: int ``[width]``, the gene that a column of the cube belongs to.
        parents: the genes that others hang from.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution], tree: Tree) -> None:
        self.distributions = dict(distributions)
        self.names = tuple(self.distributions)
        kinds = [self.distributions[name] for name in self.names]
        super().__init__(kinds)
        self._set_columns()
        at = {name: column for column, name in enumerate(self.names)}
        self.conditions: dict[int, tuple[Condition, ...]] = {
            at[name]: tuple(Condition(at[p], allowed) for p, allowed in tree[name] if p in at)
            for name in sorted(at, key=lambda n: _depth(n, tree))
            if tree.get(name)
        }
        self._grid = np.flatnonzero(self.stepped | self.single | ~self.numeric)
        self._of_grid = Scales([kinds[j] for j in self._grid])
        self.parents = sorted({c.parent for cs in self.conditions.values() for c in cs})
        self._of_parents = Scales([kinds[j] for j in self.parents])

    def __len__(self) -> int:
        return len(self.names)

    def _set_columns(self) -> None:
        self.columns: list[slice] = []
        width = 0
        for numeric, choices, single in zip(self.numeric, self.choices, self.single, strict=True):
            size = 0 if single else 1 if numeric else int(choices)
            self.columns.append(slice(width, width + size))
            width += size
        self.width = width
        sizes = [c.stop - c.start for c in self.columns]
        self.groups = np.repeat(np.arange(len(self)), sizes)
        self.numbers = np.flatnonzero(self.numeric & ~self.single)
        self.number_columns = np.array([self.columns[j].start for j in self.numbers], int)
        self._categories = np.flatnonzero(~self.numeric & ~self.single)

    # Genes

    def snap(self, genes: Array) -> Array:
        """*genes* at legal values: on the grid, whole indices, NaN exactly where inactive.

        An active gene that is NaN, because its branch was just entered, gets the middle of its
        range or its first choice: strategies that want better fill it first (:meth:`filled`).
        """
        filled = self.filled(genes)
        snapped = np.clip(filled, 0.0, 1.0)
        snapped[:, self._grid] = self._of_grid.genes(self._of_grid.internal(filled[:, self._grid]))
        snapped[~self.active(snapped)] = np.nan
        return snapped

    def filled(self, genes: Array, by: Array | None = None) -> Array:
        """*genes* without NaN: from *by*, else the middle of a range and the first choice."""
        neutral = np.where(self.numeric, 0.5, 0.0)
        if by is None:
            return np.where(np.isnan(genes), neutral, genes)
        return np.where(np.isnan(genes), np.where(np.isnan(by), neutral, by), genes)

    def active(self, genes: Array) -> Mask:
        """Which genes exist ``[n, p]``, given those that they hang from."""
        mask = np.ones(genes.shape, bool)
        if not self.parents:
            return mask
        internal = dict(
            zip(self.parents, self._of_parents.internal(genes[:, self.parents]).T, strict=True)
        )
        for column, conditions in self.conditions.items():  # parents before children
            for condition in conditions:
                allowed = internal[condition.parent][:, None] == list(condition.allowed)
                mask[:, column] &= allowed.any(axis=1) & mask[:, condition.parent]
        return mask

    # Genes and cube

    def cube(self, genes: Array) -> Array:
        """The points ``[n, width]`` that *genes* are; exact, so it must be given snapped genes."""
        points = np.zeros((len(genes), self.width))
        numbers = genes[:, self.numbers]
        points[:, self.number_columns] = np.where(np.isnan(numbers), 0.5, numbers)
        for column in self._categories:
            index = genes[:, column]
            rows = np.flatnonzero(~np.isnan(index))
            points[rows, self.columns[column].start + index[rows].astype(int)] = SIDE
        return points

    def from_cube(self, points: Array) -> Array:
        """The snapped genes nearest to *points* ``[n, width]``: the largest entry is the choice."""
        genes = np.where(self.numeric, 0.5, 0.0) * np.ones((len(points), 1))
        genes[:, self.numbers] = points[:, self.number_columns]
        for column in self._categories:
            genes[:, column] = np.argmax(points[:, self.columns[column]], axis=1)
        return self.snap(genes)

    @cached_property
    def many(self) -> bool:
        """Whether there are more than eight parameters that always exist, and no others."""
        return not self.conditions and int((~self.single).sum()) > MANY

    # Drawing

    def draw(self, rng: np.random.Generator, n: int) -> Array:
        """Snapped genes ``[n, p]``, uniform on every scale."""
        return self.spread(rng.random((n, len(self))))

    def loose(self, rng: np.random.Generator, n: int) -> Array:
        """Uniform genes ``[n, p]`` that are not snapped yet: every column has a value."""
        unit = rng.random((n, len(self)))
        return np.where(self.numeric, unit, np.floor(unit * self.choices))

    def spread(self, unit: Array) -> Array:
        """Snapped genes of uniform or low-discrepancy numbers ``[n, p]`` in [0, 1)."""
        return self.snap(np.where(self.numeric, unit, np.floor(unit * self.choices)))

    @cached_property
    def middle(self) -> Array:
        """The genes ``[p]`` at the middle of every range and the first of every choice."""
        centre: Array = self.snap(np.full((1, len(self)), np.nan))[0]
        return centre

    # Values for Optuna

    def deviation(self, spreads: Mapping[str, float]) -> Array:
        """The genes' standard deviations ``[p]`` that *spreads* are; NaN for what is not named.

        A spread is a distance, on a logarithmic scale a factor. A single value has none.
        """
        spread = np.array([spreads.get(name, np.nan) for name in self.names])
        distance = np.where(self.log, np.log(spread), spread)
        return np.where(self.single, np.nan, distance / 2 / self.extent)

    def values(self, genes: Array) -> dict[str, Any]:
        """What one row of snapped *genes* is called by Optuna; only what exists."""
        internal = self.internal(genes[None])[0]
        return {
            name: external(self.distributions[name], value)
            for name, value, gene in zip(self.names, internal.tolist(), genes, strict=True)
            if gene == gene
        }

    def row(self, values: Mapping[str, Any]) -> Array:
        """The genes ``[p]`` of *values*; NaN for what is not among them or not legal today."""
        row = np.full(len(self), np.nan)
        for column, name in enumerate(self.names):
            if name in values:
                row[column] = internal_value(self.distributions[name], values[name])
        genes: Array = self.genes(row[None])[0]
        return genes


def mirror(genes: Array, space: Space) -> Array:
    """Numbers that left [0, 1] reflected at its ends: clipping would pile them up there."""
    folded = np.abs(np.mod(genes + 1.0, 2.0) - 1.0)  # period 2: 1.2 is .8, -.2 is .2
    return np.where(space.numeric, folded, genes)


def external(distribution: BaseDistribution, value: float) -> Any:
    """A legal plain value of *distribution* for an internal *value*."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[min(max(int(value), 0), len(distribution.choices) - 1)]
    if isinstance(distribution, IntDistribution):
        low, high, step = distribution.low, distribution.high, distribution.step
        return min(max(low + step * round((round(value) - low) / step), low), high)
    assert isinstance(distribution, FloatDistribution)
    return min(max(float(value), distribution.low), distribution.high)


def internal_value(distribution: BaseDistribution, value: Any) -> float:
    """Optuna's number for *value*, or NaN where *distribution* does not know it."""
    try:
        return float(distribution.to_internal_repr(value))
    except (ValueError, TypeError):
        return math.nan


def _depth(name: str, tree: Tree) -> int:
    return 1 + max((_depth(parent, tree) for parent, _ in tree.get(name, ())), default=-1)


# The declared tree


class _Asked:
    """Stands in for a trial: a range that suggests to it leaves its Optuna distribution."""

    distribution: BaseDistribution

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        self.distribution = FloatDistribution(low, high, log=log, step=step)
        return low

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        self.distribution = IntDistribution(low, high, log=log, step=step)
        return low

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.distribution = CategoricalDistribution(choices)
        return choices[0]


def declared(space: SearchSpace) -> tuple[dict[str, BaseDistribution], Tree]:
    """Optuna's distributions and the tree of a declared *space*."""
    distributions: dict[str, BaseDistribution] = {}
    tree: dict[str, list[tuple[str, frozenset[float]]]] = {}
    for entry in space.entries:
        asked = _Asked()
        entry.param.suggest(asked, entry.name)
        distributions[entry.name] = asked.distribution
        for parent, allowed in entry.when:
            values = (internal_value(distributions[parent], value) for value in allowed)
            known = frozenset(value for value in values if value == value)
            tree.setdefault(entry.name, []).append((parent, known))
    return distributions, tree


# The tree learnt from trials


def learnt(
    distributions: Mapping[str, BaseDistribution], patterns: Iterable[Mapping[str, float]]
) -> Tree:
    """The tree that explains which parameters trials had.

    A parameter hangs from the nearest category that is there whenever it is, and more often, and
    whose choices with it and without it are disjoint. What no category explains is taken to exist
    always: its value is then proposed and, where nobody asks for it, unused.

    Args:
        patterns: of each kind of trial the internal values of its categories, and any number for
            its other parameters.
    """
    seen = list(patterns)
    rows = {name: frozenset(i for i, p in enumerate(seen) if name in p) for name in distributions}
    everywhere = len(seen)
    categories = sorted(
        n for n, d in distributions.items() if isinstance(d, CategoricalDistribution)
    )
    tree: dict[str, list[tuple[str, frozenset[float]]]] = {}
    for name, there in sorted(rows.items()):
        if len(there) in (0, everywhere):
            continue
        found: list[tuple[int, str, frozenset[float]]] = []
        for parent in categories:
            if parent == name or not rows[parent] > there:
                continue
            having = frozenset(seen[i][parent] for i in there)
            lacking = {seen[i][parent] for i in rows[parent] - there}
            if not having & lacking:
                found.append((len(rows[parent]), parent, having))
        if found:
            _, parent, having = min(found, key=lambda f: f[0])
            tree[name] = [(parent, having)]
    return tree
