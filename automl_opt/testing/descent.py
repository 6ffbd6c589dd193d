"""Small problems, and a training loop short enough to see that it adds nothing of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from automl_opt.core.params import Value
from automl_opt.plugin.catalog import Catalog, Component
from automl_opt.testing.bases import builder, completed
from automl_opt.training.randomness import generator, seeded

SHAPES = ((4, 5), (5,), (5, 3), (3,))
"""Two matrices and two vectors: the weights of a small network, too."""

Loss = Callable[[Sequence[Tensor], int], Tensor]
"""``loss(parameters, step)``."""


def weights(dtype: torch.dtype = torch.float32, seed: int = 0) -> list[nn.Parameter]:
    source = generator("weights", seed)
    return [
        nn.Parameter(torch.randn(shape, generator=source, dtype=torch.float64).to(dtype))
        for shape in SHAPES
    ]


def quadratic(parameters: Sequence[Tensor], step: int) -> Tensor:
    """Half the sum of squares, the directions between 0.1 and 1 steep."""
    total = parameters[0].new_zeros(())
    for p in parameters:
        steep = torch.linspace(0.1, 1.0, p.numel(), dtype=p.dtype).reshape(p.shape)
        total = total + (steep * p * p).sum() / 2
    return total


def network(parameters: Sequence[Tensor], step: int) -> Tensor:
    """The cross-entropy of a two-layer network on 32 points of three classes."""
    first, bias, second, offset = parameters
    x, y = points(first.dtype)
    return functional.cross_entropy(torch.tanh(x @ first + bias) @ second + offset, y)


def minibatches(parameters: Sequence[Tensor], step: int) -> Tensor:
    """The same on eight of the points at a time, and now and then a thousand times as steep."""
    first, bias, second, offset = parameters
    x, y = points(first.dtype)
    chosen = slice(8 * (step % 4), 8 * (step % 4) + 8)
    logits = torch.tanh(x[chosen] @ first + bias) @ second + offset
    return functional.cross_entropy(logits, y[chosen]) * (1000.0 if step % 7 == 6 else 1.0)


def points(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    source = generator("points")
    y = torch.arange(32) % 3
    centres = torch.randn(3, 4, generator=source, dtype=torch.float64)
    noise = torch.randn(32, 4, generator=source, dtype=torch.float64)
    return (centres[y] + 0.3 * noise).to(dtype), y


def slopes(gradients: Callable[[int], Sequence[Tensor]]) -> Loss:
    """A loss with these gradients whatever the weights; its curvature is 0, but it has one."""

    def loss(parameters: Sequence[Tensor], step: int) -> Tensor:
        total = parameters[0].new_zeros(())
        for p, slope in zip(parameters, gradients(step), strict=True):
            total = total + (slope.to(p.dtype) * p).sum() + 0.0 * (p * p).sum()
        return total

    return loss


def constant_slopes(value: float) -> Loss:
    return slopes(lambda step: [torch.full(shape, value) for shape in SHAPES])


def random_slopes(seed: int = 0) -> Loss:
    def gradients(step: int) -> list[Tensor]:
        source = generator("slopes", seed, step)
        return [torch.randn(shape, generator=source, dtype=torch.float64) for shape in SHAPES]

    return slopes(gradients)


def build(
    component: Component,
    catalog: Catalog,
    parameters: Iterable[Any],
    values: Mapping[str, Value] | None = None,
) -> torch.optim.Optimizer:
    """The optimizer at *values*, or its defaults; a wrapper around the kit's plain momentum."""
    whole = completed(component)
    part = whole.part({component.id: component.defaults() if values is None else values})
    made: torch.optim.Optimizer = builder(whole, catalog).optimizer(part, list(parameters))
    return made


def take_steps(
    component: Component,
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[nn.Parameter],
    loss: Loss,
    steps: Iterable[int],
) -> None:
    """Train for the numbered *steps*; each is seeded by its number, as an engine seeds epochs."""
    whole = completed(component)
    closure, graph = whole.has("closure"), whole.has("create_graph")
    estimate = getattr(optimizer, "estimate_curvature", None)
    switch(optimizer, "train")
    for step in steps:

        def evaluate(step: int = step) -> Tensor:
            optimizer.zero_grad()
            value = loss(parameters, step)
            if graph:  # not backward, which would tie tensors and graph into a knot
                grads = torch.autograd.grad(value, list(parameters), create_graph=True)
                for parameter, grad in zip(parameters, grads, strict=True):
                    parameter.grad = grad
                if estimate is not None:  # here, as in an engine: a wrapper may move the weights
                    estimate()
            else:
                value.backward()
            return value

        with seeded("conformance", "step", step):
            if closure:
                optimizer.step(evaluate)
            else:
                evaluate()
                optimizer.step()
                optimizer.zero_grad()
    switch(optimizer, "eval")


def switch(optimizer: torch.optim.Optimizer, mode: str) -> None:
    """Schedule-free optimizers keep two weights, one to train and one to evaluate."""
    if hasattr(optimizer, mode):
        getattr(optimizer, mode)()


def trained(
    component: Component,
    catalog: Catalog,
    loss: Loss,
    steps: int,
    values: Mapping[str, Value] | None = None,
    *,
    dtype: torch.dtype = torch.float32,
) -> list[Tensor]:
    """The weights after *steps*."""
    parameters = weights(dtype)
    optimizer = build(component, catalog, parameters, values)
    take_steps(component, optimizer, parameters, loss, range(steps))
    return [parameter.detach().clone() for parameter in parameters]
