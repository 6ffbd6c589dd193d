"""A compiled pass: losses and gradients of a fixed number of rows, as one graph of fused loops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from automl_opt.training.fused.slots import mapped

ROWS = 64
"""Rows of a graph, whatever the stack's: missing ones are padded, more are several passes.

So what a row computes does not depend on their number, and a graph is compiled once. With 64 rows a
pass of a small MLP takes 12 µs a row, with 32 13 µs, with 16 15 µs; 128 rows in two passes take a
fifth longer a row than two stacks, so a study makes none.
"""

Numbers = list[dict[str, Tensor]]
"""Of every hook on the loss its parameters, ``[rows]`` each."""


@dataclass(frozen=True)
class Noise:
    """What the inputs of a dropout are multiplied by: ``[rows, *shape]``.

    Args:
        site: which of the stack's dropouts it is.
    """

    site: int
    shape: torch.Size
    dtype: torch.dtype


@dataclass(frozen=True)
class Graph:
    """A pass over :data:`ROWS` rows.

    Args:
        run: ``run(theta, shared, kept, numbers, noises, x, y)`` gives ``[rows]`` losses, gradients
            as the arena has them, and what the buffers become.
        batch: examples of a batch; others have no graph.
        shared: names of frozen weights that all rows have in common, given without rows.
        noises: in the order in which they are drawn.
    """

    run: Callable[..., tuple[Tensor, Tensor, dict[str, Tensor]]]
    batch: int
    shared: frozenset[str]
    noises: tuple[Noise, ...]

    def __call__(
        self,
        theta: Tensor,
        tensors: Mapping[str, Tensor],
        numbers: Numbers,
        noises: Sequence[Tensor],
        x: Any,
        y: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Losses and gradients of any number of rows; buffers among *tensors* are updated."""
        shared = {name: tensors[name][0] for name in self.shared}
        kept = {name: tensor for name, tensor in tensors.items() if name not in self.shared}
        found = []
        for start in range(0, len(theta), ROWS):
            rows = slice(start, min(start + ROWS, len(theta)))
            given = theta, kept, numbers, noises, x, y
            own, *rest = mapped(partial(_full, rows), given)
            losses, grads, after = self.run(own, shared, *rest)
            count = rows.stop - start
            for name, tensor in after.items():
                kept[name][rows] = tensor[:count]
            found.append((losses[:count], grads[:count]))
        if len(found) == 1:
            return found[0]
        losses, grads = map(torch.cat, zip(*found, strict=True))
        return losses, grads


def _full(rows: slice, tensor: Tensor) -> Tensor:
    """*rows* of *tensor*, the last of them as often as one graph needs."""
    own = tensor[rows]
    missing = ROWS - len(own)
    if not missing:
        return own.contiguous()
    return torch.cat([own, own[-1:].expand(missing, *own.shape[1:])])
