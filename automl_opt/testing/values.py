"""Parameter values that components are tried with: defaults, the ends of ranges, random draws."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from random import Random

from automl_opt.api import ComponentSpec, Float, Int, OneOf
from automl_opt.core.params import Param, Value

Values = dict[str, Value]


def settled(spec: ComponentSpec, wanted: Mapping[str, Value]) -> Values:
    """The *wanted* values and the defaults of all others that exist beside them."""
    wanted = dict(wanted)
    for name in list(wanted):  # a parameter under a condition needs its condition
        when = spec.params[name].when if name in spec.params else None
        while when is not None:
            sibling, allowed = when
            wanted.setdefault(sibling, allowed[0])
            when = spec.params[sibling].when
    values: Values = {}
    for name, param in spec.params.items():
        if param.when is None or values.get(param.when[0]) in param.when[1]:
            values[name] = wanted.get(name, param.default)
    return values


def marks(param: Param) -> tuple[Value, ...]:
    """The values of a range that are tried: both ends, or every choice."""
    if isinstance(param, OneOf):
        return param.choices
    return (param.low, param.high) if param.low != param.high else (param.low,)


def at_the_ends(spec: ComponentSpec) -> Iterator[tuple[str, Values]]:
    """``(what was set, values)``: the defaults, then every end of every range by itself."""
    yield "its defaults", settled(spec, {})
    for name, param in spec.params.items():
        for value in marks(param):
            yield f"{name}={value!r}", settled(spec, {name: value})


def draw(spec: ComponentSpec, seed: int) -> Values:
    """The defaults for seed 0, else a random draw from the ranges."""
    random = Random(seed)
    values: Values = {}
    for name, param in spec.params.items():
        if param.when is None or values.get(param.when[0]) in param.when[1]:
            values[name] = param.default if seed == 0 else _drawn(param, random)
    return values


def _drawn(param: Param, random: Random) -> Value:
    if isinstance(param, OneOf):
        return random.choice(param.choices)
    if param.log:
        value = math.exp(random.uniform(math.log(param.low), math.log(param.high)))
    else:
        value = random.uniform(param.low, param.high)
    if isinstance(param, Int):
        value = param.low + round((value - param.low) / param.step) * param.step
        return min(max(value, param.low), param.high)
    if isinstance(param, Float) and param.step is not None:
        value = param.low + round((value - param.low) / param.step) * param.step
    return min(max(value, param.low), param.high)


def others(param: Param, value: Value) -> tuple[Value, ...]:
    """The :func:`marks` of a range that differ from *value*."""
    return tuple(mark for mark in marks(param) if mark != value)


def text(values: Mapping[str, Value]) -> str:
    """*values* for a message."""
    return ", ".join(f"{name}={value!r}" for name, value in values.items()) or "its defaults"
