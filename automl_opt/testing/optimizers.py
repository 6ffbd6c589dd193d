"""Checks of optimizers, each on problems of 43 numbers and a few steps."""

from __future__ import annotations

import copy
import inspect
import io
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from automl_opt.api import OptimizerSpec
from automl_opt.core.params import Value
from automl_opt.plugin.catalog import Catalog, Component
from automl_opt.testing.bases import completed
from automl_opt.testing.check import Check, fail, need
from automl_opt.testing.comparing import copied, distance, finite, same
from automl_opt.testing.descent import (
    Loss,
    build,
    constant_slopes,
    minibatches,
    network,
    quadratic,
    random_slopes,
    slopes,
    take_steps,
    trained,
    weights,
)
from automl_opt.testing.effects import has_effect, settings_for, varied
from automl_opt.testing.raised import raised
from automl_opt.testing.signature import compare
from automl_opt.testing.values import Values, draw, settled, text

KINDS = ("optimizer",)
DTYPES = (torch.float32, torch.bfloat16, torch.float64)
HUGE = 1e30

CLOSE = 1e-9
"""How far two ways of computing one thing in float64 may end from each other, relatively."""


def spec_of(component: Component) -> OptimizerSpec:
    assert isinstance(component.spec, OptimizerSpec)
    return component.spec


def behaviour(component: Component, catalog: Catalog, values: Mapping[str, Value]) -> Any:
    """The weights it trains, to be compared with another optimizer's."""
    return trained(component, catalog, minibatches, 10, values, dtype=torch.float64)


def try_once(component: Component, catalog: Catalog, values: Mapping[str, Value]) -> None:
    """Two steps at *values*: nothing is raised, and the weights stay finite."""
    after = trained(component, catalog, network, 2, values)
    need(finite(after), "its second step makes weights that are not finite")


def check_quadratic(component: Component, catalog: Catalog) -> None:
    """At its defaults 50 steps go down a quadratic: look at the sign, or mend the defaults."""
    _goes_down(component, catalog, quadratic, 50, "quadratic")


def check_network(component: Component, catalog: Catalog) -> None:
    """At its defaults 50 steps lower a small network's loss: mend the update or the defaults."""
    _goes_down(component, catalog, network, 50, "small network")


def _goes_down(
    component: Component, catalog: Catalog, loss: Loss, steps: int, problem: str
) -> None:
    before = float(loss(weights(), 0).detach())
    after = float(loss(trained(component, catalog, loss, steps), 0))
    need(
        after < 0.999 * before,
        f"{steps} steps at its defaults took the loss of a {problem} from {before:.4g} to "
        f"{after:.4g}: look at the sign of the update, and at the default of lr",
    )


def check_parameters(component: Component, catalog: Catalog) -> None:
    """Every declared parameter changes the weights, and no other is taken: declare those used."""
    spec = spec_of(component)
    if spec.rule is not None:
        update = component.code(spec.rule.update)
        given: Any = {*list(_names(update)[:3]), "curvature"} if spec.create_graph else 3
        if spec.rule.coefficients is None:
            compare("update()", update, given, spec.params)
        else:
            make = component.code(spec.rule.coefficients)
            compare("coefficients()", make, 1, spec.params)
            compare("update()", update, given, make(1, **settled(spec, {})), "coefficients()")
    elif spec.wrap is not None and not isinstance(component.code(spec.wrap), type):
        compare("wrap()", component.code(spec.wrap), 1, spec.params)
    for name in varied(spec):
        need(
            _has_effect(component, catalog, name),
            f"{name!r} changes nothing within 120 steps, whatever the other parameters: use it, "
            "or delete it from params",
        )


def _names(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def _has_effect(component: Component, catalog: Catalog, name: str) -> bool:
    """Soon, or after the many steps that some parameters count in."""

    def answer(steps: int) -> Callable[[Values], Any]:
        return lambda values: trained(component, catalog, minibatches, steps, values)

    settings = settings_for(component.spec, name)
    return has_effect(component.spec, name, answer(12), settings) or has_effect(
        component.spec, name, answer(120), settings[:3]
    )


def check_state_dict(component: Component, catalog: Catalog) -> None:
    """``state_dict()`` comes back from a file with ``weights_only=True``: keep plain data in it."""
    optimizer, _ = _after(component, catalog, 3)
    state = optimizer.state_dict()
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    try:
        read = torch.load(file, weights_only=True)
    except Exception as error:  # torch.load has no narrower base
        lines = str(error).strip().splitlines()
        said = next((line.strip() for line in lines if "Unsupported" in line), lines[0])[:150]
        fail(
            f"state_dict() cannot be read back with weights_only=True ({said}): keep tensors, "
            "numbers, text, lists and dicts in it only"
        )
    need(
        same(read, state), "state_dict() comes back from a file with other values: keep plain data"
    )
    again, _ = _after(component, catalog, 0)
    again.load_state_dict(read)
    need(
        same(again.state_dict(), state),
        "load_state_dict() loses some of the state, or changes a dtype: what state_dict() gives, "
        "it must restore",
    )


def _after(
    component: Component, catalog: Catalog, steps: int
) -> tuple[torch.optim.Optimizer, list[nn.Parameter]]:
    parameters = weights()
    optimizer = build(component, catalog, parameters)
    take_steps(component, optimizer, parameters, minibatches, range(steps))
    return optimizer, parameters


def check_resume(component: Component, catalog: Catalog) -> None:
    """Stopping half-way and resuming changes no bit: keep all that lasts in the state."""
    half = 12
    optimizer, parameters = _after(component, catalog, half)
    saved = copy.deepcopy(optimizer.state_dict()), [p.detach().clone() for p in parameters]
    _, undisturbed = _after(component, catalog, 2 * half)  # in between, as others train

    resumed = [nn.Parameter(tensor) for tensor in saved[1]]
    optimizer = build(component, catalog, resumed)
    optimizer.load_state_dict(saved[0])
    take_steps(component, optimizer, resumed, minibatches, range(half, 2 * half))
    need(
        same([p.detach() for p in resumed], [p.detach() for p in undisturbed]),
        f"stopped after {half} steps and resumed from its state_dict(), it ends elsewhere than "
        "undisturbed: keep everything it remembers in the state, nothing in modules, closures or "
        "attributes that state_dict() leaves out",
    )


def check_same_seed(component: Component, catalog: Catalog) -> None:
    """The same seed gives the same bits: draw from torch's generators, which are seeded."""
    once, again = (trained(component, catalog, minibatches, 10) for _ in range(2))
    need(
        same(once, again),
        "two runs under the same seed end in different weights: draw random numbers from torch's "
        "global generator, and remember nothing between runs",
    )


def check_zero_gradient(component: Component, catalog: Catalog) -> None:
    """Gradients of zero leave weights finite: add eps, or guard the division."""
    for start, factor in (("random weights", 1.0), ("weights of zero", 0.0)):
        parameters = weights()
        with torch.no_grad():
            for parameter in parameters:
                parameter.mul_(factor)
        optimizer = build(component, catalog, parameters)
        take_steps(component, optimizer, parameters, constant_slopes(0.0), range(3))
        need(
            finite([p.detach() for p in parameters]),
            f"gradients of zero make {start} NaN or infinite: add eps to the denominator, or take "
            "no step",
        )


def check_huge_gradient(component: Component, catalog: Catalog) -> None:
    """A gradient that is huge, infinite or NaN shows: hide none, for it ends a diverged trial."""

    def after(value: float) -> Any:
        one = [torch.zeros(p.shape) for p in weights()]
        one[0][0, 0] = value
        parameters = weights()
        optimizer = build(component, catalog, parameters)
        take_steps(component, optimizer, parameters, slopes(lambda step: one), range(2))
        return [p.detach().clone() for p in parameters], copied(optimizer.state_dict())

    after(1.0)  # what an ordinary gradient makes it raise is no report of a huge one
    for value in (math.inf, math.nan):
        try:
            left = after(value)
        except Exception:  # an error is a report, too
            continue
        need(
            not finite(left),
            f"a gradient of {value} leaves weights and state finite: do not replace or clamp it, "
            "so that the trial is seen to diverge",
        )
    try:
        left = after(HUGE)
    except Exception:
        return
    need(
        not same(left, after(0.0)),
        f"a gradient of {HUGE:g} changes neither weights nor state: do not skip steps in silence",
    )


def check_dtypes(component: Component, catalog: Catalog) -> None:
    """float32, bfloat16 and float64 work and stay what they are: make tensors with new_zeros."""
    rule = spec_of(component).rule
    for dtype in DTYPES:
        name = str(dtype).removeprefix("torch.")
        if rule is not None:
            _keeps_forms(component, dtype, name)
        try:
            after = trained(component, catalog, network, 3, dtype=dtype)
        except Exception as error:  # the component's own code
            fail(f"weights of {name} make it fail: it {raised(error)}")
        need(finite(after), f"three steps at its defaults make weights of {name} NaN or infinite")
        need(
            all(tensor.dtype is dtype for tensor in after),
            f"it turns weights of {name} into another dtype: write into them with copy_",
        )


def _keeps_forms(component: Component, dtype: torch.dtype, name: str) -> None:
    """Shapes, dtypes and names of what update() returns are those of what it was given."""
    for _, param, grad, state in _calls(component, dtype, steps=1):
        after, new_state = _update(component, 1, param, grad, state, settled(component.spec, {}))
        need(
            (after.shape, after.dtype) == (param.shape, dtype),
            f"update() turns a parameter of {name} {list(param.shape)} into "
            f"{str(after.dtype).removeprefix('torch.')} {list(after.shape)}: keep shape and dtype",
        )
        need(
            new_state.keys() == state.keys(),
            f"init() makes the state {sorted(state)}, update() the state {sorted(new_state)}: give "
            "both the same names",
        )
        for key, old in state.items():
            new = new_state[key]
            need(
                (new.shape, new.dtype) == (old.shape, old.dtype),
                f"update() turns state[{key!r}] of {old.dtype} {list(old.shape)} into "
                f"{new.dtype} {list(new.shape)}, with weights of {name}: keep shape and dtype",
            )


def _calls(
    component: Component, dtype: torch.dtype, steps: int
) -> list[tuple[int, Tensor, Tensor, dict[str, Tensor]]]:
    """``(step, param, grad, state)`` before update() for every weight, after *steps* - 1 steps."""
    rule = spec_of(component).rule
    assert rule is not None
    init, values = component.code(rule.init), settled(component.spec, {})
    calls = []
    for index, parameter in enumerate(weights(dtype)):
        param, grad = parameter.detach(), weights(dtype, seed=1)[index].detach()
        state = init(param)
        for t in range(1, steps):
            param, state = _update(component, t, param, grad, state, values)
        calls.append((steps, param, grad, state))
    return calls


def _update(
    component: Component,
    t: int,
    param: Tensor,
    grad: Tensor,
    state: dict[str, Tensor],
    values: Mapping[str, Value],
) -> tuple[Tensor, dict[str, Tensor]]:
    """One call of the rule at step *t*, counted from 1."""
    return _call(component, {}, param, grad, state, _numbers(component, t, values))


def _numbers(component: Component, t: int, values: Mapping[str, Value]) -> Mapping[str, Any]:
    rule = spec_of(component).rule
    assert rule is not None
    if rule.coefficients is None:
        return values
    made: Mapping[str, Any] = component.code(rule.coefficients)(t, **values)
    return made


def check_groups(component: Component, catalog: Catalog) -> None:
    """Groups keep their own learning rate, and obey a schedule: read it from the group."""

    def after(second: float, later: float) -> list[Tensor]:
        """The second group's weights; its rate is *second* times the first's, then *later*."""
        parameters = weights()
        optimizer = build(
            component, catalog, [{"params": parameters[:2]}, {"params": parameters[2:]}]
        )
        for factor, step in ((second, 0), (later, 1)):
            for group in optimizer.param_groups[1:]:
                if "lr" in group:
                    group["lr"] = group["lr"] * factor
            take_steps(component, optimizer, parameters, minibatches, [step, step + 2])
        return [p.detach() for p in parameters[2:]]

    try:
        alike, slower, slowed = after(1.0, 1.0), after(0.5, 1.0), after(1.0, 0.5)
    except Exception as error:  # the component's own code
        fail(f"two parameter groups make it fail: it {raised(error)}: loop over param_groups")
    if "lr" not in completed(component).chain[-1].spec.params:
        return
    need(
        not same(alike, slower),
        "the learning rate of a second group changes nothing: read group['lr'] in every step, and "
        "let a wrapper share the param_groups of what it wraps",
    )
    need(
        not same(alike, slowed),
        "a learning rate that changes between steps changes nothing: read group['lr'] in every "
        "step, or no schedule can move it",
    )


def check_twin(component: Component, catalog: Catalog) -> None:
    """It ends where its declared twin ends, in float64: one of the two is not what it says."""
    spec = spec_of(component)
    assert spec.twin is not None
    make = component.code(spec.twin)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # some of torch's optimizers keep numbers in it
    try:
        for seed in range(3):
            values = draw(spec, seed)
            apart = _apart(component, catalog, make, values)
            need(
                apart <= CLOSE,
                f"at {text(values)} it ends {apart:.2g} away from its twin: mend the formula, or "
                "what twin() translates its parameters into",
            )
    finally:
        torch.set_default_dtype(default)


def _apart(
    component: Component,
    catalog: Catalog,
    make: Callable[..., torch.optim.Optimizer],
    values: Mapping[str, Value],
) -> float:
    """The largest difference of the weights.

    Both are given the gradients at the twin's weights, so that chaos cannot enlarge rounding; an
    optimizer that evaluates the model itself goes its own way, in fewer steps.
    """
    ours, theirs = weights(torch.float64), weights(torch.float64)
    mine, twin = build(component, catalog, [{"params": ours}], values), make(theirs, **values)
    alone = completed(component).has("closure") or completed(component).has("create_graph")
    for step in range(5 if alone else 30):
        taken = [p.detach().clone().requires_grad_() for p in theirs]
        grads = torch.autograd.grad(minibatches(taken, step), taken)
        given = slopes(lambda step, grads=grads: grads)  # type: ignore[misc]
        for optimizer, parameters in ((mine, ours), (twin, theirs)):
            take_steps(component, optimizer, parameters, network if alone else given, [step])
    return distance([p.detach() for p in ours], [p.detach() for p in theirs])


def check_pure(component: Component, catalog: Catalog) -> None:
    """update() and coefficients() change none of their inputs: return new tensors."""
    rule = spec_of(component).rule
    assert rule is not None
    values = settled(component.spec, {})
    for t, param, grad, state in _calls(component, torch.float32, steps=3):
        given = {"param": param, "grad": grad, **{f"state[{k!r}]": v for k, v in state.items()}}
        names, before = set(state), copied(given)
        first, _ = _update(component, t, param, grad, state, values)
        first = first.clone()
        for name, tensor in given.items():
            need(
                same(tensor, before[name]),
                f"update() changed its input {name}: return new tensors instead of writing into it",
            )
        need(
            set(state) == names and all(state[k] is given[f"state[{k!r}]"] for k in names),
            "update() changed the dict it was given as state: return a new one",
        )
        again, _ = _update(component, t, param, grad, state, values)
        need(
            same(first, again),
            "update() gives another answer to the same inputs: let it depend on nothing else",
        )
    forwards = [dict(_numbers(component, t, values)) for t in (1, 2, 3, 1000)]
    backwards = [dict(_numbers(component, t, values)) for t in (1000, 3, 2, 1)]
    need(
        same(forwards, backwards[::-1]),
        "coefficients() gives another answer to the same t: let it depend on its arguments alone",
    )


def check_vmap(component: Component, catalog: Catalog) -> None:
    """K recipes under torch.vmap are K single runs: no ``if`` on tensors, no ``.item()``."""
    rule, k = spec_of(component).rule, 3
    assert rule is not None
    init, recipes = component.code(rule.init), [draw(component.spec, seed) for seed in range(k)]
    for index in range(len(weights())):
        params = [weights(torch.float64, seed)[index].detach() for seed in range(k)]
        states = [init(param) for param in params]
        together = torch.stack(params), {n: torch.stack([s[n] for s in states]) for n in states[0]}
        for t in range(1, 6):
            grads = [weights(torch.float64, 10 * t + seed)[index].detach() for seed in range(k)]
            now = torch.stack(grads)
            columns, fixed = _columns([_numbers(component, t, recipe) for recipe in recipes])
            one = partial(_call, component, fixed)
            rows = [{name: float(column[i]) for name, column in columns.items()} for i in range(k)]
            alone = [one(*each) for each in zip(params, grads, states, rows, strict=True)]
            params, states = [pair[0] for pair in alone], [pair[1] for pair in alone]
            try:
                together = torch.vmap(one)(together[0], now, together[1], columns)
            except Exception as error:  # torch raises several kinds
                text = " ".join(str(error).split())[:200]
                fail(
                    f"update() does not run under torch.vmap ({type(error).__name__}: {text}): use "
                    "torch.where for what hangs on a value, and no .item(), float() or in-place "
                    "writing"
                )
        apart = distance(together[0], torch.stack(params))
        need(
            apart <= CLOSE,
            f"{k} recipes under torch.vmap end {apart:.2g} away from {k} single runs: treat the "
            "numbers that update() gets as tensors",
        )


def _columns(
    numbers: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """One column a number, ``[K]``; and the choices, the first recipe's for all.

    Recipes that differ in a choice train apart.
    """
    columns, fixed = {}, {}
    for name, first in numbers[0].items():
        of_k = [each.get(name, first) for each in numbers]
        if all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in of_k):
            columns[name] = torch.tensor(of_k, dtype=torch.float64)
        else:
            fixed[name] = first
    return columns, fixed


def _call(
    component: Component,
    fixed: Mapping[str, Any],
    param: Tensor,
    grad: Tensor,
    state: dict[str, Tensor],
    numbers: Mapping[str, Any],
) -> tuple[Tensor, dict[str, Tensor]]:
    """The rule's update, whose *numbers* are floats or, of K recipes, tensors."""
    spec = spec_of(component)
    assert spec.rule is not None
    curvature = {"curvature": grad.abs()} if spec.create_graph else {}
    after: tuple[Tensor, dict[str, Tensor]]
    after = component.code(spec.rule.update)(param, grad, state, **numbers, **fixed, **curvature)
    return after


def check_decay(component: Component, catalog: Catalog) -> None:
    """The declared decay moves matrices and spares vectors: apply it as the group's option."""
    spec = spec_of(component)
    assert spec.decay is not None
    param = spec.params[spec.decay]
    strongest = max(n for n in getattr(param, "choices", None) or (param.high,) if n is not None)  # type: ignore[union-attr]
    start = draw(spec, 0)
    without, with_it = (
        trained(component, catalog, random_slopes(), 5, settled(spec, start | {spec.decay: value}))
        for value in (0.0, strongest)
    )
    for plain, decayed in zip(without, with_it, strict=True):
        if plain.ndim >= 2:
            need(
                not same(plain, decayed),
                f"{spec.decay}={strongest!r} leaves matrices as they are: decay names a parameter "
                "that does not decay",
            )
        else:
            need(
                same(plain, decayed),
                f"{spec.decay}={strongest!r} moves vectors, though their group has {spec.decay}=0: "
                "read the decay from the group",
            )


def _is_rule(component: Component) -> bool:
    return spec_of(component).rule is not None


CHECKS = (
    Check("quadratic", KINDS, check_quadratic),
    Check("network", KINDS, check_network),
    Check("parameters", KINDS, check_parameters),
    Check("state_dict", KINDS, check_state_dict),
    Check("resume", KINDS, check_resume),
    Check("same_seed", KINDS, check_same_seed),
    Check("zero_gradient", KINDS, check_zero_gradient),
    Check("huge_gradient", KINDS, check_huge_gradient),
    Check("dtypes", KINDS, check_dtypes),
    Check("groups", KINDS, check_groups),
    Check("twin", KINDS, check_twin, lambda c: spec_of(c).twin is not None),
    Check("pure", KINDS, check_pure, _is_rule),
    Check("vmap", KINDS, check_vmap, _is_rule),
    Check("decay", KINDS, check_decay, lambda c: spec_of(c).decay is not None),
)
