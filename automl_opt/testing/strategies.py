"""Checks of search strategies: asked as a study asks them, and through Optuna's public suites."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.pruners import NopPruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from automl_opt.api import Float, Int, OneOf, SearchSpace, StrategySpec
from automl_opt.core.params import Value
from automl_opt.core.seeds import derive
from automl_opt.core.space import Entry
from automl_opt.plugin.catalog import Catalog, Component
from automl_opt.search.draft import Draft
from automl_opt.testing.check import Check, CheckFailed, fail, need
from automl_opt.testing.quiet import quiet
from automl_opt.testing.raised import raised
from automl_opt.testing.signature import compare
from automl_opt.testing.values import settled

KINDS = ("strategy",)
TRIALS = 16

FLAT = SearchSpace(
    (
        Entry("lr", Float(1e-4, 1.0, log=True)),
        Entry("decay", Float(0.0, 1.0, step=0.25)),
        Entry("size", Int(1, 64, log=True)),
        Entry("layers", Int(2, 8, step=2)),
        Entry("kind", OneOf(("plain", "decaying", None))),
    )
)
TREE = SearchSpace(
    (
        Entry("lr", Float(1e-4, 1.0, log=True)),
        Entry("kind", OneOf(("plain", "decaying"))),
        Entry("final", Float(0.0, 1.0), when=(("kind", ("decaying",)),)),
        Entry("size", Int(1, 64, log=True), when=(("kind", ("plain",)),)),
    )
)


def spec_of(component: Component) -> StrategySpec:
    assert isinstance(component.spec, StrategySpec)
    return component.spec


def sampler(
    component: Component, space: SearchSpace | None, seed: int, values: Mapping[str, Value] | None
) -> BaseSampler:
    make = component.code(spec_of(component).sampler)
    chosen = settled(component.spec, {}) if values is None else values
    made = make(space=space, seed=seed, **chosen)
    if not isinstance(made, BaseSampler):
        fail(f"sampler() returned {made!r}: return an optuna.samplers.BaseSampler")
    return made


def value_of(params: Mapping[str, Any]) -> float:
    """A value to minimise; what is not there costs nothing."""
    return float(
        abs(params["lr"] - 0.1)
        + params.get("final", 0.5)
        + params.get("size", 32) / 64
        + params.get("decay", 0.0)
    )


def proposals(
    component: Component,
    space: SearchSpace,
    trials: int,
    *,
    values: Mapping[str, Value] | None = None,
    reopened_at: int | None = None,
) -> list[dict[str, Any]]:
    """The parameters of *trials* trials, as a study asks for them: a fresh sampler for each.

    Args:
        reopened_at: before this trial the study is made anew from the trials that ended, as after
            an interruption.
    """
    with quiet():
        return _proposals(component, space, trials, values, reopened_at)


def _proposals(
    component: Component,
    space: SearchSpace,
    trials: int,
    values: Mapping[str, Value] | None,
    reopened_at: int | None,
) -> list[dict[str, Any]]:
    draft = _draft("conformance", [])
    for number in range(trials):
        if number == reopened_at:
            draft = _draft("conformance", _written(draft))
        made = sampler(component, space, derive("strategy", number), values)
        frozen = draft.propose(made, space)
        failed = number % 5 == 3
        draft.end(
            frozen.number,
            TrialState.FAIL if failed else TrialState.COMPLETE,
            None if failed else value_of(frozen.params),
            sampler(component, space, derive("strategy", number), values),
        )
    return [dict(trial.params) for trial in _trials(draft)]


def _draft(name: str, trials: list[FrozenTrial]) -> Draft:
    return Draft(name, "minimize", NopPruner(), trials)


def _trials(draft: Draft) -> list[FrozenTrial]:
    trials: list[FrozenTrial] = draft._study.get_trials(deepcopy=False)
    return trials


def _written(draft: Draft) -> list[FrozenTrial]:
    """The trials as a database gives them back: nothing but their own fields."""
    return [
        create_trial(
            state=trial.state,
            values=trial.values,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs=trial.user_attrs,
            system_attrs=trial.system_attrs,
            intermediate_values=trial.intermediate_values,
        )
        for trial in _trials(draft)
    ]


def behaviour(component: Component, catalog: Catalog, values: Mapping[str, Value]) -> Any:
    """What it proposes, to be compared with another strategy."""
    return proposals(component, TREE, TRIALS, values=values)


def try_once(component: Component, catalog: Catalog, values: Mapping[str, Value]) -> None:
    """It is made at *values* and proposes a few trials."""
    proposals(component, FLAT, 3, values=values)


def check_samples_in_range(component: Component, catalog: Catalog) -> None:
    """Every proposed value lies in its range: respect low, high, step and choices."""
    advice = "return values of the distribution it is asked for, as plain int, float or choice"
    try:
        proposed = proposals(component, FLAT, TRIALS)
    except Exception as error:  # the component's code, or Optuna about a value
        fail(f"it {raised(error)}: {advice}")
    for params in proposed:
        for entry in FLAT.entries:
            value = params[entry.name]
            need(
                entry.param.contains(value),
                f"it proposed {entry.name}={value!r}, outside {entry.param}: {advice}",
            )


def check_conditional(component: Component, catalog: Catalog) -> None:
    """Parameters that exist in only some trials are proposed there: do not count on all of them."""
    try:
        proposed = proposals(component, TREE, TRIALS)
    except Exception as error:  # the component's own code
        fail(f"in a space with conditions it {raised(error)}: expect missing parameters")
    for params in proposed:
        active = {entry.name for entry in TREE.entries if entry.is_active(params)}
        need(
            params.keys() == active,
            f"it proposed {sorted(params)} where {sorted(active)} exist: propose what is asked for",
        )
        for entry in TREE.entries:
            need(
                entry.name not in params or entry.param.contains(params[entry.name]),
                f"in a space with conditions it proposed {entry.name}={params.get(entry.name)!r}, "
                f"outside {entry.param}",
            )


def check_repeats(component: Component, catalog: Catalog) -> None:
    """The same seeds give the same proposals: pass ``seed`` on to whatever draws."""
    for once, again in _twice(component):
        need(
            once == again,
            f"two studies under the same seed part at trial {_parting(once, again)}: seed "
            "everything that draws from the seed it is given, and remember nothing between studies",
        )


def check_resumes(component: Component, catalog: Catalog) -> None:
    """A study made anew from its trials goes on the same: remember in the history alone."""
    middle = TRIALS // 2
    for undisturbed, resumed in _twice(component, reopened_at=middle):
        need(
            undisturbed == resumed,
            f"a study reopened at trial {middle} parts from the undisturbed one at trial "
            f"{_parting(undisturbed, resumed)}: read what it needs from the trials (their params, "
            "values and system_attrs), not from an attribute or the study",
        )


def _twice(
    component: Component, reopened_at: int | None = None
) -> Iterator[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """The proposals of two studies in each space; only the second is reopened."""
    for space in (FLAT, TREE):
        try:
            undisturbed = proposals(component, space, TRIALS)
            yield undisturbed, proposals(component, space, TRIALS, reopened_at=reopened_at)
        except CheckFailed:
            raise
        except Exception:  # what it cannot propose, samples_in_range and conditional tell of
            continue


def _parting(one: list[Any], other: list[Any]) -> int:
    """The first trial in which they differ."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), len(one))


def check_parameters(component: Component, catalog: Catalog) -> None:
    """``sampler`` takes the declared parameters and no other: declare those it uses."""
    make = component.code(spec_of(component).sampler)
    compare("sampler()", make, ("space", "seed"), component.spec.params)


def check_optuna(component: Component, catalog: Catalog) -> None:
    """It passes Optuna's public sampler suites: the failing case is named, read it there."""
    try:
        from optuna.testing import pytest_samplers as suites
    except ImportError as error:
        fail(f"Optuna's suites need pytest ({error}): pip install pytest")
    make = partial(sampler, component, None, 0, None)
    for case in (suites.BasicSamplerTestCase(), suites.RelativeSamplerTestCase()):
        for name, arguments in _calls(case):
            if name in TOGETHER and not _proposes_together(component, TOGETHER[name]):
                continue
            try:
                with quiet():
                    getattr(case, name)(sampler=make, **arguments)
            except BaseException as error:  # pytest.fail() raises no Exception
                if isinstance(error, KeyboardInterrupt):
                    raise
                text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                fail(
                    f"optuna.testing.pytest_samplers.{type(case).__name__}.{name}"
                    f"({', '.join(arguments)}) fails: {text}"
                )


X, Y = FloatDistribution(0.0, 1.0), CategoricalDistribution((1, 2, 3))

TOGETHER: dict[str, dict[str, BaseDistribution]] = {
    "test_sample_relative_numerical": {"x": X, "y": X},
    "test_sample_relative_categorical": {"x": Y, "y": Y},
    "test_sample_relative_mixed": {"x": X, "y": Y},
    "test_trial_relative_params": {"x": X, "y": X},
}
"""Optuna's cases for samplers that propose parameters together, and the space each is about."""


def _proposes_together(component: Component, space: dict[str, BaseDistribution]) -> bool:
    """Whether the sampler proposes all of *space* at once after one trial."""
    with quiet():
        study = optuna.create_study(sampler=sampler(component, None, 0, None))
        study.tell(study.ask(space), 1.0)
        trial = study.ask()
        frozen = study.get_trials(deepcopy=False)[trial.number]
        return study.sampler.sample_relative(study, frozen, space).keys() == space.keys()


def _calls(case: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """``(method, arguments)``: of a product of parametrisations every value once, not all pairs."""
    for name, method in inspect.getmembers(case, inspect.ismethod):
        if not name.startswith("test_"):
            continue
        columns: list[list[dict[str, Any]]] = []
        for mark in getattr(method, "pytestmark", ()):
            names = [n.strip() for n in mark.args[0].split(",")]
            if names == ["n_jobs"]:
                continue
            values = mark.args[1]
            columns.append(
                [dict(zip(names, v if len(names) > 1 else (v,), strict=True)) for v in values]
            )
        if "n_jobs" in inspect.signature(method).parameters:
            columns.append([{"n_jobs": 1}])  # a study asks from one thread
        longest = max(map(len, columns), default=1)
        for rows in itertools.islice(zip(*map(itertools.cycle, columns), strict=False), longest):
            yield name, {key: value for row in rows for key, value in row.items()}
        if not columns:
            yield name, {}


CHECKS = (
    Check("samples_in_range", KINDS, check_samples_in_range),
    Check("conditional", KINDS, check_conditional),
    Check("repeats", KINDS, check_repeats),
    Check("resumes", KINDS, check_resumes),
    Check("parameters", KINDS, check_parameters),
    Check("optuna", KINDS, check_optuna),
)
