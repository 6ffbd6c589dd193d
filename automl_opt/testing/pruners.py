"""Checks of pruners, told of epochs as a study tells them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import RandomSampler

from automl_opt.api import PrunerSpec
from automl_opt.core.params import Value
from automl_opt.plugin.catalog import Catalog, Component
from automl_opt.testing.check import Check, fail, need
from automl_opt.testing.quiet import quiet
from automl_opt.testing.raised import raised
from automl_opt.testing.signature import compare
from automl_opt.testing.values import draw, settled, text

KINDS = ("pruner",)
LENGTHS = (1, 2, 9)


def spec_of(component: Component) -> PrunerSpec:
    assert isinstance(component.spec, PrunerSpec)
    return component.spec


def pruner(component: Component, epochs: int, values: Mapping[str, Value]) -> BasePruner:
    made = component.code(spec_of(component).pruner)(epochs=epochs, **values)
    if not isinstance(made, BasePruner):
        fail(f"pruner() returned {made!r}: return an optuna.pruners.BasePruner")
    return made


def judged(
    component: Component, curves: Sequence[Sequence[float]], values: Mapping[str, Value]
) -> list[list[int]]:
    """For each trial the epochs, counted from 1, after which it would be ended."""
    with quiet():
        study = optuna.create_study(
            study_name="conformance",  # some pruners group trials by it
            direction="minimize",
            sampler=RandomSampler(seed=0),
            pruner=pruner(component, max(map(len, curves)), values),
        )
        ended: list[list[int]] = []
        for curve in curves:
            trial = study.ask()
            ended.append([])
            for epoch, value in enumerate(curve, start=1):
                trial.report(value, epoch)
                if trial.should_prune():
                    ended[-1].append(epoch)
            study.tell(trial, curve[-1])
        return ended


def better_and_better(epochs: int, trials: int = 12) -> list[list[float]]:
    """Curves each of which is, at every epoch, the best so far."""
    return [[20.0 - k - 0.05 * epoch for epoch in range(epochs)] for k in range(trials)]


def better_and_worse(epochs: int, trials: int = 12) -> list[list[float]]:
    return [[(5.0 * k) % 7 + 1 / (epoch + 1) for epoch in range(epochs)] for k in range(trials)]


def behaviour(component: Component, catalog: Catalog, values: Mapping[str, Value]) -> Any:
    """Whom it ends and when, to be compared with another pruner."""
    return judged(component, better_and_worse(9), values)


def try_once(component: Component, catalog: Catalog, values: Mapping[str, Value]) -> None:
    """It is made at *values* and judges a few trials."""
    judged(component, better_and_worse(3, trials=3), values)


def check_keeps_best(component: Component, catalog: Catalog) -> None:
    """The best trial so far goes on: compare in the study's direction, and with what is worse."""
    for epochs in LENGTHS:
        for seed in range(3):
            values = draw(component.spec, seed)
            for number, ended in enumerate(judged(component, better_and_better(epochs), values)):
                need(
                    not ended,
                    f"at {text(values)} it ends trial {number} after epochs {ended} of {epochs}, "
                    "though no trial was better at any epoch: look at the direction it compares in",
                )


def check_same_answer(component: Component, catalog: Catalog) -> None:
    """The same trials are judged the same: keep what it remembers in the study, draw nothing."""
    values = settled(component.spec, {})
    once, again = (judged(component, better_and_worse(9), values) for _ in range(2))
    need(
        once == again,
        f"it ended the same trials after epochs {once} and then {again}: judge by the study's "
        "history alone, with no memory of other studies and no unseeded randomness",
    )


def check_runs(component: Component, catalog: Catalog) -> None:
    """It judges trials of any length and any value, NaN and the first trial too: expect gaps."""
    curves = better_and_worse(9)
    curves[2], curves[5] = [3.0], [5.0, math.inf, 4.0]
    curves[7] = [4.0, math.nan, 3.0]
    for name, tried in (
        ("of one epoch", better_and_worse(1)),
        ("of two epochs", better_and_worse(2)),
        ("of unequal length, with values of inf and NaN", curves),
    ):
        for seed in range(2):
            values = draw(component.spec, seed)
            try:
                judged(component, tried, values)
            except Exception as error:  # the component's own code
                fail(f"at {text(values)} trials {name} make it fail: it {raised(error)}")


def check_parameters(component: Component, catalog: Catalog) -> None:
    """``pruner`` takes the declared parameters and no other: declare those it uses."""
    make = component.code(spec_of(component).pruner)
    compare("pruner()", make, ("epochs",), component.spec.params)


CHECKS = (
    Check("keeps_best", KINDS, check_keeps_best),
    Check("same_answer", KINDS, check_same_answer),
    Check("runs", KINDS, check_runs),
    Check("parameters", KINDS, check_parameters),
)
