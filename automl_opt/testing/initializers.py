"""Checks of initializers, on matrices and convolution kernels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from automl_opt.api import InitializerSpec
from automl_opt.core.params import Value
from automl_opt.plugin.catalog import Catalog, Component
from automl_opt.testing.check import Check, fail, need
from automl_opt.testing.comparing import finite, same
from automl_opt.testing.effects import has_effect, varied
from automl_opt.testing.raised import raised
from automl_opt.testing.signature import compare
from automl_opt.testing.values import at_the_ends, draw, settled, text
from automl_opt.training.randomness import generator, seeded

KINDS = ("initializer",)
SHAPES = ((1, 1), (3, 5), (6, 2), (4, 2, 3, 3), (2, 3, 1))
UNTOUCHED = 777.25
"""What a tensor is full of before *init*; no initializer makes it by chance."""

LARGE = ((256, 128), (64, 192), (64, 32, 3, 3))


def spec_of(component: Component) -> InitializerSpec:
    assert isinstance(component.spec, InitializerSpec)
    return component.spec


def filled(
    component: Component,
    shape: tuple[int, ...],
    values: Mapping[str, Value],
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """A tensor after *init*."""
    tensor = torch.full(shape, UNTOUCHED, dtype=dtype)
    with torch.no_grad():
        component.code(spec_of(component).init or "")(tensor, generator("init", seed), **values)
    return tensor


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


def fitted(component: Component, values: Mapping[str, Value]) -> list[Tensor]:
    """A small network's weights after *fit*."""
    with seeded("fit"):
        model = network()
        x = torch.randn(32, 4)
        component.code(spec_of(component).fit or "")(model, x, **values)
    return [p.detach().clone() for p in model.parameters()]


def everything(component: Component, values: Mapping[str, Value], seed: int = 0) -> list[Tensor]:
    """All that it does: weights of several shapes, then a network fitted to data."""
    spec = spec_of(component)
    done = [] if spec.init is None else [filled(component, s, values, seed) for s in SHAPES]
    return done if spec.fit is None else done + fitted(component, values)


def behaviour(component: Component, catalog: Catalog, values: Mapping[str, Value]) -> Any:
    """The weights it makes, to be compared with another initializer's."""
    return everything(component, values)


def try_once(component: Component, catalog: Catalog, values: Mapping[str, Value]) -> None:
    """It fills and fits at *values*, with finite numbers."""
    done = everything(component, values)
    need(finite(done), "it makes weights that are not finite")


def check_variance(component: Component, catalog: Catalog) -> None:
    """The measured variance is the one that ``variance`` states: mend whichever is wrong."""
    spec = spec_of(component)
    state = component.code(spec.variance or "")
    for _, values in at_the_ends(spec):
        for shape in LARGE:
            stated = float(state(shape, **values))
            tensor = filled(component, shape, values, dtype=torch.float64)
            square = (tensor - tensor.mean()) ** 2
            measured = float(square.mean())
            spread = 5 * float(square.std()) / math.sqrt(square.numel()) + 5e-3 * abs(stated)
            need(
                abs(measured - stated) <= spread,
                f"at {text(values)} a weight of {list(shape)} has variance {measured:.4g}, "
                f"variance() states {stated:.4g}: mend whichever is wrong",
            )


def check_finite(component: Component, catalog: Catalog) -> None:
    """Weights of every shape and dtype end finite: guard empty fans and single rows."""
    spec = spec_of(component)
    for seed in range(3):
        values = draw(spec, seed)
        need(
            finite(everything(component, values)),
            f"at {text(values)} it makes weights NaN or infinite: guard divisions, clamp gains",
        )
        for shape in SHAPES if spec.init is not None else ():
            for dtype in (torch.float32, torch.float64):
                after = filled(component, shape, values, dtype=dtype)
                need(
                    finite(after),
                    f"at {text(values)} a weight of {list(shape)} {dtype} becomes NaN or infinite",
                )


def check_in_place(component: Component, catalog: Catalog) -> None:
    """``init`` fills the tensor it is handed, all of it: write into it, return nothing."""
    for shape in SHAPES:
        tensor = torch.full(shape, UNTOUCHED)
        with torch.no_grad():
            returned = component.code(spec_of(component).init or "")(
                tensor, generator("init", 0), **settled(component.spec, {})
            )
        need(
            not bool((tensor == UNTOUCHED).any()),
            f"init() leaves values of a weight of {list(shape)} as they were: fill the tensor it "
            "is given in place, every value",
        )
        need(
            returned is None or returned is tensor,
            "init() returns another tensor, which nobody reads: write into the one it is given",
        )


def check_same_seed(component: Component, catalog: Catalog) -> None:
    """The generator decides, and nothing else: hand ``generator=`` on to whatever draws."""
    values = settled(component.spec, {})
    with seeded("one"):
        once = everything(component, values)
    with seeded("other"):
        again = everything(component, values)
    need(
        same(once, again),
        "the same generator gives other weights on a second call: draw from the generator it is "
        "handed and from nothing else",
    )


def check_parameters(component: Component, catalog: Catalog) -> None:
    """Every declared parameter changes the weights, and no other is taken: declare those used."""
    spec = spec_of(component)
    for name in ("init", "fit"):
        code = getattr(spec, name)
        if code is not None:
            compare(f"{name}()", component.code(code), 2, spec.params)
    for name in varied(spec):
        need(
            has_effect(spec, name, partial(everything, component)),
            f"{name!r} changes no weight: use it, or delete it from params",
        )


def check_fit(component: Component, catalog: Catalog) -> None:
    """``fit`` runs on a small network and changes its weights: write into the parameters."""
    with seeded("fit"):
        before = [p.detach().clone() for p in network().parameters()]
    try:
        after = fitted(component, settled(component.spec, {}))
    except Exception as error:  # the component's own code
        fail(f"fit() {raised(error)} on a network of three linear layers")
    need(not same(before, after), "fit() changes no weight: write into the parameters, in place")


def _fills(component: Component) -> bool:
    return spec_of(component).init is not None


def _does_something(component: Component) -> bool:
    return spec_of(component).init is not None or spec_of(component).fit is not None


CHECKS = (
    Check("variance", KINDS, check_variance, lambda c: spec_of(c).variance is not None),
    Check("finite", KINDS, check_finite, _does_something),
    Check("in_place", KINDS, check_in_place, _fills),
    Check("same_seed", KINDS, check_same_seed, _does_something),
    Check("parameters", KINDS, check_parameters, _does_something),
    Check("fit", KINDS, check_fit, lambda c: spec_of(c).fit is not None),
)
