"""From the parts of a recipe to real torch objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from automl_opt.api import InitializerSpec, OptimizerSpec, RegularizerSpec, SchedulerSpec
from automl_opt.core.errors import PluginError
from automl_opt.core.recipe import Part
from automl_opt.plugin.catalog import Catalog, Component
from automl_opt.training.adapter import PureRule, RuleOptimizer

KEEP_THEIR_WEIGHTS = (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm)
"""Modules whose weights no initializer touches, though they may have two dimensions or more."""


class MetricSchedule:
    """A metric-driven schedule for a training loop of one's own: ``step(metric)`` an epoch."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, observe: Callable[[float, Any], dict[str, Any]]
    ) -> None:
        self._observe, self._groups = observe, optimizer.param_groups
        self._base = [group["lr"] for group in self._groups]
        self.state: dict[str, Any] | None = None

    def step(self, metric: float) -> None:
        self.state = self._observe(float(metric), self.state)
        for group, base in zip(self._groups, self._base, strict=True):
            group["lr"] = base * self.state["factor"]

    def state_dict(self) -> dict[str, Any]:
        return {"state": self.state, "base": self._base}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.state, self._base = state_dict["state"], list(state_dict["base"])


class TorchBuilder:
    """Builds what a recipe's parts name, from the components of one catalogue."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def build(self, kind: str, part: Part, *args: Any, **kwargs: Any) -> Any:
        """What calling a part of a bound recipe does.

        optimizer: ``(parameters) -> torch.optim.Optimizer``; scheduler: ``(optimizer,
        total_steps)`` -> a ``LambdaLR`` to step every batch, or a :class:`MetricSchedule` to
        step every epoch; initializer: ``(model, generator) -> None``; regularizer: ``() ->
        {hook: function}``, its parameters filled in.
        """
        return getattr(self, kind)(part, *args, **kwargs)

    def component(self, kind: str, part: Part) -> Component:
        component = self.catalog.find(kind, part.id)
        if component.spec.version != part.version:
            raise PluginError(
                f"the recipe was made with {kind} {part.id} version {part.version}; "
                f"{component.distribution} {component.distribution_version} offers version "
                f"{component.spec.version}, which may compute something else"
            )
        return component

    def optimizer(self, part: Part, parameters: Any) -> torch.optim.Optimizer:
        component = self.component("optimizer", part)
        spec = component.spec
        assert isinstance(spec, OptimizerSpec)
        if spec.torch is not None:
            return component.code(spec.torch)(parameters, **part.params)
        rule = spec.rule
        assert rule is not None
        pure = PureRule(
            init=component.code(rule.init),
            update=component.code(rule.update),
            coefficients=component.code(rule.coefficients) if rule.coefficients else None,
            elementwise=rule.elementwise,
        )
        return RuleOptimizer(parameters, pure, part.params)

    def scheduler(self, part: Part, optimizer: torch.optim.Optimizer, total_steps: int) -> Any:
        factor, observe = self.schedule(part)
        if factor is not None:
            return LambdaLR(optimizer, lambda step: factor(step, total_steps))
        assert observe is not None
        return MetricSchedule(optimizer, observe)

    def schedule(
        self, part: Part
    ) -> tuple[Callable[[int, int], float] | None, Callable[[float, Any], dict[str, Any]] | None]:
        """``(factor, observe)``, one of them ``None``, the part's parameters filled in."""
        component = self.component("scheduler", part)
        spec = component.spec
        assert isinstance(spec, SchedulerSpec)
        if spec.factor is not None:
            return partial(component.code(spec.factor), **part.params), None
        assert spec.observe is not None
        return None, partial(component.code(spec.observe), **part.params)

    def initializer(self, part: Part, model: nn.Module, generator: torch.Generator) -> None:
        component = self.component("initializer", part)
        spec = component.spec
        assert isinstance(spec, InitializerSpec)
        if spec.init is None:
            return
        init = component.code(spec.init)
        kept = {
            param
            for module in model.modules()
            if isinstance(module, KEEP_THEIR_WEIGHTS)
            for param in module.parameters(recurse=False)
        }
        with torch.no_grad():
            for param in model.parameters():
                if param.ndim >= 2 and param.requires_grad and param not in kept:
                    init(param, generator, **part.params)

    def regularizer(self, part: Part) -> dict[str, Callable[..., Any]]:
        component = self.component("regularizer", part)
        spec = component.spec
        assert isinstance(spec, RegularizerSpec)
        return {
            hook: partial(component.code(code), **part.params)
            for hook, code in spec.hooks().items()
        }
