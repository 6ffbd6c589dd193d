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
    number. Weights that are smaller than the template's are the first of a tensor of its shape.

    Attributes:
        places: where in this order each parameter is, as the model has them.
        padding: ``[rows, width]``, true where a row has no weights of its own; ``None`` where all
            have the shapes of the template.

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
            _fill(value, [param.detach() for param in each])
        self.padding = self._padding(own)
        wide = _kept(template)
        kept = zip(wide.values(), *[_kept(live.model).values() for live in lives], strict=True)
        self.kept = dict(zip(wide, [_stacked(*tensors) for tensors in kept], strict=True))
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

    def clear(self) -> None:
        """Put zeros back where no row has weights: what updates everything leaves other numbers."""
        if self.padding is not None:
            self.theta.masked_fill_(self.padding, 0)

    def _padding(self, own: Sequence[Sequence[Tensor]]) -> Tensor | None:
        shapes = [[param.shape for param in params] for params in own]
        if all(row == self.shapes for row in shapes):
            return None
        free = torch.ones_like(self.theta, dtype=torch.bool)
        for value, *each in zip(self.views(free), *shapes, strict=True):
            for row, shape in enumerate(each):
                corner(value[row], shape).fill_(False)
        return free

    def _bind(self) -> None:
        bound: set[int] = set()
        for row, live in enumerate(self.lives):
            if id(live) in bound:
                continue
            bound.add(id(live))
            for param, value in zip(self.parameters_of(live), self.values, strict=True):
                param.data = corner(value[row], param.shape)
            own = _kept(live.model).values()
            for tensor, value in zip(own, self.kept.values(), strict=True):
                tensor.data = corner(value[row], tensor.shape)


def corner(whole: Tensor, shape: torch.Size) -> Tensor:
    """What a tensor of *shape* is of *whole*, ``[…, *larger]``; the first of each dimension."""
    if whole.shape[whole.ndim - len(shape) :] == shape:
        return whole
    return whole[(..., *[slice(n) for n in shape])]


def padded(tensor: Tensor, shape: torch.Size) -> Tensor:
    """``[rows, *smaller]`` with zeros behind it, ``[rows, *shape]``."""
    if tensor.shape[1:] == shape:
        return tensor
    whole = tensor.new_zeros(len(tensor), *shape)
    corner(whole, tensor.shape[1:]).copy_(tensor)
    return whole


def _fill(whole: Tensor, tensors: Sequence[Tensor]) -> None:
    """Put a tensor into each row of *whole*."""
    if all(tensor.shape == whole.shape[1:] for tensor in tensors):
        torch.stack(list(tensors), out=whole)
        return
    for row, tensor in zip(whole, tensors, strict=True):
        corner(row, tensor.shape).copy_(tensor)


def _padded(width: int) -> int:
    return -(-width // ALIGNED) * ALIGNED


def _stacked(like: Tensor, *tensors: Tensor) -> Tensor:
    """``[rows, *shape]`` of *like*; frozen weights that all trials share are there once."""
    first = tensors[0].detach()
    frozen = isinstance(tensors[0], nn.Parameter)
    if frozen and all(
        tensor.data_ptr() == first.data_ptr() and tensor.shape == like.shape for tensor in tensors
    ):
        return first.expand(len(tensors), *first.shape)
    whole = first.new_zeros(len(tensors), *like.shape)
    _fill(whole, [tensor.detach() for tensor in tensors])
    return whole


def _kept(model: nn.Module) -> dict[str, Tensor]:
    """Buffers, and parameters that are not trained."""
    frozen = {name: p for name, p in model.named_parameters() if not p.requires_grad}
    return {**frozen, **dict(model.named_buffers())}
