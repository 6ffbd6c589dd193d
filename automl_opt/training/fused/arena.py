"""The tensors of a stack: every slot a row, every trial's own model a view of its row."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automl_opt.training.live import LiveTrial

ALIGNED = 64
"""Numbers: twice the widest vector register."""


class Arena:
    """Weights and buffers of several models of one structure, and whose they are.

    Trainable parameters lie in ``theta``, ``[rows, width]``, those with two dimensions or more
    first: the order in which an optimizer that exempts vectors from decay groups them. Between and
    behind them there are zeros, so that no loop over a row ends in the middle of a vector register:
    what is left over is computed by other instructions, and which rows that hits depends on their
    number.

    Attributes:
        places: where in this order each parameter is, as the model has them.

    Args:
        lives: a row each; a trial may have several, of which the first is its own.
        template: has the names of weights and buffers, in the order of all rows' models.
    """

    def __init__(self, lives: Sequence[LiveTrial], template: nn.Module) -> None:
        self.lives = list(lives)
        trained = [(name, p) for name, p in template.named_parameters() if p.requires_grad]
        self._order = sorted(range(len(trained)), key=lambda at: trained[at][1].ndim < 2)
        self.places = [self._order.index(at) for at in range(len(trained))]
        trained = [trained[at] for at in self._order]
        self.names = [name for name, _ in trained]
        self.shapes = [p.shape for _, p in trained]
        self.columns: list[slice] = []
        self.width = 0
        for at, shape in enumerate(self.shapes):
            if len(shape) < 2 and at and len(self.shapes[at - 1]) >= 2:
                self.width = _padded(self.width)
            self.columns.append(slice(self.width, self.width + shape.numel()))
            self.width += shape.numel()
        self.width = _padded(self.width)
        own = [self.parameters_of(live) for live in lives]
        self.theta = own[0][0].detach().new_zeros(len(lives), self.width)
        self.values = self.views(self.theta)
        for value, *each in zip(self.values, *own, strict=True):
            torch.stack([param.detach() for param in each], out=value)
        kept = zip(*[_kept(live.model).values() for live in lives], strict=True)
        self.kept = dict(zip(_kept(template), map(_stacked, kept), strict=True))
        self.buffers = [self.kept[name] for name, _ in template.named_buffers()]
        self._bind()

    def parameters_of(self, live: LiveTrial) -> list[nn.Parameter]:
        """The trainable parameters of a row's own model, in the arena's order."""
        trained = [p for p in live.model.parameters() if p.requires_grad]
        return [trained[at] for at in self._order]

    def groups_of(self, live: LiveTrial) -> list[int]:
        """The index of the optimizer's group that each parameter is in."""
        groups = {
            param: index
            for index, group in enumerate(live.optimizer.param_groups)
            for param in group["params"]
        }
        return [groups[param] for param in self.parameters_of(live)]

    def finite(self) -> list[bool]:
        """For each row, whether its weights are finite numbers."""
        all_of = [
            value.flatten(1).isfinite().all(dim=1) if value.ndim > 1 else value.isfinite()
            for value in self.values
        ]
        found: list[bool] = torch.stack(all_of).all(dim=0).tolist()
        return found

    def joined(self, tensors: Sequence[Tensor]) -> Tensor:
        """One tensor a parameter, ``[rows, …]``, as ``[rows, parameters]``."""
        flat = torch.zeros_like(self.theta)
        torch._foreach_copy_(self.views(flat), list(tensors))
        return flat

    def views(self, flat: Tensor) -> list[Tensor]:
        """The parameters in ``[rows, parameters]``, each ``[rows, …]``."""
        return [
            flat[:, columns].unflatten(1, shape) if shape else flat[:, columns.start]
            for columns, shape in zip(self.columns, self.shapes, strict=True)
        ]

    def _bind(self) -> None:
        bound: set[int] = set()
        for row, live in enumerate(self.lives):
            if id(live) in bound:
                continue
            bound.add(id(live))
            for param, value in zip(self.parameters_of(live), self.values, strict=True):
                param.data = value[row]
            own = _kept(live.model).values()
            for tensor, value in zip(own, self.kept.values(), strict=True):
                tensor.data = value[row]


def _padded(width: int) -> int:
    return -(-width // ALIGNED) * ALIGNED


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """``[rows, …]``; frozen weights that all trials share are there once, whatever their number."""
    first = tensors[0].detach()
    frozen = isinstance(tensors[0], nn.Parameter)
    if frozen and all(tensor.data_ptr() == first.data_ptr() for tensor in tensors):
        return first.expand(len(tensors), *first.shape)
    return torch.stack([tensor.detach() for tensor in tensors])


def _kept(model: nn.Module) -> dict[str, Tensor]:
    """Buffers, and parameters that are not trained."""
    frozen = {name: p for name, p in model.named_parameters() if not p.requires_grad}
    return {**frozen, **dict(model.named_buffers())}
