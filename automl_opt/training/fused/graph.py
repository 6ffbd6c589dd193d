"""A compiled pass: losses and gradients of a fixed number of rows, as one graph of fused loops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from automl_opt.training.fused.slots import mapped

FEWEST = 8
"""Rows of the smallest graph, and trials of one kind for which one is made."""

ROOM = {"cpu": (64, 2**25), "cuda": (256, 2**30)}
"""Rows of the largest graph, and bytes that passes may keep; a GPU is to be kept busy."""

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
    """A pass over a fixed number of rows.

    Missing rows are padded, more are several passes. So what a row computes does not depend on
    their number, and a graph is made once.

    Args:
        rows: see :func:`rows_of`.
        run: ``run(theta, shared, kept, numbers, noises, x, y)`` gives ``[rows]`` losses, gradients
            as the arena has them, and what the buffers become.
        batch: examples of a batch; others have no graph.
        shared: names of frozen weights that all rows have in common, given without rows.
        noises: in the order in which they are drawn.
    """

    rows: int
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
        for start in range(0, len(theta), self.rows):
            rows = slice(start, min(start + self.rows, len(theta)))
            given = theta, kept, numbers, noises, x, y
            own, *rest = mapped(partial(_full, rows, self.rows), given)
            losses, grads, after = self.run(own, shared, *rest)
            count = rows.stop - start
            for name, tensor in after.items():
                kept[name][rows] = tensor[:count]
            found.append((losses[:count], grads[:count]))
        if len(found) == 1:
            return found[0]
        losses, grads = map(torch.cat, zip(*found, strict=True))
        return losses, grads


def rows_of(kept: int, device: torch.device) -> int:
    """How many rows a graph has whose passes keep *kept* bytes a row for their way back.

    As many as the cache has room for. A pass of a small MLP, 37 KB, takes 12 µs a row with 64
    rows, 13 with 32 and 15 with 16; one of a small transformer, 5 MB, takes 4.0 ms with 8 rows and
    4.5 with 16. Twice as many passes in turn take a fifth longer than two stacks, so a study makes
    stacks of as many rows.
    """
    most, room = ROOM.get(device.type, ROOM["cpu"])
    rows = FEWEST
    while rows < most and 2 * rows * kept <= room:
        rows *= 2
    return rows


def _full(rows: slice, count: int, tensor: Tensor) -> Tensor:
    """*rows* of *tensor*, the last of them as often as *count* asks for."""
    own = tensor[rows]
    missing = count - len(own)
    if not missing:
        return own.contiguous()
    return torch.cat([own, own[-1:].expand(missing, *own.shape[1:])])
