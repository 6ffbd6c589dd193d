"""Graphs for kinds of trials: made, and compared with what the stack itself computes.

On a CPU that takes 10 to 80 seconds a graph. Fused loops add in another order than torch's kernels:
the last bits of a trial are others than in a stack that is not compiled.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from automl_opt.training.fused.alike import places, signature
from automl_opt.training.fused.arena import corner
from automl_opt.training.fused.graph import Graph, Noise, rows_of
from automl_opt.training.fused.hooks import hooks_of
from automl_opt.training.fused.kernels import SlotKernels
from automl_opt.training.fused.slots import mapped
from automl_opt.training.fused.stack import Stack
from automl_opt.training.fused.traced import Traced
from automl_opt.training.live import LiveTrial
from automl_opt.training.task import where

BITS = "the last bits of a row would depend on its place"


def compiler() -> str | None:
    """Where the C++ compiler is that graphs need; ``None`` where there is none."""
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    return shutil.which(os.environ.get("CXX", usual))


def unable(device: torch.device) -> str | None:
    """Why nothing is compiled for *device*; ``None`` where it can be."""
    if device.type not in ("cpu", "cuda"):
        return f"is for cpu and cuda, and the device is {device}"
    if device.type == "cpu" and compiler() is None:
        return (
            "needs a C++ compiler, and none was found: install g++ (Debian: apt install g++), or "
            "name another one in the variable CXX"
        )
    return None


def kind(live: LiveTrial) -> Hashable:
    """Equal for trials that one graph can serve."""
    if live.kind is None:
        dropouts = tuple(place.path for place in places(live.model) if place.dropout is not None)
        live.kind = signature(live), dropouts, tuple(hook.key for hook in hooks_of(live, "loss"))
    return live.kind


def repaid_after(live: LiveTrial) -> float:
    """Seconds of training of trials like *live* for which a graph is worth making.

    Compiling takes up to 80 seconds and saves a third of the time; a capture takes one.
    """
    return 300.0 if live.setup.device.type == "cpu" else 10.0


class Graphs:
    """The graphs of an engine, made when they are first asked for."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Graph | str] = {}

    def of(self, live: LiveTrial, twin: Callable[[int], LiveTrial]) -> Graph | str:
        """The graph for trials like *live*, or why there is none.

        Args:
            twin: ``twin(number)`` makes another trial of the recipe.
        """
        if (said := _refusal(live)) is not None:
            return said
        key = kind(live)
        if key not in self._known:
            try:
                self._known[key] = _made(twin)
            except Exception as error:  # whatever torch's compiler makes of a model
                self._known[key] = where(error)
        return self._known[key]


def _refusal(live: LiveTrial) -> str | None:
    """Why a stack of trials like *live* is not compiled, as far as recipe and machine say."""
    if (said := unable(live.setup.device)) is not None:
        return said
    if live.step.hooks["mix"]:
        return "a regularizer mixes examples"
    if live.step.create_graph:
        return f"{live.trial.recipe.optimizer.name} differentiates the gradients"
    if live.step.accumulate > 1:
        return "a batch is run in several pieces"
    return None


def _made(twin: Callable[[int], LiveTrial]) -> Graph | str:
    """A graph that was tried on as many trials as it has rows."""
    few = Stack([twin(0), twin(1)])
    few.open_epoch()
    rows = rows_of(few.kept(*next(few.batches())) // 2, few.setup.device)
    stack = Stack([twin(number) for number in range(rows)])
    stack.open_epoch()
    x, y = next(stack.batches())
    noises = _noises(stack, x, y)
    shared = frozenset(name for name, whole in stack.arena.kept.items() if not whole.stride(0))
    graph = Graph(rows, Traced(_pass_of(stack, noises)), y.shape[1], shared, noises)
    tolerance = math.sqrt(torch.finfo(stack.setup.autocast or stack.setup.dtype).eps)
    with torch.no_grad():
        if not all(distance <= tolerance for distance in _distances(stack, graph)):
            return "compiled, it computes something else"
        return graph if _in_any_place(stack, graph) else BITS


def _distances(stack: Stack, graph: Graph) -> Iterator[float]:
    """How far losses, gradients and buffers of two batches are from the stack's own, relative."""
    buffers = stack.arena.buffers
    for at in range(2):
        stack.open_epoch()
        x, y = next(islice(stack.batches(), at, None))
        if y.shape[1] != graph.batch:
            continue
        before = [tensor.clone() for tensor in buffers]
        with torch.enable_grad():
            losses, grads, _ = stack.gradients(x, y)
        expected = [losses, stack.arena.joined(grads), *(tensor.clone() for tensor in buffers)]
        for tensor, value in zip(buffers, before, strict=True):
            tensor.copy_(value)
        stack.open_epoch()  # so that the same noise is drawn
        found = [*graph(*stack.given(x, y, graph.noises)), *buffers]
        for one, other in zip(expected, found, strict=True):
            apart = (one.double() - other.double()).abs().max()
            yield float(apart / one.double().abs().max().clamp(min=1e-3))


def _in_any_place(stack: Stack, graph: Graph) -> bool:
    """Whether rows that change places keep their bits."""
    stack.open_epoch()
    given = stack.given(*next(stack.batches()), graph.noises)

    def at(shift: int) -> list[Tensor]:
        own = mapped(lambda tensor: tensor.roll(shift, 0), given)
        found = [*graph(*own), *own[1].values()]
        return [tensor.roll(-shift, 0) for tensor in found]

    return all(map(torch.equal, at(0), at(5)))


def _noises(stack: Stack, x: Any, y: Tensor) -> tuple[Noise, ...]:
    """What the dropouts draw in a pass."""
    found: list[Noise] = []

    def note(site: int, inputs: Tensor) -> None:
        found.append(Noise(site, inputs.shape, inputs.dtype))

    hooks = [
        site.register_forward_pre_hook(lambda _, args, at=at: note(at, args[0]))
        for at, site in enumerate(stack.dropouts)
    ]
    with torch.no_grad():
        stack.losses(x, y)
    for hook in hooks:
        hook.remove()
    if len({noise.site for noise in found}) < len(found):
        raise TypeError("a dropout is used several times in a pass")
    return tuple(found)


def _pass_of(stack: Stack, noises: Sequence[Noise]) -> Callable[..., Any]:
    """A pass as a function of all its tensors; see :class:`Graph`."""
    template, arena = stack.template, stack.arena
    hooks = hooks_of(stack.lives[0], "loss")
    shapes = [weight.shape for weight in stack.lives[0].step.weights]  # alike where hooks are
    buffers = [name for name, _ in template.named_buffers()]

    def row(values: Any, shared: Any, kept: Any, numbers: Any, drawn: Any, x: Any, y: Any) -> Any:
        def loss(values: Sequence[Tensor]) -> Any:
            own = {name: tensor.clone() for name, tensor in kept.items()}
            inside = SlotKernels((), values[0]) if stack.in_slots else nullcontext()
            for noise, tensor in zip(noises, drawn, strict=True):
                stack.dropouts[noise.site].noise = tensor
            learned = dict(zip(arena.names, values, strict=True))
            with stack.setup.precision(), inside:
                outputs = stack.body({**learned, **shared, **own}, x)
                value = stack.loss_of(outputs, y)
            weights = [tensor for tensor in values if tensor.ndim >= 2]
            weights = [corner(whole, own) for whole, own in zip(weights, shapes, strict=True)]
            for hook, given in zip(hooks, numbers, strict=True):
                value = hook.function(value, weights, outputs, y, **given, **hook.fixed)
            return value, {name: own[name] for name in buffers}

        grads, (value, after) = torch.func.grad_and_value(loss, has_aux=True)(values)
        return value, grads, after

    def whole(theta: Tensor, shared: Any, *rest: Any) -> Any:
        places = (0, None, 0, 0, 0, 0, 0)
        try:
            found = torch.vmap(row, in_dims=places)(arena.views(theta), shared, *rest)
        finally:
            for site in stack.dropouts:
                site.noise = None
        losses, grads, after = found
        return losses, arena.joined(grads), after

    return whole
