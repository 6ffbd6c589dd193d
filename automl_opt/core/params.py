"""What may be searched: a parameter's range, scale, default and condition."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from automl_opt.core.errors import ParamError, did_you_mean

Value: TypeAlias = float | int | str | bool | None


class Suggests(Protocol):
    """The part of ``optuna.Trial`` that a range needs."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


@dataclass(frozen=True)
class Float:
    """A real number in ``[low, high]``.

    Args:
        low, high: both ends belong to the range.
        log: search on a logarithmic scale; *low* must be above 0.
        step: only ``low, low + step, …``; not together with *log*.
        default: where a search starts; the centre of the range on its scale when not given.
        when: ``(sibling, value or values)``: the parameter exists only where *sibling* has it.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    default: float | None = None
    when: tuple[str, tuple[Value, ...]] | None = None

    def __post_init__(self) -> None:
        for key in ("low", "high", "step", "default"):
            value = getattr(self, key)
            if value is None and key in ("step", "default"):
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ParamError(f"{key} must be a number, not {value!r}")
            if not math.isfinite(value):
                raise ParamError(f"{key} must be finite, not {value!r}")
            object.__setattr__(self, key, float(value))
        _check_range(self.low, self.high, self.log)
        if self.step is not None and self.step <= 0:
            raise ParamError(f"step must be above 0, not {self.step!r}")
        if self.log and self.step is not None:
            raise ParamError("a range has a log scale or a step, not both")
        object.__setattr__(self, "when", _condition(self.when))
        if self.default is None:
            object.__setattr__(self, "default", self._centre())
        elif not self.contains(self.default):
            raise ParamError(f"default {self.default!r} lies outside [{self.low}, {self.high}]")

    def _centre(self) -> float:
        if self.log:
            return math.sqrt(self.low * self.high)
        if self.step is not None:
            return self.low + self.step * (int((self.high - self.low) / self.step) // 2)
        return (self.low + self.high) / 2

    def contains(self, value: Value) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return self.low <= value <= self.high

    def suggest(self, trial: Suggests, name: str) -> float:
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)


@dataclass(frozen=True)
class Int:
    """A whole number in ``[low, high]``; the arguments are those of :class:`Float`."""

    low: int
    high: int
    log: bool = False
    step: int = 1
    default: int | None = None
    when: tuple[str, tuple[Value, ...]] | None = None

    def __post_init__(self) -> None:
        for key in ("low", "high", "step", "default"):
            value = getattr(self, key)
            if value is None and key == "default":
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise ParamError(f"{key} must be a whole number, not {value!r}")
        _check_range(self.low, self.high, self.log)
        if self.step < 1:
            raise ParamError(f"step must be at least 1, not {self.step!r}")
        if self.log and self.step != 1:
            raise ParamError("a range has a log scale or a step, not both")
        object.__setattr__(self, "when", _condition(self.when))
        if self.default is None:
            object.__setattr__(self, "default", self._centre())
        elif not self.contains(self.default):
            raise ParamError(f"default {self.default!r} lies outside [{self.low}, {self.high}]")

    def _centre(self) -> int:
        if self.log:
            return round(math.sqrt(self.low * self.high))
        return self.low + self.step * ((self.high - self.low) // self.step // 2)

    def contains(self, value: Value) -> bool:
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0

    def suggest(self, trial: Suggests, name: str) -> int:
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)


@dataclass(frozen=True)
class OneOf:
    """One of a few values; the first is the default unless another is named."""

    choices: tuple[Value, ...]
    default: Value = None
    when: tuple[str, tuple[Value, ...]] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.choices, str) or not isinstance(self.choices, Sequence):
            raise ParamError(f"choices must be a list, not {self.choices!r}")
        choices = tuple(self.choices)
        if not choices:
            raise ParamError("choices must not be empty")
        for choice in choices:
            if choice is not None and not isinstance(choice, (bool, int, float, str)):
                raise ParamError(f"a choice must be a number, a text or a truth, not {choice!r}")
        if len({(type(choice), choice) for choice in choices}) != len(choices):
            raise ParamError(f"choices must differ from each other: {list(choices)!r}")
        object.__setattr__(self, "choices", choices)
        object.__setattr__(self, "when", _condition(self.when))
        if self.default is None and None not in choices:
            object.__setattr__(self, "default", choices[0])
        elif not self.contains(self.default):
            raise ParamError(f"default {self.default!r} is not among {list(choices)!r}")

    def contains(self, value: Value) -> bool:
        return any(type(value) is type(choice) and value == choice for choice in self.choices)

    def suggest(self, trial: Suggests, name: str) -> Value:
        chosen: Value = trial.suggest_categorical(name, self.choices)
        return chosen


Param: TypeAlias = Float | Int | OneOf


def _check_range(low: float, high: float, log: bool) -> None:
    if low > high:
        raise ParamError(f"the range is inverted: low {low!r} is above high {high!r}")
    if log and low <= 0:
        raise ParamError(f"a log scale needs low above 0, not {low!r}")


def _condition(when: Any) -> tuple[str, tuple[Value, ...]] | None:
    if when is None:
        return None
    sibling, values = when
    return sibling, tuple(values) if isinstance(values, (tuple, list)) else (values,)


def to_dict(param: Param) -> dict[str, Any]:
    """A range as plain data, for JSON; :func:`from_dict` is its inverse."""
    kind = {Float: "float", Int: "int", OneOf: "one_of"}[type(param)]
    fields = {key: getattr(param, key) for key in type(param).__dataclass_fields__}
    return {"kind": kind} | {key: value for key, value in fields.items() if value is not None}


def from_dict(data: Mapping[str, Any]) -> Param:
    """The range that :func:`to_dict` wrote; lists stand for tuples."""
    fields = {key: value for key, value in data.items() if key != "kind"}
    makers: dict[str, type[Float] | type[Int] | type[OneOf]]
    makers = {"float": Float, "int": Int, "one_of": OneOf}
    return makers[data["kind"]](**fields)


def overridden(param: Param, override: Any) -> Param:
    """*param* as a study file's *override* wants it.

    Args:
        override: a number or text fixes the value; a list gives the choices; a table
            ``{low, high, log, step, default}`` changes what it names and keeps the rest.

    Raises:
        ParamError: the override cannot be read, or leaves an impossible range.
    """
    if isinstance(override, (bool, int, float, str)):
        return OneOf((_as_kind(param, override),), when=param.when)
    if isinstance(override, list):
        return OneOf(tuple(_as_kind(param, item) for item in override), when=param.when)
    if not isinstance(override, Mapping):
        raise ParamError(
            f"{override!r} is no range; write a value, a list of values, or "
            "{low = …, high = …, log = …, step = …, default = …}"
        )
    if isinstance(param, OneOf):
        return _new_range(override, when=param.when)
    allowed = ("low", "high", "log", "step", "default")
    for key in override:
        if key not in allowed:
            raise ParamError(f"a range has no key {key!r}; {did_you_mean(key, allowed)}")
    if "log" in override and not isinstance(override["log"], bool):
        raise ParamError(f"log must be true or false, not {override['log']!r}")
    change = dict(override)
    if "default" not in change and ("low" in change or "high" in change):
        low, high = change.get("low", param.low), change.get("high", param.high)
        kept = param.default
        inside = all(isinstance(x, (int, float)) for x in (low, high)) and low <= kept <= high
        change["default"] = kept if inside and _fits(param, change, kept) else None
    return replace(param, **change)


def _fits(param: Float | Int, change: Mapping[str, Any], value: Any) -> bool:
    try:
        replace(param, **{**change, "default": value})
    except ParamError:
        return False
    return True


def _as_kind(param: Param, value: Any) -> Any:
    """TOML writes 1 where 1.0 is meant: take the kind of number that the range has."""
    if isinstance(param, Float):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ParamError(f"{value!r} is not a number")
        return float(value)
    if isinstance(param, Int) and (isinstance(value, bool) or not isinstance(value, int)):
        raise ParamError(f"{value!r} is not a whole number")
    return value


def _new_range(data: Mapping[str, Any], when: Any = None) -> Param:
    """A range from a table alone: whole numbers give an Int, anything else a Float."""
    allowed = ("low", "high", "log", "step", "default")
    for key in data:
        if key not in allowed:
            raise ParamError(f"a range has no key {key!r}; {did_you_mean(key, allowed)}")
    for key in ("low", "high"):
        if key not in data:
            raise ParamError(f"the range {dict(data)!r} lacks {key!r}")
    if all(type(data[key]) is int for key in ("low", "high")):
        return Int(**data, when=when)
    return Float(**data, when=when)


def parse_range(data: Any) -> Param:
    """A range that stands alone in a study file: a value, a list of values, or a table."""
    if isinstance(data, Mapping):
        return _new_range(data)
    if isinstance(data, list):
        return OneOf(tuple(data))
    if isinstance(data, (bool, int, float, str)):
        return OneOf((data,))
    raise ParamError(f"{data!r} is no value, no list of values and no range")
