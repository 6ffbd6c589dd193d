"""Random numbers of stacked trials: each slot draws from the stream it has when trained alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._C import _functorch as functorch
from torch._functorch.pyfunctorch import temporarily_pop_interpreter_stack

from automl_opt.core.seeds import derive
from automl_opt.training.randomness import generator


class Stream:
    """What :func:`automl_opt.training.randomness.seeded` makes global, for one slot.

    Args:
        path: the purpose, as there.
    """

    def __init__(self, *path: int | str) -> None:
        self._path = path
        self._others: tuple[Any, Any] | None = None  # NumPy's and Python's states, once used

    @cached_property
    def generator(self) -> torch.Generator:
        """Made when it is first drawn from: most trials draw nothing."""
        return generator(*self._path)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Inside, the global sources are this stream; afterwards what they were before."""
        before = torch.default_generator.get_state(), np.random.get_state(), random.getstate()
        torch.default_generator.set_state(self.generator.get_state())
        if self._others is None:
            seed = derive(*self._path)
            np.random.seed(seed)
            random.seed(seed)
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
        self._drawing = [(row, 1 - rate) for row, rate in enumerate(rates) if 1 - rate < 1]
        self._shares: Tensor | None = None  # of what a slot keeps, as the noise divides by them
        self.streams: Sequence[Stream] = ()
        self.noise: Tensor | None = None  # a slot's, where it was drawn before

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        if self.noise is not None:
            return x * self.noise
        level = functorch.maybe_get_level(x)
        if level < 0:
            raise RuntimeError("dropout of a tensor that no slot's weights or data went into")
        rows = functorch.get_unwrapped(x).movedim(functorch.maybe_get_bdim(x), 0)
        noise = torch.ones(rows.shape, dtype=rows.dtype, device=rows.device)
        with temporarily_pop_interpreter_stack():
            self.fill(noise)
        return x * functorch._add_batch_dim(noise, 0, level)

    def drawn(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        """What inputs of *shape* are multiplied by in every slot; on the CPU."""
        noise = torch.ones(len(self.rates), *shape, dtype=dtype)
        self.fill(noise)
        return noise

    def fill(self, noise: Tensor) -> None:
        """Fill ``[slots, …]`` of ones with what each slot's inputs are to be multiplied by."""
        for row, share in self._drawing:
            noise[row].bernoulli_(share, generator=self.streams[row].generator)
        if self._shares is None or self._shares.dtype is not noise.dtype:
            shares = torch.tensor([1 - rate or 1.0 for rate in self.rates], dtype=torch.float64)
            self._shares = shares.to(noise.device, noise.dtype)
        noise.div_(self._shares.view(-1, *[1] * (noise.ndim - 1)))
