"""Optimizers: a pure rule, any ``torch.optim.Optimizer`` by its path, or a wrapper of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from automl_opt.api.component import Code, ComponentSpec, is_code


@dataclass(frozen=True)
class Rule:
    """One optimizer step as pure functions, so that one formula runs alone and K at once.

    Args:
        init: ``init(param) -> dict[str, Tensor]``, the state before the first step.
        update: ``update(param, grad, state, **numbers) -> (param, state)``: new tensors of the
            same shapes and dtypes; the inputs stay as they are. ``numbers`` are the component's
            parameters, ``lr`` already multiplied by the schedule, or what *coefficients* makes
            of them. With ``OptimizerSpec(create_graph=True)`` it gets ``curvature=``, too: an
            estimate of the Hessian's diagonal in the shape of *param*.
        coefficients: ``coefficients(t, **params) -> dict[str, float]``, computed on the host in
            float64 before a step; ``t`` counts the steps from 1.
        elementwise: an element's update depends on that element alone (no norms, no matrix
            products), so small tensors may be updated joined into one.
    """

    init: Code
    update: Code
    coefficients: Code | None = None
    elementwise: bool = False


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec(ComponentSpec):
    """An optimizer; give one of *rule*, *torch* and *wrap*.

    Args:
        rule: the formula.
        torch: ``"package.module:Class"`` of a ``torch.optim.Optimizer``; ``params`` are its
            keyword arguments.
        wrap: ``wrap(optimizer, **params) -> torch.optim.Optimizer`` around another optimizer,
            whose parameter groups it shares; a study names both, as in ``sam(adamw)``. *decay*
            and *full_batch* are then the other's.
        closure: its ``step`` wants a closure that evaluates the model again (L-BFGS).
        create_graph: the gradients keep their graph, so that ``step`` can differentiate them
            again; a rule gets ``curvature=``.
        full_batch: trained on the whole training set at every step: no batch size is searched.
        decay: the parameter that is the weight decay. Biases, norms and whatever else has fewer
            than two dimensions go free of it, where the optimizer is given plain tensors;
            parameter groups decay as they say.
        twin: ``twin(parameters, **params)``: the same method from an independent library, that
            the tests hold this one against.
    """

    kind: ClassVar[str] = "optimizer"

    rule: Rule | None = None
    torch: str | None = None
    wrap: Code | None = None
    closure: bool = False
    create_graph: bool = False
    full_batch: bool = False
    decay: str | None = None
    twin: Code | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._need(
            sum(way is not None for way in (self.rule, self.torch, self.wrap)) == 1,
            "give one of rule=Rule(…), torch='module:Class' and wrap=…",
        )
        if self.rule is not None:
            self._need(isinstance(self.rule, Rule), f"rule must be a Rule, not {self.rule!r}")
            self._need(is_code(self.rule.init), "rule.init must be a function or 'module:name'")
            self._need(is_code(self.rule.update), "rule.update must be a function or 'module:name'")
            self._need(
                self.rule.coefficients is None or is_code(self.rule.coefficients),
                "rule.coefficients must be a function, 'module:name' or None",
            )
            self._need(not self.closure, "closure=True goes with torch= or wrap=, not with a rule")
            self._need(
                "lr" in self.params, "a rule needs the parameter 'lr', for schedules scale it"
            )
        if self.torch is not None:
            self._need(is_code(self.torch), f"torch={self.torch!r} is not 'module:Class'")
        if self.wrap is not None:
            self._need(is_code(self.wrap), "wrap must be a function or 'module:name'")
            self._need(
                self.decay is None and not self.full_batch,
                "decay and full_batch are those of the optimizer it wraps",
            )
        self._need(
            self.decay is None or self.decay in self.params,
            f"decay names {self.decay!r}, which is no parameter of it",
        )
        self._need(not (self.closure and self.create_graph), "give one of closure and create_graph")
