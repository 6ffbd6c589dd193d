"""Random numbers of stacked trials: each slot draws from the stream it has when trained alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from automl_opt.core.seeds import derive
from automl_opt.training.randomness import generator


class Stream:
    """What :func:`automl_opt.training.randomness.seeded` makes global, for one slot.

    Args:
        path: the purpose, as there.
    """

    def __init__(self, *path: int | str) -> None:
        self.generator = generator(*path)
        self._seed = derive(*path)
        self._others: tuple[Any, Any] | None = None  # NumPy's and Python's states, once used

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Inside, the global sources are this stream; afterwards what they were before."""
        before = torch.default_generator.get_state(), np.random.get_state(), random.getstate()
        torch.default_generator.set_state(self.generator.get_state())
        if self._others is None:
            np.random.seed(self._seed)
            random.seed(self._seed)
        else:
            np.random.set_state(self._others[0])
            random.setstate(self._others[1])
        try:
            yield
        finally:
            self.generator.set_state(torch.default_generator.get_state())
            self._others = np.random.get_state(), random.getstate()
            torch.default_generator.set_state(before[0])
            np.random.set_state(before[1])
            random.setstate(before[2])

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Inside, torch's own global source is this stream; the others stay what they are."""
        before = torch.default_generator.get_state()
        torch.default_generator.set_state(self.generator.get_state())
        try:
            yield
        finally:
            self.generator.set_state(torch.default_generator.get_state())
            torch.default_generator.set_state(before)


class SlotDropout(nn.Module):
    """``nn.Dropout`` with a rate and a stream for each slot; what torch draws, to the bit.

    Args:
        rates: one a slot.
    """

    def __init__(self, rates: Sequence[float]) -> None:
        super().__init__()
        self.rates = list(rates)
        self.streams: Sequence[Stream] = ()

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        noise: Tensor = _Noise.apply(x.detach(), self)
        return x * noise

    def fill(self, noise: Tensor) -> None:
        """Fill ``[slots, …]`` with what each slot's inputs are to be multiplied by."""
        for row, rate, stream in zip(noise, self.rates, self.streams, strict=True):
            if rate == 0:
                row.fill_(1.0)
            elif rate == 1:
                row.zero_()
            else:
                row.bernoulli_(1 - rate, generator=stream.generator).div_(1 - rate)


class _Noise(torch.autograd.Function):
    """The noise in the shape of an input that ``torch.vmap`` has batched."""

    @staticmethod
    def forward(x: Tensor, site: SlotDropout) -> Tensor:
        raise RuntimeError("dropout of a tensor that no slot's weights or data went into")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, site: SlotDropout) -> tuple[Tensor, int]:
        noise = torch.empty(x.movedim(in_dims[0], 0).shape, dtype=x.dtype, device=x.device)
        site.fill(noise)
        return noise, 0
