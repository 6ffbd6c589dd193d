"""What may be searched: a parameter's range, scale, default and condition."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, TypeAlias, TypeGuard

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
class Prior:
    """Where an expert expects the best value: a normal distribution on the scale of its range.

    Args:
        center: the likeliest value.
        spread: one standard deviation: a distance, on a logarithmic scale a factor above 1.
    """

    center: float
    spread: float

    def __post_init__(self) -> None:
        for key in ("center", "spread"):
            value = getattr(self, key)
            if not _is_number(value) or not math.isfinite(value):
                raise ParamError(f"prior: {key} must be a finite number, not {value!r}")
        if self.spread <= 0:
            raise ParamError(f"prior: spread must be above 0, not {self.spread!r}")
        object.__setattr__(self, "spread", float(self.spread))


@dataclass(frozen=True)
class Float:
    """A real number in ``[low, high]``.

    Args:
        low, high: both ends belong to the range.
        log: search on a logarithmic scale; *low* must be above 0.
        step: only ``low, low + step, …, high``; not together with *log*.
        default: where a search starts; when not given the prior's center, without a prior the
            centre of the range on its scale.
        when: ``(sibling, value or values)``: the parameter exists only where *sibling* has it.
        prior: what pulls proposals, less with every trial; its center lies in the range.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    default: float | None = None
    when: tuple[str, tuple[Value, ...]] | None = None
    prior: Prior | None = None

    def __post_init__(self) -> None:
        for key in ("low", "high", "step", "default"):
            value = getattr(self, key)
            if value is None and key in ("step", "default"):
                continue
            if not _is_number(value):
                raise ParamError(f"{key} must be a number, not {value!r}")
            if not math.isfinite(value):
                raise ParamError(f"{key} must be finite, not {value!r}")
            object.__setattr__(self, key, float(value))
        _check_scale(self.low, self.high, self.log)
        if self.step is not None and self.step <= 0:
            raise ParamError(f"step must be above 0, not {self.step!r}")
        if self.log and self.step is not None:
            raise ParamError("a range has a log scale or a step, not both")
        _finish(self)

    def _centre(self) -> float:
        if self.log:
            centre = math.sqrt(self.low) * math.sqrt(self.high)
        elif self.step is not None:
            centre = self.low + self.step * (round((self.high - self.low) / self.step) // 2)
        else:
            centre = self.low / 2 + self.high / 2
        return min(max(centre, self.low), self.high)  # rounding may have left the range

    def contains(self, value: Value) -> bool:
        if not _is_number(value) or not self.low <= value <= self.high:
            return False
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-8  # Optuna's tolerance

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
    prior: Prior | None = None

    def __post_init__(self) -> None:
        for key in ("low", "high", "step", "default"):
            value = getattr(self, key)
            if value is None and key == "default":
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise ParamError(f"{key} must be a whole number, not {value!r}")
        _check_scale(self.low, self.high, self.log)
        if self.step < 1:
            raise ParamError(f"step must be at least 1, not {self.step!r}")
        if self.log and self.step != 1:
            raise ParamError("a range has a log scale or a step, not both")
        _finish(self)

    def _centre(self) -> int:
        if self.log:
            return round(math.sqrt(self.low) * math.sqrt(self.high))
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
            if isinstance(choice, float) and not math.isfinite(choice):
                raise ParamError(f"a choice must be finite, not {choice!r}")
        if len(set(choices)) != len(choices):  # 1, 1.0 and true are one choice to Optuna
            raise ParamError(f"choices must differ from each other: {list(choices)!r}")
        object.__setattr__(self, "choices", choices)
        object.__setattr__(self, "when", _condition(self.when))
        if self.default is None:
            object.__setattr__(self, "default", choices[0])
        elif not self.contains(self.default):
            raise ParamError(f"default {self.default!r} is not among {list(choices)!r}")

    def contains(self, value: Value) -> bool:
        return any(type(value) is type(choice) and value == choice for choice in self.choices)

    def suggest(self, trial: Suggests, name: str) -> Value:
        chosen: Value = trial.suggest_categorical(name, self.choices)
        return chosen


Param: TypeAlias = Float | Int | OneOf


def _check_scale(low: float, high: float, log: bool) -> None:
    if not isinstance(log, bool):
        raise ParamError(f"log must be true or false, not {log!r}")
    if low > high:
        raise ParamError(f"the range is inverted: low {low!r} is above high {high!r}")
    if log and low <= 0:
        raise ParamError(f"a log scale needs low above 0, not {low!r}")


def _finish(param: Float | Int) -> None:
    """What both kinds of range check last: steps to *high*, condition, prior and default."""
    if not param.contains(param.high):
        raise ParamError(
            f"steps of {param.step!r} from {param.low!r} do not arrive at high {param.high!r}"
        )
    object.__setattr__(param, "when", _condition(param.when))
    object.__setattr__(param, "prior", _prior(param))
    if param.default is None:
        start = param.prior.center if param.prior else param._centre()
        object.__setattr__(param, "default", start)
    else:
        _check_inside(param, "default", param.default)


def _check_inside(param: Float | Int, key: str, value: float) -> None:
    if not param.contains(value):
        step = f" in steps of {param.step!r}" if param.step not in (None, 1) else ""
        raise ParamError(f"{key} {value!r} lies outside [{param.low}, {param.high}]{step}")


def _prior(param: Float | Int) -> Prior | None:
    """The prior of *param*, which may have been given as a table."""
    given: Any = param.prior
    if given is None:
        return None
    if isinstance(given, Mapping):
        _check_keys(given, ("center", "spread"), "a prior")
        for key in ("center", "spread"):
            if key not in given:
                raise ParamError(f"the prior {dict(given)!r} lacks {key!r}")
        given = Prior(**given)
    if not isinstance(given, Prior):
        raise ParamError(f"prior must be {{center = …, spread = …}}, not {given!r}")
    prior = replace(given, center=float(given.center)) if isinstance(param, Float) else given
    if isinstance(param, Int) and not isinstance(prior.center, int):
        raise ParamError(f"prior: center must be a whole number, not {prior.center!r}")
    _check_inside(param, "prior: center", prior.center)
    if param.log and prior.spread <= 1:
        raise ParamError(f"prior: spread is a factor above 1 on a log scale, not {prior.spread!r}")
    return prior


def _condition(when: Any) -> tuple[str, tuple[Value, ...]] | None:
    if when is None:
        return None
    if not isinstance(when, (tuple, list)) or len(when) != 2 or not isinstance(when[0], str):
        raise ParamError(f"when must be (sibling, value or values), not {when!r}")
    sibling, values = when
    return sibling, tuple(values) if isinstance(values, (tuple, list)) else (values,)


def to_dict(param: Param) -> dict[str, Any]:
    """A range as plain data, for JSON; :func:`from_dict` is its inverse."""
    kind = {Float: "float", Int: "int", OneOf: "one_of"}[type(param)]
    fields = {key: getattr(param, key) for key in type(param).__dataclass_fields__}
    if fields.get("prior"):
        fields["prior"] = asdict(fields["prior"])
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
            ``{low, high, log, step, default, prior}`` changes what it names and keeps the rest: a
            default and a prior that *param* declares as far as they fit the new range. Numbers may
            leave the range that the component declares; other choices must be its own.

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
            "{low = …, high = …, log = …, step = …, default = …, prior = …}"
        )
    if isinstance(param, OneOf):
        if not all(_is_number(choice) for choice in param.choices):
            raise ParamError(f"has no range, only the choices {list(param.choices)!r}")
        return _new_range(Int if _is_whole(param.choices) else Float, override, param.when)
    _check_keys(override, RANGE_KEYS, "a range")
    change: dict[str, Any] = {"default": None, "prior": None, **override}
    changed = replace(param, **change)
    if "prior" not in override:
        if _suits(param.prior, changed, param.log):
            change["prior"] = param.prior
        if "default" not in override and changed.contains(param.default):
            change["default"] = param.default
    return replace(param, **change)


def _suits(prior: Prior | None, changed: Float | Int, log: bool) -> bool:
    """Whether a *prior* that was declared on a scale, *log* or not, says the same of *changed*."""
    return prior is not None and changed.log == log and changed.contains(prior.center)


def parse_range(data: Any) -> Param:
    """A range that stands alone in a study file: a value, a list of values, or a table.

    A table of whole numbers is an :class:`Int`, any other a :class:`Float`.
    """
    if isinstance(data, Mapping):
        numbers = [value for key, value in data.items() if key not in ("log", "prior")]
        return _new_range(Int if _is_whole(numbers) else Float, data)
    if isinstance(data, list):
        return OneOf(tuple(data))
    if isinstance(data, (bool, int, float, str)):
        return OneOf((data,))
    raise ParamError(f"{data!r} is no value, no list of values and no range")


def _as_kind(param: Param, value: Any) -> Any:
    """TOML writes 1 where 1.0 is meant: take the kind of number that *param* has."""
    if isinstance(param, OneOf):
        if param.contains(value):
            return value
        if not _is_number(value) or not all(_is_number(choice) for choice in param.choices):
            raise ParamError(f"{value!r} is not among the choices {list(param.choices)!r}")
    if not _is_number(value):
        raise ParamError(f"{value!r} is not a number")
    if isinstance(param, Float) or (isinstance(param, OneOf) and not _is_whole(param.choices)):
        return float(value)
    if not isinstance(value, int):
        raise ParamError(f"{value!r} is not a whole number")
    return value


def _new_range(
    kind: type[Float] | type[Int], data: Mapping[str, Any], when: Any = None
) -> Float | Int:
    _check_keys(data, RANGE_KEYS, "a range")
    for key in ("low", "high"):
        if key not in data:
            raise ParamError(f"the range {dict(data)!r} lacks {key!r}")
    return kind(**data, when=when)


RANGE_KEYS = ("low", "high", "log", "step", "default", "prior")


def _check_keys(data: Mapping[str, Any], allowed: Sequence[str], what: str) -> None:
    for key in data:
        if key not in allowed:
            raise ParamError(f"{what} has no key {key!r}; {did_you_mean(key, allowed)}")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(values: Iterable[object]) -> bool:
    return all(_is_number(value) and isinstance(value, int) for value in values)
