"""Whether a declared parameter makes any difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from automl_opt.api import ComponentSpec
from automl_opt.testing.comparing import same
from automl_opt.testing.values import Values, at_the_ends, draw, others, settled


def settings_for(spec: ComponentSpec, name: str) -> list[Values]:
    """Values of the other parameters under which *name* may show: some draws, then the ends."""
    drawn = [draw(spec, seed) for seed in range(3)]
    return drawn + [values for what, values in at_the_ends(spec) if what.partition("=")[0] != name]


def has_effect(
    spec: ComponentSpec,
    name: str,
    answer: Callable[[Values], Any],
    settings: Sequence[Values] | None = None,
) -> bool:
    """Whether *answer* differs between the default of *name* and an end of its range.

    An error is a difference, for that a range reaches too far another check will say; only what
    *answer* raises at the first of the settings comes through.

    Args:
        answer: what a component does at some values, as :func:`same` compares it.
        settings: values of the other parameters to try it under, until it shows.
    """
    default = spec.params[name].default
    tried = settings_for(spec, name) if settings is None else settings
    for position, setting in enumerate(tried):
        kept = {key: value for key, value in setting.items() if key != name}
        beside = settled(spec, kept | {name: default})
        plain = _answer(answer, beside) if position else answer(beside)
        for value in others(spec.params[name], default):
            if not same(_answer(answer, settled(spec, kept | {name: value})), plain):
                return True
    return False


def _answer(answer: Callable[[Values], Any], values: Values) -> Any:
    try:
        return answer(values)
    except Exception as error:  # the component's own code
        return f"raised {type(error).__name__}"


def varied(spec: ComponentSpec) -> list[str]:
    """The parameters that have more than one value."""
    return [name for name, param in spec.params.items() if others(param, param.default)]
