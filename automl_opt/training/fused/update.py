"""Optimizer steps of the slots of a stack: one update for all slots that have the same rule."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from automl_opt.training.adapter import CPU_BLOCK, DEVICE_BLOCK, RuleOptimizer
from automl_opt.training.fused.arena import Arena, corner, padded
from automl_opt.training.fused.slots import vmap
from automl_opt.training.live import LiveTrial

Numbers = list[Mapping[str, Any]]
"""What a rule gets beside its tensors, step by step."""


class Update(Protocol):
    """The optimizer of some of a stack's rows."""

    @property
    def rows(self) -> range: ...

    def open_epoch(self, factors: Sequence[Sequence[float]]) -> None:
        """Table the numbers of the coming epoch's steps.

        Args:
            factors: of the learning rate, step by step, for each of the stack's rows.
        """

    def step(self, i: int, grads: Tensor, curvature: Tensor | None) -> None:
        """Take step *i* of the epoch; the tensors are ``[rows, parameters]`` of the arena."""

    def give_back(self, row: int) -> None:
        """Let the row's own optimizer have the state, as views of ours."""

    def snapshot(self) -> Callable[[], None]:
        """What puts the state back that there is now."""


def family(live: LiveTrial) -> tuple[Hashable, ...]:
    """Equal for trials whose optimizers one update can serve."""
    optimizer = live.optimizer
    if not isinstance(optimizer, RuleOptimizer):
        return ("native", live.trial.recipe.optimizer.name)
    fixed = tuple(
        (index, name, repr(group[name]))
        for index, group in enumerate(optimizer.param_groups)
        for name in optimizer.names
        if not isinstance(group[name], float)
    )
    groups = tuple(len(group["params"]) for group in optimizer.param_groups)
    shapes = () if optimizer.rule.elementwise else [tuple(p.shape) for p in live.step.parameters]
    return ("rule", live.trial.recipe.optimizer.name, fixed, groups, tuple(shapes))


def updates(lives: Sequence[LiveTrial], arena: Arena) -> Iterator[Update]:
    """The updates of *lives*, those of one family next to each other, as the arena's rows are."""
    start = 0
    while start < len(lives):
        stop = start
        while stop < len(lives) and family(lives[stop]) == family(lives[start]):
            stop += 1
        if isinstance(lives[start].optimizer, RuleOptimizer):
            yield RuleUpdate(lives, slice(start, stop), arena)
        else:
            for row in range(start, stop):
                if lives[row] not in lives[:row]:  # a trial alone has a second row as its twin
                    yield NativeUpdate(lives[row], row, arena)
        start = stop


@dataclass
class NativeUpdate:
    """A row's own ``torch.optim.Optimizer``, stepping on views of the arena."""

    live: LiveTrial
    row: int
    arena: Arena

    def open_epoch(self, factors: Sequence[Sequence[float]]) -> None:
        self._factors = factors[self.row]
        if hasattr(self.live.optimizer, "train"):
            self.live.optimizer.train()

    def step(self, i: int, grads: Tensor, curvature: Tensor | None) -> None:
        live = self.live
        for group, base in zip(live.optimizer.param_groups, live.base_lr, strict=True):
            if base is not None:
                group["lr"] = base * self._factors[i]
        own = self.arena.parameters_of(live)
        for param, grad in zip(own, self.arena.views(grads), strict=True):
            param.grad = corner(grad[self.row], param.shape)
        live.step.follow()
        for param in own:
            param.grad = None

    @property
    def rows(self) -> range:
        return range(self.row, self.row + 1)

    def give_back(self, row: int) -> None:
        """It never left."""

    def snapshot(self) -> Callable[[], None]:
        state = copy.deepcopy(self.live.optimizer.state_dict())
        return lambda: self.live.optimizer.load_state_dict(state)


@dataclass
class _Block:
    """What is updated in one go: some rows of one tensor, or of a range of flat columns.

    Args:
        state: ``[rows, …]`` each.
        table: step by step, ``[rows, 1]`` each, or ``[rows]`` where vmap takes the rows away.
        fixed: numbers that are the same in all rows and steps.
    """

    group: int
    rows: slice
    tensors: list[int]  # the arena's parameters that it holds
    columns: slice
    state: dict[str, Tensor]
    flat: bool
    table: list[dict[str, Tensor]] = field(default_factory=list)
    fixed: dict[str, Any] = field(default_factory=dict)


class RuleUpdate:
    """One rule over neighbouring rows: elementwise rules see flat blocks, others single tensors."""

    def __init__(self, lives: Sequence[LiveTrial], rows: slice, arena: Arena) -> None:
        self._lives, self._rows, self._arena = lives[rows], rows, arena
        first = self._lives[0].optimizer
        assert isinstance(first, RuleOptimizer)
        self._rule = first.rule
        own = [param.shape for param in arena.parameters_of(self._lives[0])]
        self._shapes = arena.shapes if self._rule.elementwise else own
        states = []
        for live in self._lives:
            assert isinstance(live.optimizer, RuleOptimizer)
            known = live.optimizer.take_states()
            states.append(
                [
                    _widened(known[param], param.shape, shape)
                    for param, shape in zip(arena.parameters_of(live), self._shapes, strict=True)
                ]
            )
        self._age = [state[0]["step"] for state in states]
        groups = arena.groups_of(self._lives[0])
        self._blocks = [
            block
            for group in sorted(set(groups))
            for block in self._partition(group, groups, states)
        ]
        self._tall = any(not block.flat for block in self._blocks)

    def _partition(
        self, group: int, groups: Sequence[int], states: list[list[dict[str, Any]]]
    ) -> Iterator[_Block]:
        """The blocks of a group; a group's parameters lie next to each other in the arena."""
        members = [i for i, own in enumerate(groups) if own == group]
        flat = self._rule.elementwise and all(
            tensor.shape == self._shapes[i]
            for i in members
            for name, tensor in states[0][i].items()
            if name != "step"
        )
        names = [name for name in states[0][members[0]] if name != "step"]
        if not flat:
            for i in members:
                own = [name for name in states[0][i] if name != "step"]
                stacked = {name: torch.stack([s[i][name] for s in states]) for name in own}
                yield _Block(group, self._rows, [i], self._arena.columns[i], stacked, flat=False)
            return
        later = [self._arena.columns[i].start for i in range(members[-1] + 1, len(groups))]
        start, stop = self._arena.columns[members[0]].start, min([*later, self._arena.width])
        whole = {}
        for name in names:
            whole[name] = states[0][members[0]][name].new_zeros(len(states), stop - start)
            for i in members:
                columns = self._arena.columns[i]
                place = whole[name][:, columns.start - start : columns.stop - start]
                place.copy_(torch.stack([state[i][name].reshape(-1) for state in states]))
        limit = CPU_BLOCK if self._arena.theta.device.type == "cpu" else DEVICE_BLOCK
        height, width = max(1, limit // (stop - start)), min(stop - start, limit)
        for top in range(0, len(states), height):
            bottom = min(top + height, len(states))
            rows = slice(self._rows.start + top, self._rows.start + bottom)
            for left in range(start, stop, width):
                right = min(left + width, stop)
                state = {
                    name: tensor[top:bottom, left - start : right - start].contiguous()
                    for name, tensor in whole.items()
                }
                yield _Block(group, rows, members, slice(left, right), state, flat=True)

    def open_epoch(self, factors: Sequence[Sequence[float]]) -> None:
        slots = list(zip(self._lives, self._age, factors[self._rows], strict=True))
        numbers = {
            group: [self._numbers(group, *slot) for slot in slots]
            for group in {block.group for block in self._blocks}
        }
        like = self._arena.theta
        for block in self._blocks:
            rows = slice(block.rows.start - self._rows.start, block.rows.stop - self._rows.start)
            lists = numbers[block.group][rows]
            first = lists[0][0]
            varying = [
                name
                for name, value in first.items()
                if isinstance(value, float) or (self._rule.coefficients and type(value) is int)
            ]
            block.fixed = {name: first[name] for name in first if name not in varying}
            if not varying:
                block.table = [{} for _ in lists[0]]
                continue
            chosen = itemgetter(*varying)
            numbers_of = [[chosen(step) for step in own] for own in lists]
            table = torch.from_numpy(np.array(numbers_of, np.float64))
            table = table.view(len(lists), -1, len(varying)).permute(1, 2, 0).contiguous()
            table = table.to(like.device, like.dtype)
            if block.flat:
                table = table.unsqueeze(-1)
            block.table = [dict(zip(varying, step.unbind(0), strict=True)) for step in table]

    def _numbers(self, group: int, live: LiveTrial, age: int, factors: Sequence[float]) -> Numbers:
        optimizer = live.optimizer
        assert isinstance(optimizer, RuleOptimizer)
        params = {name: optimizer.param_groups[group][name] for name in optimizer.names}
        base = live.base_lr[group]
        return [
            self._rule.numbers(t, {**params, "lr": base * factor})
            for t, factor in enumerate(factors, age + 1)
        ]

    def step(self, i: int, grads: Tensor, curvature: Tensor | None) -> None:
        tensors = {"grad": grads}
        if self._rule.curvature:
            assert curvature is not None
            tensors["curvature"] = curvature
        views = (
            {name: self._arena.views(tensor) for name, tensor in tensors.items()}
            if self._tall
            else {}
        )
        for block in self._blocks:
            numbers = block.table[i]
            if block.flat:
                value = self._arena.theta[block.rows, block.columns]
                given = {name: t[block.rows, block.columns] for name, t in tensors.items()}
                new, block.state = self._updated(block, value, block.state, given | numbers)
            else:
                at = block.tensors[0]
                shape = self._shapes[at]
                value = corner(self._arena.values[at][block.rows], shape)
                given = {name: corner(t[at][block.rows], shape) for name, t in views.items()}
                updated = partial(self._updated, block)
                new, block.state = vmap(updated, value, block.state, given | numbers)
            value.copy_(new)
        if i + 1 == self._lives[0].steps:
            self._age = [age + i + 1 for age in self._age]

    def _updated(
        self, block: _Block, value: Tensor, state: dict[str, Tensor], given: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        rest = {name: number for name, number in given.items() if name != "grad"}
        return self._rule.update(value, given["grad"], state, **rest, **block.fixed)

    @property
    def rows(self) -> range:
        return range(self._rows.start, self._rows.stop)

    def snapshot(self) -> Callable[[], None]:
        states, age = [block.state for block in self._blocks], self._age  # both are only replaced

        def restore() -> None:
            for block, state in zip(self._blocks, states, strict=True):
                block.state = state
            self._age = age

        return restore

    def give_back(self, row: int) -> None:
        live = self._lives[row - self._rows.start]
        params = self._arena.parameters_of(live)
        states: list[dict[str, Any]] = [{"step": self._age[row - self._rows.start]} for _ in params]
        wide: dict[tuple[int, str], list[Tensor]] = {}
        for block in self._blocks:
            if not block.rows.start <= row < block.rows.stop:
                continue
            for name, tensor in block.state.items():
                own = tensor[row - block.rows.start]
                if block.flat:
                    wide.setdefault((block.group, name), []).append(own)
                else:
                    states[block.tensors[0]][name] = own
        groups = self._arena.groups_of(live)
        for (group, name), pieces in wide.items():
            members = [i for i, own in enumerate(groups) if own == group]
            start = self._arena.columns[members[0]].start
            flat = torch.cat(pieces)
            for i in members:
                columns = self._arena.columns[i]
                part = flat[columns.start - start : columns.stop - start]
                states[i][name] = part.view(self._shapes[i])
        for param, state, shape in zip(params, states, self._shapes, strict=True):
            live.optimizer.state[param] = {
                name: corner(value, param.shape) if _is_of(value, shape) else value
                for name, value in state.items()
            }


def _widened(state: dict[str, Any], own: torch.Size, shape: torch.Size) -> dict[str, Any]:
    """A parameter's state with zeros where it is padded from its *own* shape to *shape*."""
    return {
        name: padded(value.unsqueeze(0), shape).squeeze(0) if _is_of(value, own) else value
        for name, value in state.items()
    }


def _is_of(value: Any, shape: torch.Size) -> bool:
    """Whether *value* has a number for every element of a parameter of *shape*."""
    return isinstance(value, Tensor) and value.shape == shape
