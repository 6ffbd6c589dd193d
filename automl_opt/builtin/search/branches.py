"""Branches: the parts of a conditional space in which the same parameters exist."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from automl_opt.builtin.search.encoding import Array, Mask, Space
from automl_opt.builtin.search.history import History

SOUGHT = 256
"""Uniform draws that look for branches: rarer ones are not served."""


@dataclass(frozen=True)
class Branch:
    """One branch.

    Args:
        key: its mask of inactivity, as bytes.
        examples: genes ``[m, p]`` that lie in it.
        count: finished and running trials in it.
    """

    key: bytes
    examples: Array
    count: int

    def rows(self, genes: Array) -> Mask:
        """Which of *genes* lie in it."""
        mask: Mask = (np.isnan(genes) == np.frombuffer(self.key, bool)).all(axis=1)
        return mask

    def draw(self, history: History, rng: np.random.Generator, n: int) -> Array:
        """Uniform points of it, not snapped: what decides the branch is taken from an example."""
        space = history.space
        genes = space.loose(rng, n)
        examples = self.examples[rng.integers(len(self.examples), size=n)]
        genes[:, space.parents] = examples[:, space.parents]
        return genes


def short_branch(history: History) -> Branch | None:
    """The branch that has had too few trials, the fewest first; ``None`` where none is short.

    Too few is less than ``min(√n, .6 n / branches)``: without a floor a search settles in the
    branch whose first trials were lucky.
    """
    space = history.space
    if not space.conditions:
        return None
    drawn, keys = _sought(space, history.seed)
    counts: Counter[bytes] = Counter(row.tobytes() for row in np.isnan(history.genes))
    counts.update(row.tobytes() for row in np.isnan(history.pending_genes))
    n = counts.total()
    known = sorted(set(keys))
    fewest = min(known, key=lambda key: counts[key])
    if len(known) < 2 or counts[fewest] >= min(n**0.5, 0.6 * n / len(known)):
        return None
    return Branch(fewest, drawn[[key == fewest for key in keys]], counts[fewest])


@lru_cache(maxsize=8)
def _sought(space: Space, seed: int) -> tuple[Array, list[bytes]]:
    """Uniform draws ``[SOUGHT, p]``, and the branch of each: the same ones in all of a study."""
    drawn = space.draw(np.random.default_rng([seed, SOUGHT]), SOUGHT)
    return drawn, [row.tobytes() for row in np.isnan(drawn)]
