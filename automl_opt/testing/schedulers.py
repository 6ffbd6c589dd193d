"""Checks of learning-rate schedules: tables of factors, and observers of a metric."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from automl_opt.api import SchedulerSpec
from automl_opt.core.params import Value
from automl_opt.plugin.catalog import Catalog, Component
from automl_opt.testing.bases import completed
from automl_opt.testing.check import Check, fail, need
from automl_opt.testing.comparing import copied, finite, same
from automl_opt.testing.effects import has_effect, varied
from automl_opt.testing.raised import raised
from automl_opt.testing.signature import compare
from automl_opt.testing.values import draw, text

KINDS = ("scheduler",)
TOTALS = (2, 7, 100)
DRAWS = 4
METRICS = (
    *(2 - 0.1 * epoch for epoch in range(10)),
    *(1.0 + 0.01 * (epoch % 3) for epoch in range(25)),
    math.inf,
    math.nan,
    *(0.9 - 1e-3 * epoch for epoch in range(25)),
)
"""A validation loss that falls, stays, is no number twice, and creeps down."""

Factor = Callable[[int, int], float]


def spec_of(component: Component) -> SchedulerSpec:
    assert isinstance(component.spec, SchedulerSpec)
    return component.spec


def factor_of(component: Component, values: Mapping[str, Value]) -> Factor:
    """The schedule at *values*; a wrapper around its base at the base's defaults."""
    spec = spec_of(component)
    if spec.wrap is None:
        code = component.code(spec.factor or "")
        return lambda step, total: code(step, total, **values)
    whole = completed(component)
    assert whole.base is not None
    base = whole.base
    inner = _one if spec_of(base).observe else factor_of(base, base.defaults())
    return wrapped(component, inner, values)


def wrapped(component: Component, inner: Factor, values: Mapping[str, Value]) -> Factor:
    code = component.code(spec_of(component).wrap or "")
    return lambda step, total: code(inner, step, total, **values)


def _one(step: int, total: int) -> float:
    return 1.0


def observed(
    component: Component, metrics: Sequence[float], values: Mapping[str, Value]
) -> list[dict[str, Any]]:
    """The state after each of *metrics*."""
    observe = component.code(spec_of(component).observe or "")
    states: list[Any] = [None]
    for metric in metrics:
        states.append(observe(metric, copied(states[-1]), **values))
    return states[1:]


def answers(component: Component, values: Mapping[str, Value], total: int = 100) -> list[Any]:
    """What the schedule says: a factor for each of *total* steps, or for each metric."""
    if spec_of(component).observe is not None:
        return [state["factor"] for state in observed(component, METRICS, values)]
    factor = factor_of(component, values)
    return [factor(step, total) for step in range(total)]


def behaviour(component: Component, catalog: Catalog, values: Mapping[str, Value]) -> Any:
    """What it says, a step or an epoch at a time, to be compared with another schedule."""
    return [float(said) for said in answers(component, values, len(METRICS))]


def try_once(component: Component, catalog: Catalog, values: Mapping[str, Value]) -> None:
    """It says nothing but finite numbers at *values*."""
    for total in (100,) if spec_of(component).observe is not None else (2, 100):
        for said in answers(component, values, total):
            need(finite(said), f"it says {said!r}")


def _is_factor(said: Any) -> bool:
    is_number = isinstance(said, (int, float)) and not isinstance(said, bool)
    return is_number and math.isfinite(said) and said >= 0


def check_finite(component: Component, catalog: Catalog) -> None:
    """Every factor is a finite number of at least 0, past the end too: clamp the progress."""
    for seed in range(DRAWS):
        values = draw(component.spec, seed)
        if spec_of(component).observe is not None:
            for epoch, said in enumerate(answers(component, values), start=1):
                need(
                    _is_factor(said),
                    f"at {text(values)} the factor is {said!r} after epoch {epoch}: it must be a "
                    "finite number of at least 0, after a loss of inf or NaN too",
                )
            continue
        factor = factor_of(component, values)
        for total in TOTALS:
            for step in range(total + 3):
                said = factor(step, total)
                need(
                    _is_factor(said),
                    f"at {text(values)} the factor is {said!r} at step {step} of {total}: it must "
                    "be a finite Python number of at least 0, past the end too",
                )


def check_total_one(component: Component, catalog: Catalog) -> None:
    """A run of a single step trains: guard divisions by the steps of a phase."""
    for seed in range(DRAWS):
        values = draw(component.spec, seed)
        try:
            said = factor_of(component, values)(0, 1)
        except Exception as error:  # the component's own code
            fail(f"at {text(values)} a run of one step makes it fail: it {raised(error)}")
        need(
            _is_factor(said) and said > 0,
            f"at {text(values)} the factor is {said!r} in a run of one step, which so learns "
            "nothing: give it a factor above 0",
        )


def check_pure(component: Component, catalog: Catalog) -> None:
    """The answer hangs on the arguments alone, which stay as they are: keep no memory."""
    for seed in range(DRAWS):
        values = draw(component.spec, seed)
        if spec_of(component).observe is not None:
            _observes_purely(component, values)
            continue
        factor = factor_of(component, values)
        forwards = [factor(step, 50) for step in range(50)]
        backwards = [factor(step, 50) for step in reversed(range(50))]
        need(
            same(forwards, backwards[::-1]),
            f"at {text(values)} it gives another factor for the same step when asked again: "
            "compute it from step and total alone",
        )


def _observes_purely(component: Component, values: Mapping[str, Value]) -> None:
    observe = component.code(spec_of(component).observe or "")
    for state in observed(component, METRICS[:40], values)[::5]:
        given = copied(state)
        first = copied(observe(0.95, given, **values))
        need(
            same(given, state),
            "observe() changed the state it was given: return a new dict, {**state, …}",
        )
        need(
            same(observe(0.95, given, **values), first),
            "observe() gives another answer to the same metric and state: keep no memory elsewhere",
        )


def check_parameters(component: Component, catalog: Catalog) -> None:
    """Every declared parameter changes a factor, and no other is taken: declare those used."""
    spec = spec_of(component)
    for name, given in (("factor", 2), ("observe", 2), ("wrap", 3)):
        code = getattr(spec, name)
        if code is not None:
            compare(f"{name}()", component.code(code), given, spec.params)
    for name in varied(spec):
        need(
            has_effect(spec, name, partial(answers, component)),
            f"{name!r} changes no factor, whatever the other parameters: use it, or delete it "
            "from params",
        )


def check_resume(component: Component, catalog: Catalog) -> None:
    """The state is plain data that JSON can carry: keep numbers in it, ``factor`` among them."""
    for seed in range(DRAWS):
        values = draw(component.spec, seed)
        states = observed(component, METRICS, values)
        for state in states[::7]:
            need(
                isinstance(state, dict) and "factor" in state,
                f"observe() returned {state!r}: return a dict with the multiplier under 'factor'",
            )
            try:
                read = json.loads(json.dumps(state))
            except (TypeError, ValueError) as error:
                fail(f"the state of observe() is no plain data ({error}): keep numbers in it only")
            need(
                same(read, state),
                f"the state {state!r} comes back from JSON as {read!r}: keep plain numbers in it",
            )
        observe = component.code(spec_of(component).observe or "")
        middle = len(METRICS) // 2
        state = json.loads(json.dumps(states[middle - 1]))
        for metric, undisturbed in zip(METRICS[middle:], states[middle:], strict=True):
            state = observe(metric, state, **values)
            need(
                same(state, undisturbed),
                "resumed from its state it goes another way: keep all that it remembers in there",
            )


def check_twin(component: Component, catalog: Catalog) -> None:
    """It is its declared torch twin at every step: one of the two is not what it says."""
    spec = spec_of(component)
    make = component.code(spec.twin or "")
    for seed in range(DRAWS):
        values = draw(spec, seed)
        if spec.observe is not None:
            metrics = [metric for metric in METRICS if math.isfinite(metric)]
            optimizer = _an_optimizer()
            twin = make(optimizer, len(metrics), **values)
            for epoch, state in enumerate(observed(component, metrics, values)):
                twin.step(metrics[epoch])
                _compare(state["factor"], optimizer, f"after epoch {epoch + 1}", values)
            continue
        factor = factor_of(component, values)
        for total in (1, *TOTALS):
            optimizer = _an_optimizer()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch wants an optimizer step in between
                twin = make(optimizer, total, **values)
                for step in range(total):
                    _compare(factor(step, total), optimizer, f"at step {step} of {total}", values)
                    twin.step()


def _an_optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)


def _compare(
    said: float, optimizer: torch.optim.Optimizer, when: str, values: Mapping[str, Value]
) -> None:
    expected = float(optimizer.param_groups[0]["lr"])
    need(
        abs(said - expected) <= 1e-9,
        f"at {text(values)} the factor is {said!r} {when}, its twin's {expected!r}: mend the "
        "formula, or what twin() translates its parameters into",
    )


def check_wraps(component: Component, catalog: Catalog) -> None:
    """A wrapper keeps what it wraps in sight: call the ``factor`` it is handed, within its run."""
    for seed in range(DRAWS):
        values = draw(component.spec, seed)
        asked: list[tuple[int, int]] = []

        def falling(step: int, total: int, asked: list[tuple[int, int]] = asked) -> float:
            asked.append((step, total))
            return 1 - step / (2 * total)

        flat, sloped = (wrapped(component, inner, values) for inner in (_one, falling))
        steps = range(100)
        need(
            [flat(step, 100) for step in steps] != [sloped(step, 100) for step in steps],
            f"at {text(values)} it says the same whatever it wraps: multiply by its factor",
        )
        for step, total in asked:
            need(
                0 <= step <= total and total >= 1,
                f"at {text(values)} it asks what it wraps for step {step} of {total}: keep the "
                "step within 0 … total, and total at least 1",
            )


def _tabled(component: Component) -> bool:
    return spec_of(component).observe is None


CHECKS = (
    Check("finite", KINDS, check_finite),
    Check("total_one", KINDS, check_total_one, _tabled),
    Check("pure", KINDS, check_pure),
    Check("parameters", KINDS, check_parameters),
    Check("resume", KINDS, check_resume, lambda c: spec_of(c).observe is not None),
    Check("twin", KINDS, check_twin, lambda c: spec_of(c).twin is not None),
    Check("wraps", KINDS, check_wraps, lambda c: spec_of(c).wrap is not None),
)
