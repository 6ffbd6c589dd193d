"""Regularizers and stabilisers: what is done to model, batch, loss, gradients or weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from automl_opt.api.component import Code, ComponentSpec, is_code
from automl_opt.core.params import Value

HOOKS = ("model", "batch", "mix", "attack", "loss", "grads", "weights", "average", "stop")


@dataclass(frozen=True, kw_only=True)
class RegularizerSpec(ComponentSpec):
    """Any of nine hooks, each with the component's ``**params``; called in the recipe's order.

    Args:
        model: ``model(model) -> model``, once, before the optimizer sees the parameters.
        batch: ``batch(x, y, rng) -> (x, y)``, every training batch; ``rng`` a ``torch.Generator``.
        mix: ``mix(x, y, rng) -> (x, y2, share)``: inputs that belong to two targets. The loss is
            ``share`` of that against *y* plus ``1 - share`` of that against *y2*.
        attack: ``attack(x, slope) -> x``: inputs made harder; ``slope`` is the gradient of the
            loss with respect to *x*. The loss is the mean of that on both.
        loss: ``loss(value, weights, outputs, y) -> value``; ``weights`` are the parameters of two
            dimensions or more, so that biases and norms go free.
        grads: ``grads(grads, parameters) -> grads``, the gradients before the step and the
            parameters they belong to.
        weights: ``weights(weights, lr) -> None``, after the step, in place, under ``no_grad``;
            ``lr`` is the learning rate of that step.
        average: ``average(step, total) -> float | None``: the share of the present weights in a
            running average of them, after each step, counted from 0; ``None`` changes nothing.
            The average is what is evaluated; the step works on the weights.
        stop: ``stop(history) -> bool``, after every epoch; ``history`` has the study's metric of
            every epoch so far, turned so that lower is better.
        losses: names of the task losses it is made for; empty means any.
        identity: values of parameters, often outside their range, at which it changes nothing.
    """

    kind: ClassVar[str] = "regularizer"

    model: Code | None = None
    batch: Code | None = None
    mix: Code | None = None
    attack: Code | None = None
    loss: Code | None = None
    grads: Code | None = None
    weights: Code | None = None
    average: Code | None = None
    stop: Code | None = None
    losses: tuple[str, ...] = ()
    identity: Mapping[str, Value] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._need(bool(self.hooks()), f"give at least one of {', '.join(HOOKS)}")
        for hook, code in self.hooks().items():
            self._need(is_code(code), f"{hook} must be a function or 'module:name'")
        if self.identity is not None:
            object.__setattr__(self, "identity", MappingProxyType(dict(self.identity)))
            for key in self.identity:
                self._need(
                    key in self.params, f"identity sets {key!r}, which is no parameter of it"
                )

    def hooks(self) -> dict[str, Code]:
        """The hooks this regularizer has, by name."""
        found = {hook: getattr(self, hook) for hook in HOOKS}
        return {hook: code for hook, code in found.items() if code is not None}
