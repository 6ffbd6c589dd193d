"""One step of training: model, loss, gradients, optimizer, and every hook in its place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from automl_opt.core.errors import TaskError
from automl_opt.plugin.catalog import Component
from automl_opt.training.blame import Owner

HOOKS = ("batch", "mix", "attack", "loss", "grads", "weights")
"""The hooks of a regularizer that a step calls, in the order in which it does."""


class Step:
    """What happens to one batch; the object holds no state of its own.

    Args:
        optimizer: made from *component*.
        hooks: by name, in the recipe's order, each with its parameters filled in.
        loss: ``loss(outputs, y) -> scalar``, a mean over the batch.
        accumulate: run the batch in this many pieces and add their gradients.
        precision: the context that model and loss run in, made anew for every piece.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        component: Component,
        hooks: Mapping[str, Sequence[Callable[..., Any]]],
        loss: Callable[[Any, Any], Tensor],
        *,
        accumulate: int = 1,
        precision: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.weights = [p for p in self.parameters if p.ndim >= 2]
        self._owner, self.hooks, self._loss = Owner.of(component), hooks, loss
        self.accumulate, self._precision = accumulate, precision
        self.needs_closure = component.has("closure")
        self.create_graph = component.has("create_graph")
        self._estimate = getattr(optimizer, "estimate_curvature", None)

    def __call__(self, x: Any, y: Any, rng: torch.Generator) -> Tensor:
        """Train on one batch; its loss before the step, detached.

        Args:
            rng: where the hooks on the batch draw from, on the batch's device.
        """
        x, targets = self.prepared(x, y, rng)
        if self.needs_closure:
            loss = self._descend_by_closure(x, targets)
        else:
            loss = self.gradients(x, targets)
            self.follow()
        self._forget_gradients()
        if self.hooks["weights"]:
            lr = self.optimizer.param_groups[0].get("lr", 1.0)
            with torch.no_grad():
                for hook in self.hooks["weights"]:
                    hook(self.weights, lr)
        return loss

    def prepared(self, x: Any, y: Any, rng: torch.Generator) -> tuple[Any, list[tuple[Any, Any]]]:
        """The batch after its hooks: the inputs, and ``(y, share)`` of each target.

        Of several ways to mix, one is drawn.
        """
        for hook in self.hooks["batch"]:
            x, y = hook(x, y, rng)
        hooks = self.hooks["mix"]
        if not hooks:
            return x, [(y, 1.0)]
        which = 0
        if len(hooks) > 1:
            which = int(torch.randint(len(hooks), (), generator=rng, device=rng.device))
        x, other, share = hooks[which](x, y, rng)
        return x, [(y, share), (other, 1 - share)]

    def _descend_by_closure(self, x: Any, targets: list[tuple[Any, Any]]) -> Tensor:
        evaluated: list[Tensor] = []
        theirs: list[Exception] = []  # what went wrong in the model and the loss

        def closure() -> Tensor:
            try:
                self._forget_gradients()
                evaluated.append(self.gradients(x, targets))
            except Exception as error:
                theirs.append(error)
                raise
            return evaluated[-1]

        self.follow(closure, theirs)
        return evaluated[0]

    def follow(
        self, closure: Callable[[], Tensor] | None = None, theirs: Sequence[Exception] = ()
    ) -> None:
        """Let the optimizer step; what it raises itself names its component."""
        try:
            if closure is None:
                self.optimizer.step()
            else:
                self.optimizer.step(closure)
        except Exception as error:
            told = error if error in theirs else self._owner.raised("step", error)
            if told is error:
                raise
            raise told from error

    def gradients(self, x: Any, targets: list[tuple[Any, Any]]) -> Tensor:
        """Set the gradients of the batch's mean loss, shaped by the hooks; the loss, detached."""
        examples = len(targets[0][0])
        size = math.ceil(examples / self.accumulate)
        total: Tensor | None = None
        for start in range(0, examples, size):
            rows = slice(start, start + size)
            whole = size == examples
            part_x = x if whole else _rows(x, rows)
            part = targets if whole else [(y[rows], share) for y, share in targets]
            loss = self._hardened(part_x, part)
            if not whole:
                loss = loss * (len(part[0][0]) / examples)
            self._backward(loss)
            total = loss.detach() if total is None else total + loss.detach()
        assert total is not None, "a batch has at least one example"
        if self._estimate is not None and self.create_graph:
            self._estimate()
        self._shape_gradients()
        return total

    def _backward(self, loss: Tensor) -> None:
        if not self.create_graph:
            loss.backward()
            return
        # not loss.backward(create_graph=True): it warns of the cycle that zero_grad breaks
        grads = torch.autograd.grad(loss, self.parameters, create_graph=True, allow_unused=True)
        for param, grad in zip(self.parameters, grads, strict=True):
            if grad is not None:
                param.grad = grad if param.grad is None else param.grad + grad

    def _hardened(self, x: Any, targets: list[tuple[Any, Any]]) -> Tensor:
        """The regularised loss; where hooks attack the inputs, half of it on what they make."""
        if not self.hooks["attack"]:
            return self._regularized(x, targets)
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise TaskError(
                "inputs are attacked along the gradient of the loss, which needs x to be one "
                "tensor of real numbers; leave regularizers that attack out of this study"
            )
        x = x.detach().requires_grad_()
        plain = self._regularized(x, targets)
        (slope,) = torch.autograd.grad(plain, x, retain_graph=True)
        attacked = x.detach()
        for hook in self.hooks["attack"]:
            attacked = hook(attacked, slope)
        return (plain + self._regularized(attacked.detach(), targets)) / 2

    def _regularized(self, x: Any, targets: list[tuple[Any, Any]]) -> Tensor:
        with self._precision():
            outputs = self.model(x)
            losses = [self._loss(outputs, y) for y, _ in targets]
        for hook in self.hooks["loss"]:
            losses = [
                hook(loss, self.weights, outputs, y)
                for loss, (y, _) in zip(losses, targets, strict=True)
            ]
        if len(losses) == 1:
            return losses[0]
        return torch.stack(
            [share * loss for loss, (_, share) in zip(losses, targets, strict=True)]
        ).sum()

    def _forget_gradients(self) -> None:
        """What ``optimizer.zero_grad()`` does, without its record for the profiler (10 µs)."""
        for param in self.parameters:
            param.grad = None

    def _shape_gradients(self) -> None:
        if not self.hooks["grads"]:
            return
        owners = [p for p in self.parameters if p.grad is not None]
        grads = [p.grad for p in owners]
        for hook in self.hooks["grads"]:
            grads = hook(grads, owners)
        for owner, grad in zip(owners, grads, strict=True):
            owner.grad = grad


def _rows(x: Any, rows: slice) -> Any:
    if isinstance(x, Tensor):
        return x[rows]
    if isinstance(x, dict):
        return {key: _rows(item, rows) for key, item in x.items()}
    return type(x)(_rows(item, rows) for item in x)
