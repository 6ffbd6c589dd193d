"""Running averages of the weights, and the model that carries them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from automl_opt.training.data import Source


class Average:
    """What regularizers with an ``average`` hook keep beside a model.

    Each hook averages what the one before it gives, the first the weights themselves; the last
    is what is evaluated. An average that has not begun passes on what it is given.

    Args:
        shares: the hooks, ``share(step, total) -> float | None``, in the recipe's order.
        total: how many optimizer steps there will be.
    """

    def __init__(
        self, model: nn.Module, shares: Sequence[Callable[[int, int], float | None]], total: int
    ) -> None:
        self._model, self._shares, self._total = model, shares, total
        self._averages: list[list[Tensor] | None] = [None for _ in shares]
        self._carrier: nn.Module | None = None

    def __bool__(self) -> bool:
        return bool(self._shares)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after optimizer step *step*, counted from 0."""
        given: list[Tensor] = list(self._model.parameters())
        for i, share_of in enumerate(self._shares):
            share = share_of(step, self._total)
            average = self._averages[i]
            if share is not None:
                if average is None:
                    self._averages[i] = average = [tensor.detach().clone() for tensor in given]
                torch._foreach_lerp_(average, given, float(share))
            given = given if average is None else average

    @torch.no_grad()
    def model(self, train: Source, batch_size: int) -> nn.Module:
        """The model to evaluate: the model itself, until an average has begun.

        The statistics of batch normalisation are those of the averaged weights, taken anew over
        *train* with everything else in evaluation mode.
        """
        begun = [average for average in self._averages if average is not None]
        if not begun:
            return self._model
        if self._carrier is None:
            self._carrier = copy.deepcopy(self._model)
        carrier = self._carrier
        for param, average in zip(carrier.parameters(), begun[-1], strict=True):
            param.copy_(average)
        for buffer, own in zip(carrier.buffers(), self._model.buffers(), strict=True):
            buffer.copy_(own)
        carrier.eval()
        norms = [module for module in carrier.modules() if isinstance(module, _BatchNorm)]
        if norms:
            with _collecting(norms):
                for x, _ in train.batches(batch_size):
                    carrier(x)
        return carrier

    def state_dict(self) -> list[list[Tensor] | None]:
        return list(self._averages)

    @torch.no_grad()
    def load_state_dict(self, state: Sequence[Sequence[Tensor] | None]) -> None:
        self._averages = [
            None if tensors is None else [tensor.clone() for tensor in tensors] for tensors in state
        ]


@contextmanager
def _collecting(norms: Sequence[Any]) -> Any:
    """Inside, *norms* average the statistics of the batches they see, equally and from nothing."""
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
