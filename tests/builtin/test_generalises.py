"""What a component generalises, run beside it: at the declared values the two are one."""

from __future__ import annotations

import pytest
import torch

from automl_opt.plugin.host import load_host
from automl_opt.training.build import TorchBuilder

CATALOG = load_host(allow=()).catalog

RELATIONS = [
    pytest.param(
        component, CATALOG.find(component.kind, other), dict(values), id=f"{component.id} {other}"
    )
    for component in CATALOG.components()
    for other, values in component.spec.generalises.items()
]
OPTIMIZERS = [relation for relation in RELATIONS if relation.values[0].kind == "optimizer"]
SCHEDULERS = [relation for relation in RELATIONS if relation.values[0].kind == "scheduler"]


def parameters_of_both(component, other, values, draw, sample):
    """Drawn values of each, those of equal names equal, the declared ones set."""
    ours = draw(component.spec, sample) | values
    theirs = draw(other.spec, sample)
    return ours, {name: ours.get(name, value) for name, value in theirs.items()}


@pytest.mark.parametrize(("component", "other", "values"), OPTIMIZERS)
@pytest.mark.parametrize("sample", range(4))
def test_an_optimizer_is_the_one_it_generalises(component, other, values, sample, draw):
    builder = TorchBuilder(CATALOG)
    ends = []
    for each, params in zip(
        (component, other), parameters_of_both(component, other, values, draw, sample), strict=True
    ):
        generator = torch.Generator().manual_seed(sample)
        shapes = ((4, 3), (3,), ())
        weights = [
            torch.nn.Parameter(torch.randn(shape, generator=generator).double()) for shape in shapes
        ]
        optimizer = builder.optimizer(each.part({each.id: params}), [{"params": weights}])
        for step in range(50):
            optimizer.param_groups[0]["lr"] = params["lr"] * (1 - step / 60)
            for weight in weights:
                weight.grad = torch.randn(weight.shape, generator=generator).double()
            optimizer.step()
        ends.append(torch.cat([weight.detach().reshape(-1) for weight in weights]))

    assert (ends[0] - ends[1]).abs().max() <= 1e-12


@pytest.mark.parametrize(("component", "other", "values"), SCHEDULERS)
@pytest.mark.parametrize("total", [1, 2, 7, 100])
@pytest.mark.parametrize("sample", range(4))
def test_a_scheduler_is_the_one_it_generalises(component, other, values, total, sample, draw):
    both = parameters_of_both(component, other, values, draw, sample)

    ours, theirs = (
        factors(each, params, total) for each, params in zip((component, other), both, strict=True)
    )

    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= 1e-12


def factors(component, params, total):
    """The multiplier at every step; an observer sees a loss that does not improve."""
    if component.spec.factor is not None:
        function = component.code(component.spec.factor)
        return [function(step, total, **params) for step in range(total)]
    observe, state, found = component.code(component.spec.observe), None, []
    for _ in range(total):
        found.append(1.0 if state is None else state["factor"])
        state = observe(1.0, state, **params)
    return found
