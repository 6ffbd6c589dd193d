"""How a row of the table becomes an optimizer; the only module here that imports torch.

``plain.AdaBelief`` is a function ``(parameters, **params) -> AdaBelief``, and so for every class
and every construction below. An argument that the class does not name is an error: nearly all of
them take ``**kwargs`` and pass over what they do not know.
"""

from __future__ import annotations

import difflib
import inspect
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytorch_optimizer
import torch
from pytorch_optimizer.optimizer.scion import LMONorm
from pytorch_optimizer.optimizer.utils.galore import GaLoreProjector
from pytorch_optimizer.optimizer.utils.graft import SGDGraft
from pytorch_optimizer.optimizer.utils.partition import BlockPartitioner, PreConditionerType
from pytorch_optimizer.optimizer.utils.preconditioner import PreConditioner
from torch import Tensor
from torch.optim import Optimizer

Parameters = Iterable[Tensor] | Iterable[dict[str, Any]]

# plain holders of tensors and numbers in the states of GaLore, Shampoo, SCION and their kin: a
# checkpoint is read with weights_only=True, which refuses what nobody vouches for
torch.serialization.add_safe_globals(
    [BlockPartitioner, GaLoreProjector, LMONorm, PreConditioner, PreConditionerType, SGDGraft]
)


class Construction:
    """A way to construct; its attributes are the library's classes, constructed that way."""

    def __init__(
        self, construct: Callable[[type[Optimizer], Parameters, Mapping[str, Any]], Optimizer]
    ) -> None:
        self._construct = construct
        self.__doc__ = construct.__doc__

    def __getattr__(self, name: str) -> Callable[..., Optimizer]:
        if name.startswith("_"):
            raise AttributeError(name)
        cls = getattr(pytorch_optimizer, name)

        def constructed(parameters: Parameters, **params: Any) -> Optimizer:
            return self._construct(cls, parameters, params)

        return constructed


def arguments(cls: type[Optimizer], params: Mapping[str, Any]) -> dict[str, Any]:
    """*params* as *cls* takes them: ``beta1`` and ``beta2`` become ``betas``.

    Raises:
        TypeError: one of them is no argument of *cls*.
    """
    signature = inspect.signature(cls).parameters
    named = {
        name: parameter.default
        for name, parameter in list(signature.items())[1:]
        if parameter.kind is not parameter.VAR_KEYWORD
    }
    entries = {
        f"{name.removesuffix('s')}{place}": (name, place - 1)
        for name, default in named.items()
        if isinstance(default, tuple) and name.endswith("s")
        for place in range(1, len(default) + 1)
    }
    given: dict[str, Any] = {}
    for name, value in params.items():
        if name in named:
            given[name] = value
        elif name in entries:
            whole, place = entries[name]
            values = list(given.get(whole, named[whole]))
            values[place] = value
            given[whole] = tuple(values)
        else:
            near = difflib.get_close_matches(name, [*named, *entries], n=1)
            advice = f"; did you mean {near[0]}?" if near else ""
            raise TypeError(f"{cls.__name__} has no argument {name!r}{advice}")
    return given


@Construction
def plain(cls: type[Optimizer], parameters: Parameters, params: Mapping[str, Any]) -> Optimizer:
    return cls(parameters, **arguments(cls, params))


@Construction
def closed(cls: type[Optimizer], parameters: Parameters, params: Mapping[str, Any]) -> Optimizer:
    """Of a class that calls the closure without gradients, and wants a number from it."""

    class Closed(cls):  # type: ignore[valid-type, misc]
        def step(self, closure: Callable[[], Tensor]) -> Any:
            return super().step(torch.enable_grad()(lambda: float(closure())))

    Closed.__name__ = cls.__name__
    return Closed(parameters, **arguments(cls, params))


@Construction
def self_paced(
    cls: type[Optimizer], parameters: Parameters, params: Mapping[str, Any]
) -> Optimizer:
    """Of a class that writes the step size it finds where a schedule writes the learning rate.

    What it finds is kept as a multiple of the learning rate, so that a schedule multiplies it.
    """

    class SelfPaced(cls):  # type: ignore[valid-type, misc]
        def step(self, closure: Callable[[], Any] | None = None) -> Any:
            scheduled = [group["lr"] for group in self.param_groups]
            if not all(scheduled):  # nothing moves, and a multiple of 0 says nothing
                return None if closure is None else closure()
            for group in self.param_groups:
                group["lr"] *= group.setdefault("pace", 1.0)
            loss = super().step(closure)
            for group, rate in zip(self.param_groups, scheduled, strict=True):
                group["pace"], group["lr"] = group["lr"] / rate, rate
            return loss

    SelfPaced.__name__ = cls.__name__
    return SelfPaced(parameters, **arguments(cls, params))


@Construction
def listed(cls: type[Optimizer], parameters: Parameters, params: Mapping[str, Any]) -> Optimizer:
    """Of a class that keeps the last gradients in a deque, which no checkpoint takes."""

    class Listed(cls):  # type: ignore[valid-type, misc]
        def state_dict(self) -> dict[str, Any]:
            state: dict[str, Any] = super().state_dict()
            plain_of = {
                key: {
                    name: list(item) if isinstance(item, deque) else item
                    for name, item in kept.items()
                }
                for key, kept in state["state"].items()
            }
            return {**state, "state": plain_of}

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            super().load_state_dict(state_dict)
            for group in self.param_groups:
                for kept in (self.state[parameter] for parameter in group["params"]):
                    for name, item in kept.items():
                        if isinstance(item, list):
                            kept[name] = deque(item, maxlen=group["keep_num"])

    Listed.__name__ = cls.__name__
    return Listed(parameters, **arguments(cls, params))


@Construction
def matrices_apart(
    cls: type[Optimizer], parameters: Parameters, params: Mapping[str, Any]
) -> Optimizer:
    """Of a class that wants to be told which groups to orthogonalise: two dimensions or more."""
    given = arguments(cls, params)
    groups = []
    for tensors, options, matrices in split(parameters, lambda tensor: tensor.ndim >= 2):
        rate = {} if matrices else {"lr": given["adamw_lr"]}
        groups.append({**options, **rate, "params": tensors, "use_muon": matrices})
    return cls(groups, **given)


@Construction
def low_rank(cls: type[Optimizer], parameters: Parameters, params: Mapping[str, Any]) -> Optimizer:
    """Of a class that projects the groups that have a *rank*: matrices, and nothing else."""
    of_projector = set(inspect.signature(GaLoreProjector).parameters)
    projection = {name: value for name, value in params.items() if name in of_projector}
    groups = []
    for tensors, options, matrices in split(parameters, lambda tensor: tensor.ndim == 2):
        groups.append({**options, **(projection if matrices else {}), "params": tensors})
    others = {name: value for name, value in params.items() if name not in projection}
    return cls(groups, **arguments(cls, others))


def split(
    parameters: Parameters, condition: Callable[[Tensor], bool]
) -> Iterator[tuple[list[Tensor], dict[str, Any], bool]]:
    """Each group in two: ``(tensors, the group's options, whether they meet condition)``."""
    given = list(parameters)
    groups = given if given and isinstance(given[0], dict) else [{"params": given}]
    for group in groups:
        options = {name: value for name, value in group.items() if name != "params"}
        tensors = group["params"]
        tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
        for meets in (True, False):
            chosen = [tensor for tensor in tensors if condition(tensor) is meets]
            if chosen:
                yield chosen, options, meets
