"""A function of tensors as a graph: compiled to fused loops, on a GPU captured as a CUDA graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from automl_opt.training.fused import kernels
from automl_opt.training.fused.slots import leaves, mapped, refilled

WARM_UP = 3
"""Runs before a capture: the libraries that a pass calls set themselves up in the first ones."""


class Traced:
    """*function* as a graph, traced when it is first called; all calls have the same shapes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._graph: Callable[[Sequence[Tensor]], Any] | None = None

    def __call__(self, *given: Any) -> Any:
        flat = leaves(given)
        if self._graph is None:
            self._graph = self._traced(given, flat)
        return self._graph(flat)

    def _traced(self, given: Any, flat: Sequence[Tensor]) -> Callable[[Sequence[Tensor]], Any]:
        """The graph, from the tensors of the arguments to what *function* gives for them."""
        from torch.fx.experimental.proxy_tensor import make_fx  # slow to import

        form: Any = None

        def function(*flat: Tensor) -> list[Tensor]:
            nonlocal form
            found = self._function(*refilled(given, flat))
            form = mapped(lambda _: torch.empty(0), found)
            return leaves(found)

        with kernels.batching():
            traced = make_fx(function)(*flat)
        for node in traced.graph.nodes:
            if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
                raise TypeError(f"the model draws random numbers ({node.target})")
        graph = _captured(traced, flat) if flat[0].is_cuda else _compiled(traced, flat)
        return lambda flat: refilled(form, graph(*flat))


def _compiled(traced: Any, flat: Sequence[Tensor]) -> Callable[..., Sequence[Tensor]]:
    """*traced* as C++."""
    with warnings.catch_warnings():  # of torch's modules, when they are imported
        warnings.simplefilter("ignore", DeprecationWarning)
        from torch._inductor import compile as compiled  # slow to import

        graph: Callable[..., Sequence[Tensor]] = compiled(traced, list(flat))
        graph(*flat)
    return graph


def _captured(traced: Any, flat: Sequence[Tensor]) -> Callable[..., Sequence[Tensor]]:
    """*traced* as a CUDA graph: its kernels, on tensors of its own that inputs are copied to."""
    with torch.cuda.device(flat[0].device):
        own = [tensor.clone() for tensor in flat]
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                traced(*own)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = traced(*own)

    def replay(*flat: Tensor) -> list[Tensor]:
        torch._foreach_copy_(own, list(flat))
        graph.replay()
        return [tensor.clone() for tensor in found]

    return replay
