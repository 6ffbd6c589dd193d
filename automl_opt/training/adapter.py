"""A pure rule as a ``torch.optim.Optimizer``: state dict, parameter groups, schedulers and all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from inspect import unwrap
from typing import Any

import torch
from torch import Tensor
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors
from torch.optim import Optimizer

from automl_opt.training.blame import Owner, form

CPU_BLOCK = 2**16
"""Elements updated in one go on a CPU. Joining small tensors saves dispatches; above this size a
pure update's temporaries no longer come from the allocator's free lists and cost page faults
(Adam, one thread, 2026-11: 300 k parameters 1.6 times slower unblocked, blocks of 2**13 1.3)."""

DEVICE_BLOCK = 2**26

# torch's own methods without what torch.compile wraps them in: that imports torch._dynamo when it
# is first called, which takes longer than torch itself
_ADD_PARAM_GROUP = unwrap(Optimizer.add_param_group)
_STATE_DICT = unwrap(Optimizer.state_dict)
_LOAD_STATE_DICT = unwrap(Optimizer.load_state_dict)


@dataclass(frozen=True)
class PureRule:
    """A :class:`automl_opt.api.Rule` whose functions are resolved.

    Args:
        curvature: *update* wants an estimate of the Hessian's diagonal.
        owner: whose rule it is, for errors.
    """

    init: Callable[[Tensor], dict[str, Tensor]]
    update: Callable[..., tuple[Tensor, dict[str, Tensor]]]
    coefficients: Callable[..., dict[str, float]] | None
    elementwise: bool
    curvature: bool = False
    owner: Owner = field(default_factory=Owner)

    def numbers(self, t: int, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """What *update* gets beside its tensors at step *t*, counted from 1."""
        return params if self.coefficients is None else self.coefficients(t, **params)


@dataclass
class _Block:
    """Pieces that are updated together: whole tensors, or slices of large ones."""

    pieces: list[tuple[Tensor, int, int]]  # parameter, start, stop of its flat view
    state: dict[str, Tensor]
    t: int
    flat: bool


class RuleOptimizer(Optimizer):
    """Runs a :class:`PureRule` over parameter groups.

    An elementwise rule sees flat blocks (small tensors joined, large ones cut), any other rule
    one parameter at a time. Parameters without a gradient are left alone and do not age, as in
    torch. ``state_dict()`` has per parameter ``step`` and the rule's own tensors.

    Args:
        parameters: tensors or groups, as for any torch optimizer.
        params: the rule's parameters, ``lr`` among them; they become group options.

    A rule that wants ``curvature`` needs gradients with their graph, from
    ``loss.backward(create_graph=True)``.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
        rule: PureRule,
        params: Mapping[str, Any],
    ) -> None:
        self.rule = rule
        self.names = tuple(params)
        self._blocks: dict[int, list[_Block]] = {}  # by the group's index
        self._had_grad: dict[int, list[bool]] = {}
        self._curvature: dict[Tensor, Tensor] = {}
        super().__init__(parameters, dict(params))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        _ADD_PARAM_GROUP(self, param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self.rule.curvature and not self._curvature:
            self.estimate_curvature()
        try:
            for index, group in enumerate(self.param_groups):
                params = {name: group[name] for name in self.names}
                numbers: dict[int, Mapping[str, Any]] = {}  # by age, which most blocks share
                for block in self._blocks_of(index, group["params"]):
                    block.t += 1
                    if block.t not in numbers:
                        numbers[block.t] = self.rule.numbers(block.t, params)
                    self._update(block, numbers[block.t])
        except Exception as error:  # the rule's own code
            told = self.rule.owner.raised("the rule", error)
            if told is error:
                raise
            raise told from error
        self._curvature.clear()
        return loss

    @torch.enable_grad()
    def estimate_curvature(self) -> None:
        """Estimate the Hessian's diagonal for the coming step, from gradients as they are now.

        For a loop that changes gradients between backward and step; :meth:`step` does it itself
        where nobody did. ``z * Hz`` with one *z* of random signs (Hutchinson 1989), drawn from
        torch's global generator; its mean over *z* is the diagonal.

        Raises:
            RuntimeError: no gradient has its graph.
        """
        if not self.rule.curvature:
            return
        params = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        bent = [p for p in params if p.grad.requires_grad]  # the others' gradients are constant
        if params and not bent:
            raise RuntimeError(
                "this optimizer differentiates the gradients again: call "
                "loss.backward(create_graph=True), and zero_grad() after the step"
            )
        signs = [torch.randint_like(p, 2) * 2 - 1 for p in bent]
        products = torch.autograd.grad(
            [p.grad for p in bent], bent, signs, retain_graph=True, materialize_grads=True
        )
        self._curvature = {p: torch.zeros_like(p) for p in params}
        for p, sign, product in zip(bent, signs, products, strict=True):
            self._curvature[p] = sign * product.detach()

    def _update(self, block: _Block, numbers: Mapping[str, Any]) -> None:
        values = [_cut(param, a, b) for param, a, b in block.pieces]
        grads = [_cut(param.grad, a, b) for param, a, b in block.pieces]
        value, grad = _as_one(block, values), _as_one(block, grads)
        if self.rule.curvature:
            bent = [_cut(self._curvature[param], a, b) for param, a, b in block.pieces]
            numbers = {**numbers, "curvature": _as_one(block, bent)}
            grad = grad.detach()  # of its graph
        before = value._version, grad._version
        given = self.rule.update(value, grad, block.state, **numbers)
        if (value._version, grad._version) != before:
            raise self.rule.owner.wrong(
                "update changed its param or grad in place; it must return new tensors instead"
            )
        if type(given) is not tuple or len(given) != 2:
            raise self.rule.owner.wrong(f"update gave {form(given)}; it must give (param, state)")
        new, state = given
        if not isinstance(new, Tensor) or new.shape != value.shape or new.dtype != value.dtype:
            raise self.rule.owner.wrong(
                f"update gave {form(new)} for a parameter of {form(value)}; shape and dtype must "
                "stay"
            )
        block.state = state
        if block.flat:
            torch._foreach_copy_(values, _unflatten_dense_tensors(new, values))
        else:
            values[0].copy_(new)

    def _blocks_of(self, index: int, parameters: list[Tensor]) -> list[_Block]:
        """The group's blocks; made anew when other parameters have gradients than last time."""
        have_grad = [param.grad is not None for param in parameters]
        if have_grad != self._had_grad.get(index):
            self._gather()
            self._had_grad[index] = have_grad
            self._blocks[index] = self._partition([p for p in parameters if p.grad is not None])
        return self._blocks[index]

    def _partition(self, parameters: list[Tensor]) -> list[_Block]:
        blocks: list[_Block] = []
        joined: dict[tuple[Any, ...], tuple[list[tuple[Tensor, int, int]], list[dict[str, Any]]]]
        joined = {}
        for param in parameters:
            state = dict(self.state.get(param) or self._first_state(param))
            t = int(state.pop("step"))
            limit = CPU_BLOCK if param.device.type == "cpu" else DEVICE_BLOCK
            flat = (
                self.rule.elementwise
                and param.is_contiguous()
                and all(tensor.shape == param.shape for tensor in state.values())
            )
            if not flat:
                blocks.append(_Block([(param, 0, param.numel())], state, t, flat=False))
                continue
            for a in range(0, max(param.numel(), 1), limit):
                b = min(a + limit, param.numel())
                piece = {name: tensor.reshape(-1)[a:b] for name, tensor in state.items()}
                key = (param.dtype, param.device, t)
                pieces, states = joined.get(key, ([], []))
                if pieces and sum(z - y for _, y, z in pieces) + b - a > limit:
                    blocks.append(_joined(pieces, states, t))
                    pieces, states = [], []
                joined[key] = ([*pieces, (param, a, b)], [*states, piece])
        blocks += [_joined(pieces, states, key[2]) for key, (pieces, states) in joined.items()]
        return blocks

    @torch.no_grad()
    def take_states(self) -> dict[Tensor, dict[str, Any]]:
        """Every parameter's state, with its ``step``, for who updates the parameters elsewhere.

        Whoever takes it sets ``self.state`` in the end; until then :meth:`step` starts from what
        was taken.
        """
        self._gather()
        self._blocks.clear()
        self._had_grad.clear()
        params = [param for group in self.param_groups for param in group["params"]]
        return {param: dict(self.state.get(param) or self._first_state(param)) for param in params}

    def _first_state(self, param: Tensor) -> dict[str, Any]:
        state = self.rule.init(param)
        if "step" in state:
            raise self.rule.owner.wrong(
                "init gave a state named 'step', which is where the steps are counted already; "
                "give it another name, or use the t of coefficients"
            )
        return {"step": 0, **state}

    def _gather(self) -> None:
        """Write every block's state back to ``self.state``, tensor by tensor."""
        for block in (block for blocks in self._blocks.values() for block in blocks):
            sizes = [b - a for _, a, b in block.pieces]
            for param, a, _ in block.pieces:
                if a == 0:
                    self.state[param] = {"step": block.t}
            for name, tensor in block.state.items():
                parts = tensor.split(sizes) if block.flat else [tensor]
                for (param, a, b), part in zip(block.pieces, parts, strict=True):
                    if a == 0:
                        self.state[param][name] = part.new_empty(
                            param.shape if block.flat else part.shape
                        )
                    whole = self.state[param][name]
                    if block.flat:
                        whole.view(-1)[a:b] = part
                    else:
                        whole.copy_(part)

    @torch.no_grad()
    def state_dict(self) -> dict[str, Any]:
        self._gather()
        return _STATE_DICT(self)

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        _LOAD_STATE_DICT(self, state_dict)
        self._blocks.clear()
        self._had_grad.clear()
        # torch casts state to its parameter's dtype; a rule may keep counts or a wider dtype
        saved = [key for group in state_dict["param_groups"] for key in group["params"]]
        params = [param for group in self.param_groups for param in group["params"]]
        for key, param in zip(saved, params, strict=True):
            for name, value in state_dict["state"].get(key, {}).items():
                if isinstance(value, Tensor):
                    self.state[param][name] = value.to(param.device)

    def __getstate__(self) -> dict[str, Any]:
        """For ``copy.deepcopy`` and ``pickle``; torch's own forgets what subclasses add."""
        self._gather()
        own = {"rule": self.rule, "names": self.names}
        own |= {"_blocks": {}, "_had_grad": {}, "_curvature": {}}
        return {**super().__getstate__(), **own}


def _cut(tensor: Tensor, start: int, stop: int) -> Tensor:
    return tensor if stop - start == tensor.numel() else tensor.reshape(-1)[start:stop]


def _as_one(block: _Block, cuts: list[Tensor]) -> Tensor:
    return _flatten_dense_tensors(cuts) if block.flat else cuts[0]


def _joined(pieces: list[tuple[Tensor, int, int]], states: list[dict[str, Any]], t: int) -> _Block:
    state = {name: torch.cat([piece[name] for piece in states]) for name in states[0]}
    return _Block(pieces, state, t, flat=True)
