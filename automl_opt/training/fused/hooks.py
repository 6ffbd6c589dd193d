"""Regularizers of stacked trials: each hook once for all slots that have it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from automl_opt.api import RegularizerSpec
from automl_opt.training.fused.arena import corner
from automl_opt.training.fused.noise import Stream
from automl_opt.training.fused.slots import mapped, vmap
from automl_opt.training.live import LiveTrial


@dataclass(frozen=True)
class Hook:
    """One hook of one trial.

    Args:
        key: equal for hooks that one call can serve.
        function: the component's code, its parameters free.
        numbers: the parameters that may differ between slots.
        fixed: the others.
        shapes: of the trial's trainable parameters, which it sees as they are.
    """

    key: Hashable
    function: Callable[..., Any]
    numbers: dict[str, float]
    fixed: dict[str, Any]
    shapes: tuple[torch.Size, ...]


@dataclass
class Stage:
    """A hook and the rows that have it, with a number a row."""

    function: Callable[..., Any]
    fixed: dict[str, Any]
    shapes: tuple[torch.Size, ...]
    rows: list[int]
    numbers: dict[str, list[float]]
    one_by_one: bool = False
    _tensors: dict[str, Tensor] = field(default_factory=dict)
    _index: Tensor | None = None

    def call(self, slots: int, *args: Any, like: Tensor) -> Any:
        """The hook under ``torch.vmap``; *args* are ``[slots, …]``, the answer ``[rows, …]``."""
        if not self._tensors:
            self._tensors = {
                name: torch.tensor(values, dtype=torch.float64).to(like.device, like.dtype)
                for name, values in self.numbers.items()
            }
        # laid out alike whether all slots have the hook or not: sums go by the layout
        whole = len(self.rows) == slots
        given = mapped(Tensor.contiguous, args) if whole else self._chosen(args, like)

        def one(args: Any, numbers: Any) -> Any:
            return self.function(*args, **numbers, **self.fixed)

        return vmap(one, given, self._tensors)

    def _chosen(self, args: Any, like: Tensor) -> Any:
        return mapped(lambda t: t.index_select(0, self.index(like)), args)

    def own(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """All parameters' *tensors*, ``[slots, …]``, without what pads them in these rows."""
        return [corner(t, shape) for t, shape in zip(tensors, self.shapes, strict=True)]

    def own_weights(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The same of those with two dimensions or more."""
        shapes = [shape for shape in self.shapes if len(shape) >= 2]
        return [corner(t, shape) for t, shape in zip(tensors, shapes, strict=True)]

    def index(self, like: Tensor) -> Tensor:
        if self._index is None:
            self._index = torch.tensor(self.rows, device=like.device)
        return self._index

    def alone(self, row: int, stream: Stream, *args: Any) -> Any:
        """The hook for one slot, as it runs when the trial trains alone."""
        at = self.rows.index(row)
        numbers = {name: values[at] for name, values in self.numbers.items()}
        with stream.installed():
            return self.function(*args, **numbers, **self.fixed)


def hooks_of(live: LiveTrial, name: str) -> list[Hook]:
    """The hooks called *name* of a trial, in the order of its recipe."""
    found = []
    shapes = tuple(param.shape for param in live.step.parameters)
    for part in live.trial.recipe.regularizers:
        component = live.builder.component("regularizer", part)
        spec = component.spec
        assert isinstance(spec, RegularizerSpec)
        if name not in spec.hooks():
            continue
        numbers = {key: value for key, value in part.params.items() if isinstance(value, float)}
        fixed = {key: value for key, value in part.params.items() if key not in numbers}
        key = (component.id, tuple(sorted((k, repr(v)) for k, v in fixed.items())), shapes)
        function = component.code(spec.hooks()[name])
        if name == "weights":
            function = _returning(function)
        found.append(Hook(key, function, numbers, fixed, shapes))
    return found


def stages(hooks: Sequence[Sequence[Hook]]) -> list[Stage]:
    """The hooks of all slots, merged so that each slot's keep their order.

    Args:
        hooks: a list a slot.
    """
    left = [list(own) for own in hooks]
    found = []
    while any(left):
        heads = {own[0].key: own[0] for own in left if own}
        # one that no slot has further back serves all its slots at once
        ready = [
            key for key in heads if not any(hook.key == key for own in left for hook in own[1:])
        ]
        chosen = heads[ready[0] if ready else next(iter(heads))]
        rows = [row for row, own in enumerate(left) if own and own[0].key == chosen.key]
        own = [left[row].pop(0) for row in rows]
        numbers = {name: [hook.numbers[name] for hook in own] for name in chosen.numbers}
        found.append(Stage(chosen.function, chosen.fixed, chosen.shapes, rows, numbers))
    return found


def _returning(function: Callable[..., None]) -> Callable[..., Any]:
    """A hook on weights, which works in place, as one that hands back what it worked on."""

    def call(weights: list[Tensor], lr: Any, **numbers: Any) -> list[Tensor]:
        function(weights, lr, **numbers)
        return weights

    return call
