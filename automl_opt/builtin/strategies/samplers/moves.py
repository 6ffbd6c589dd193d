"""Moves that several strategies make: fill what is missing, change a few genes, take from another.

All take and give genes ``[n, p]`` (see :mod:`automl_opt.builtin.search`); what they give is neither
snapped nor mirrored at the ends of its range unless it says so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_opt.builtin.search import History, Space, mirror

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rows = NDArray[Any]


def energies(history: History) -> Array:
    """The share ``[n]`` of all trials that are better: trials that are level have one energy."""
    loss = history.loss
    shares: Array = np.searchsorted(np.sort(loss), loss) / len(loss)
    return shares


def filled(history: History, genes: Array, rng: np.random.Generator) -> Array:
    """*genes* without NaN: half from one of the best three trials that have the gene, half drawn.

    A draft that enters another branch then stands where that branch was good, or somewhere new.
    """
    missing = np.isnan(genes)
    if not missing.any():
        return genes
    genes = np.where(missing, uniform(history.space, rng, len(genes)), genes)
    best = history.genes[history.best(50)]
    for column in np.flatnonzero(missing.any(axis=0)):
        known = best[:, column]
        known = known[~np.isnan(known)][:3]
        if len(known):
            rows = missing[:, column] & (rng.random(len(genes)) < 0.5)
            genes[rows, column] = known[rng.integers(len(known), size=int(rows.sum()))]
    return genes


def uniform(space: Space, rng: np.random.Generator, n: int) -> Array:
    """Genes without NaN, uniform; inactive ones too."""
    unit = rng.random((n, len(space)))
    return np.where(space.numeric, unit, np.floor(unit * space.choices))


def anew(space: Space) -> float:
    """The chance with which a child's choice is drawn anew, whatever its parents have.

    Fewer such draws leave a search in the branch in which its first good trials were.
    """
    return min(0.3, 1.0 / len(space))


def some(
    space: Space,
    genes: Array,
    rng: np.random.Generator,
    chance: float,
    least: int = 1,
    flips: float = 1.0,
) -> Mask:
    """Which genes to change: each that exists with *chance*, and *least* of them in any case.

    Args:
        flips: the chance of a category, in shares of that of a number: no small step leads to
            another choice, and one that decides a branch takes many numbers with it.
    """
    exists = space.active(genes) & ~space.single
    lots = rng.random(genes.shape) / np.where(space.numeric, 1.0, flips)
    lots = np.where(exists, lots, np.inf)
    nth = min(least, genes.shape[1]) - 1
    first = np.partition(lots, nth, axis=1)[:, nth : nth + 1]
    return exists & ((lots < chance) | (lots <= first))


def mutated(
    space: Space, genes: Array, rng: np.random.Generator, mask: Mask, width: float | Array
) -> Array:
    """*genes* changed where *mask* says so: numbers by a normal step, choices for another one.

    Args:
        width: standard deviation, of the whole range; a stepped number has at least its step.
    """
    normal = rng.standard_normal(genes.shape) * np.maximum(width, 0.7 * grain(space))
    other = 1 + np.floor(rng.random(genes.shape) * np.maximum(space.choices - 1, 0))
    chosen = np.mod(genes + other, np.maximum(space.choices, 1))
    moved = np.where(space.numeric, genes + normal, chosen)
    return mirror(np.where(mask, moved, genes), space)


def grain(space: Space) -> Array:
    """``[p]``: a step as a share of its range, 0 where there is none (a log scale's: the mean)."""
    found = np.zeros(len(space))
    for column in np.flatnonzero(space.stepped):
        d = space.distributions[space.names[column]]
        found[column] = 1 / (round((d.high - d.low) / d.step) + 1)
    return found


def random_rows(rng: np.random.Generator, rows: Rows, n: int) -> Rows:
    """*n* of *rows*, with repetition."""
    return rows[rng.integers(len(rows), size=n)]
