"""Optimizers around another optimizer: they share its parameter groups and keep a state beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class Wrapper(Optimizer):
    """Hands everything to *base*; a subclass adds a step of its own.

    Groups, options and per-parameter state are the base's own objects, so that a learning-rate
    scheduler on the wrapper moves the base; other methods, like ``train()`` and ``eval()``, exist
    where the base has them. The state dict is the base's under ``"base"``, with the wrapper's own
    state beside it; the wrapper's options are the constructor's, not part of it.
    """

    def __init__(self, base: Optimizer) -> None:
        self.base = base
        # torch's __init__ would make groups of its own; this makes what is left, its hooks
        super().__setstate__({})

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return self.base.param_groups

    @property
    def defaults(self) -> dict[str, Any]:
        return self.base.defaults

    @property
    def state(self) -> Any:
        return self.base.state

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "base":  # torch's own, or not there yet
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.base, name)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        self.base.add_param_group(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.base.zero_grad(set_to_none)

    def own_state(self) -> dict[str, Any]:
        """The wrapper's own state, of plain values and tensors."""
        return {}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Take what :meth:`own_state` gave."""

    def state_dict(self) -> dict[str, Any]:
        return {**self.own_state(), "base": self.base.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        own = dict(state_dict)
        self.base.load_state_dict(own.pop("base"))
        self.load_own_state(own)

    def __getstate__(self) -> dict[str, Any]:
        """For ``copy.deepcopy`` and ``pickle``: no hooks and no scheduler's step, as in torch."""
        return {"base": self.base}


class Sam(Wrapper):
    """Sharpness-aware minimisation: the base's step, with the gradient of a point uphill.

    Foret et al. 2021, arXiv:2010.01412, Algorithm 1 with ``p = 2``: the gradient is that at
    ``weights + rho * grad / norm(grad)``, the norm taken over all parameters. ``step`` needs a
    closure and calls it twice for every time the base asks; whether both calls see the same
    dropout is the closure's affair. A gradient of 0 climbs nowhere.
    """

    def __init__(self, base: Optimizer, rho: float) -> None:
        super().__init__(base)
        self.rho = rho

    def step(self, closure: Callable[[], Any]) -> Any:
        """Take the base's step; the loss at the weights, not at the point uphill."""
        return self.base.step(lambda: self._evaluate(closure))

    def _evaluate(self, closure: Callable[[], Any]) -> Any:
        """Leave the gradients of the point uphill; the loss where the weights are."""
        with torch.enable_grad():
            loss = closure()
        with torch.no_grad():
            params = [p for group in self.param_groups for p in group["params"]]
            params = [p for p in params if p.grad is not None]
            kept = [p.clone() for p in params]
            norms = [p.grad.norm().to(params[0]) for p in params]
            norm = torch.stack(norms).norm()
            climb = self.rho / norm.clamp(min=torch.finfo(norm.dtype).tiny)  # no sync with the host
            for param in params:
                param.add_(param.grad * climb.to(param))
        try:
            with torch.enable_grad():
                closure()
        finally:
            with torch.no_grad():
                for param, before in zip(params, kept, strict=True):
                    param.copy_(before)
        return loss

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "rho": self.rho}


class Lookahead(Wrapper):
    """Slow weights, which go part of the way to the base's after every *k* of its steps.

    Zhang et al. 2019, arXiv:1907.08610, Algorithm 1: ``slow += alpha * (fast - slow)``, and the
    base goes on from there with its state as it is. The weights of the model are the fast ones,
    also where it is evaluated between two such steps; the authors' code can swap the slow ones in.
    """

    def __init__(self, base: Optimizer, k: int, alpha: float) -> None:
        super().__init__(base)
        self.k, self.alpha = k, alpha
        self.count = 0
        self.slow: dict[Tensor, Tensor] = {}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        params = [param for group in self.param_groups for param in group["params"]]
        for param in params:
            if param not in self.slow:
                self.slow[param] = param.clone()
        with torch.enable_grad():
            loss = self.base.step() if closure is None else self.base.step(closure)
        self.count += 1
        if self.count % self.k == 0:
            for param in params:
                self.slow[param] = self.slow[param].lerp(param, self.alpha)
                param.copy_(self.slow[param])
        return loss

    def own_state(self) -> dict[str, Any]:
        params = [param for group in self.param_groups for param in group["params"]]
        return {"count": self.count, "slow": [self.slow.get(param) for param in params]}

    def load_own_state(self, state: dict[str, Any]) -> None:
        params = [param for group in self.param_groups for param in group["params"]]
        self.count = state["count"]
        pairs = zip(params, state["slow"], strict=True)
        self.slow = {param: slow.clone().to(param) for param, slow in pairs if slow is not None}

    def __getstate__(self) -> dict[str, Any]:
        own = {"k": self.k, "alpha": self.alpha, "count": self.count, "slow": self.slow}
        return {**super().__getstate__(), **own}
