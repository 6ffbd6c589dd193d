"""Regularizers and stabilisers: what is done to model, batch, loss, gradients or weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from automl_opt.api.component import Code, ComponentSpec, is_code

HOOKS = ("model", "batch", "loss", "grads", "weights", "stop")


@dataclass(frozen=True, kw_only=True)
class RegularizerSpec(ComponentSpec):
    """Any of six hooks, each with the component's ``**params``; several are called in recipe order.

    Args:
        model: ``model(model) -> model``, once, before the optimizer sees the parameters.
        batch: ``batch(x, y, rng) -> (x, y)``, every training batch; ``rng`` a ``torch.Generator``.
        loss: ``loss(value, weights, outputs, y) -> value``; ``weights`` are the parameters of two
            dimensions or more, so that biases and norms go free.
        grads: ``grads(grads) -> grads``, the list of gradients before the step.
        weights: ``weights(weights) -> None``, after the step, in place, under ``no_grad``.
        stop: ``stop(history) -> bool``, after every epoch; ``history`` has the study's metric of
            every epoch so far, turned so that lower is better.
        losses: names of the task losses it is made for; empty means any.
    """

    kind: ClassVar[str] = "regularizer"

    model: Code | None = None
    batch: Code | None = None
    loss: Code | None = None
    grads: Code | None = None
    weights: Code | None = None
    stop: Code | None = None
    losses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self._need(bool(self.hooks()), f"give at least one of {', '.join(HOOKS)}")
        for hook, code in self.hooks().items():
            self._need(is_code(code), f"{hook} must be a function or 'module:name'")

    def hooks(self) -> dict[str, Code]:
        """The hooks this regularizer has, by name."""
        found = {hook: getattr(self, hook) for hook in HOOKS}
        return {hook: code for hook, code in found.items() if code is not None}
