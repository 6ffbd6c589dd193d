"""What a component under test works with: the plainest of every kind, known to nobody else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from automl_opt.api import (
    ComponentSpec,
    Float,
    InitializerSpec,
    OptimizerSpec,
    Rule,
    SchedulerSpec,
)
from automl_opt.plugin.catalog import Catalog, Component
from automl_opt.training.build import TorchBuilder

if TYPE_CHECKING:
    from torch import Tensor

PLUGIN = "testing"


def init(param: Tensor) -> dict[str, Tensor]:
    return {"momentum": param.new_zeros(param.shape)}


def update(
    param: Tensor, grad: Tensor, state: dict[str, Tensor], *, lr: float, beta: float
) -> tuple[Tensor, dict[str, Tensor]]:
    momentum = beta * state["momentum"] + grad
    return param - lr * momentum, {"momentum": momentum}


def fall(step: int, total: int, *, end: float) -> float:
    return 1.0 + (end - 1.0) * min(step, total) / total


def _of_the_kit(spec: ComponentSpec) -> Component:
    return Component(spec, PLUGIN, "automl-opt", "0", __name__)


OPTIMIZER = _of_the_kit(
    OptimizerSpec(
        name="momentum",
        rule=Rule(init, update, elementwise=True),
        params={"lr": Float(1e-3, 0.1, log=True, default=0.05), "beta": Float(0.0, 0.9)},
    )
)
"""It keeps state, so that a wrapper which forgets its base's state is found out."""

SCHEDULER = _of_the_kit(SchedulerSpec(name="linear", factor=fall, params={"end": Float(0.0, 1.0)}))

INITIALIZER = _of_the_kit(InitializerSpec(name="default"))

BASES = {component.kind: component for component in (OPTIMIZER, SCHEDULER, INITIALIZER)}


def completed(component: Component) -> Component:
    """A wrapper around the plainest of its kind; any other component as it is."""
    if component.wraps and component.base is None:
        return replace(component, base=BASES[component.kind])
    return component


def builder(component: Component, catalog: Catalog) -> TorchBuilder:
    """One that knows *catalog*, the kit's own components, and *component* in any case."""
    known = {(c.kind, c.id): c for c in (*catalog.components(), *BASES.values())}
    for each in component.chain:
        known[each.kind, each.id] = each.alone
    return TorchBuilder(Catalog(known.values()))
