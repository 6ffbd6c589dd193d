"""From the parts of a recipe to real torch objects."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from automl_opt.api import InitializerSpec, OptimizerSpec, RegularizerSpec, SchedulerSpec
from automl_opt.core.errors import PluginError
from automl_opt.core.recipe import Part
from automl_opt.plugin.catalog import Catalog, Component
from automl_opt.training.adapter import PureRule, RuleOptimizer
from automl_opt.training.blame import Owner, form, guarded

KEEP_THEIR_WEIGHTS = (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm)
"""Modules whose weights no initializer touches, though they may have two dimensions or more."""

Factor: TypeAlias = Callable[[int, int], float]
Observe: TypeAlias = Callable[[float, Any], dict[str, Any]]


class MetricSchedule:
    """A schedule that a metric drives, for a training loop of one's own.

    ``step(metric)`` after an epoch; where the schedule also follows the steps, as
    ``warmup(reduce_on_plateau)`` does, ``step()`` after every batch.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        observe: Observe,
        factor: Callable[[int], float] | None = None,
    ) -> None:
        self._observe, self._factor, self._groups = observe, factor, optimizer.param_groups
        self._base = [group["lr"] for group in self._groups]
        self._steps = 0
        self.state: dict[str, Any] | None = None
        self._set()

    def step(self, metric: float | None = None) -> None:
        if metric is None:
            self._steps += 1
        else:
            self.state = self._observe(float(metric), self.state)
        self._set()

    def _set(self) -> None:
        factor = 1.0 if self._factor is None else self._factor(self._steps)
        if self.state is not None:
            factor *= self.state["factor"]
        for group, base in zip(self._groups, self._base, strict=True):
            group["lr"] = base * factor

    def state_dict(self) -> dict[str, Any]:
        return {"state": self.state, "base": self._base, "steps": self._steps}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.state, self._base = state_dict["state"], list(state_dict["base"])
        self._steps = state_dict["steps"]


class TorchBuilder:
    """Builds what a recipe's parts name, from the components of one catalogue.

    What a component's code raises comes out as a :class:`PluginError` that names the component,
    its version and its distribution.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def build(self, kind: str, part: Part, *args: Any, **kwargs: Any) -> Any:
        """What calling a part of a bound recipe does.

        optimizer: ``(parameters) -> torch.optim.Optimizer``; scheduler: ``(optimizer,
        total_steps)`` -> a ``LambdaLR`` to step every batch, or a :class:`MetricSchedule` to
        step every epoch; initializer: ``(model, generator, x) -> None``; regularizer: ``() ->
        {hook: function}``, its parameters filled in.
        """
        return getattr(self, kind)(part, *args, **kwargs)

    def component(self, kind: str, part: Part) -> Component:
        """What *part* names, with what it wraps.

        Raises:
            UnknownComponent: no plugin offers it.
            PluginError: it is installed in another version.
        """
        component = self.catalog.whole(kind, part.name)
        for link, own in zip(component.chain, part.chain, strict=True):
            if link.spec.version != own.version:
                raise PluginError(
                    f"the recipe was made with {kind} {own.id} version {own.version}; "
                    f"{link.distribution} {link.distribution_version} offers version "
                    f"{link.spec.version}, which may compute something else"
                )
        return component

    def optimizer(self, part: Part, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        """The optimizer over tensors or parameter groups, as any torch optimizer takes them.

        Of plain tensors those with fewer than two dimensions get a group of their own, free of
        weight decay, where the optimizer declares one.
        """
        return self._optimizer(self.component("optimizer", part), part, parameters)

    def _optimizer(
        self, component: Component, part: Part, parameters: Iterable[Any]
    ) -> torch.optim.Optimizer:
        spec = component.spec
        assert isinstance(spec, OptimizerSpec)
        params: dict[str, Any] = dict(part.params)
        if spec.wrap is not None:
            assert component.base is not None
            assert part.base is not None
            base = self._optimizer(component.base, part.base, parameters)
            return guarded(component, "wrap", spec.wrap)(base, **params)
        if "lr" in params:
            params["lr"] *= part.lr_factor
        groups = _exempt(list(parameters), spec.decay)
        if spec.torch is not None:
            return guarded(component, "the constructor", spec.torch)(groups, **params)
        rule = spec.rule
        assert rule is not None
        pure = PureRule(
            init=component.code(rule.init),
            update=component.code(rule.update),
            coefficients=component.code(rule.coefficients) if rule.coefficients else None,
            elementwise=rule.elementwise,
            curvature=spec.create_graph,
            owner=Owner.of(component),
        )
        return RuleOptimizer(groups, pure, params)

    def scheduler(self, part: Part, optimizer: torch.optim.Optimizer, total_steps: int) -> Any:
        factor, observe = self.schedule(part)
        if observe is not None:
            at = None if factor is None else lambda step: factor(step, total_steps)
            return MetricSchedule(optimizer, observe, at)
        assert factor is not None
        return LambdaLR(optimizer, lambda step: factor(step, total_steps))

    def schedule(self, part: Part) -> tuple[Factor | None, Observe | None]:
        """``(factor, observe)``, their parameters filled in; what the schedule has not is None."""
        return self._schedule(self.component("scheduler", part), part)

    def _schedule(self, component: Component, part: Part) -> tuple[Factor | None, Observe | None]:
        spec = component.spec
        assert isinstance(spec, SchedulerSpec)
        if spec.observe is not None:
            return None, guarded(component, "observe", spec.observe, part.params)
        if spec.factor is not None:
            return _checked(component, guarded(component, "factor", spec.factor, part.params)), None
        assert spec.wrap is not None
        assert component.base is not None
        assert part.base is not None
        inner, observe = self._schedule(component.base, part.base)
        wrap = guarded(component, "wrap", spec.wrap, part.params)
        return _checked(component, partial(wrap, inner or _one)), observe

    def initializer(
        self, part: Part, model: nn.Module, generator: torch.Generator, x: Any = None
    ) -> None:
        """Fill the weights of *model*, and fit them to *x* where the initializer does that.

        Args:
            x: a batch of training inputs.
        """
        self.fill(part, model, generator)
        self.fit(part, model, lambda: x)

    def fill(self, part: Part, model: nn.Module, generator: torch.Generator) -> None:
        component = self.component("initializer", part)
        assert isinstance(component.spec, InitializerSpec)
        if component.spec.init is None:
            return
        init = guarded(component, "init", component.spec.init, part.params)
        with torch.no_grad():
            for param in _initialized(model):
                init(param, generator)

    def fit(self, part: Part, model: nn.Module, batch: Callable[[], Any]) -> None:
        component = self.component("initializer", part)
        assert isinstance(component.spec, InitializerSpec)
        if component.spec.fit is None:
            return
        x = batch()
        if x is None:
            raise PluginError(f"{component.described} fits weights to data: hand it inputs, x=…")
        guarded(component, "fit", component.spec.fit, part.params)(model, x)

    def regularizer(self, part: Part) -> dict[str, Callable[..., Any]]:
        component = self.component("regularizer", part)
        spec = component.spec
        assert isinstance(spec, RegularizerSpec)
        hooks = {
            hook: guarded(component, hook, code, part.params) for hook, code in spec.hooks().items()
        }
        if "grads" in hooks:
            hooks["grads"] = _shaped(component, hooks["grads"])
        return hooks


def _exempt(parameters: list[Any], decay: str | None) -> list[Any]:
    """*parameters* as groups where biases, norms and other vectors do not decay."""
    if decay is None or not all(isinstance(param, Tensor) for param in parameters):
        return parameters
    matrices = [param for param in parameters if param.ndim >= 2]
    vectors = [param for param in parameters if param.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, decay: 0.0}]
    return [group for group in groups if group["params"]]


def _initialized(model: nn.Module) -> list[nn.Parameter]:
    kept = {
        param
        for module in model.modules()
        if isinstance(module, KEEP_THEIR_WEIGHTS)
        for param in module.parameters(recurse=False)
    }
    return [p for p in model.parameters() if p.ndim >= 2 and p.requires_grad and p not in kept]


def _one(step: int, total: int) -> float:
    """The factor of a schedule that observes, as seen by what wraps it."""
    return 1.0


def _shaped(component: Component, grads: Callable[..., Any]) -> Callable[..., Any]:
    def call(given: list[Tensor], parameters: list[Tensor]) -> list[Tensor]:
        found = list(grads(given, parameters))
        if len(found) != len(given):
            raise Owner.of(component).wrong(f"grads gave {len(found)} gradients for {len(given)}")
        for new, old in zip(found, given, strict=True):
            if new.shape != old.shape or new.dtype != old.dtype:
                raise Owner.of(component).wrong(
                    f"grads gave {form(new)} for a gradient of {form(old)}; shape and dtype must "
                    "stay"
                )
        return found

    return call


def _checked(component: Component, factor: Factor) -> Factor:
    def call(step: int, total: int) -> float:
        value = factor(step, total)
        if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
            raise Owner.of(component).wrong(
                f"factor gave {value!r} at step {step} of {total}, which is no number of at least 0"
            )
        return float(value)

    return call
