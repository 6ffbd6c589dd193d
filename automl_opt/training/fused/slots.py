"""What torch.vmap and torch.func.functional_call do, without checking a small step's tensors anew.

Torch's own take longer over their arguments than a layer of a small model takes to compute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from torch._C import _functorch as functorch
from torch._functorch.vmap import lazy_load_decompositions
from torch.utils._pytree import tree_map


def vmap(function: Callable[..., Any], *args: Any) -> Any:
    """What ``torch.vmap(function)(*args)`` gives.

    Args:
        args: ``[slots, …]`` tensors, in lists, tuples, dicts or anything else that is a tree to
            torch; the first has one at least.
    """
    lazy_load_decompositions()
    slots = leaves(args[0])[0].shape[0]
    level = functorch._vmap_increment_nesting(slots, "error")

    def inside(tensor: Tensor) -> Tensor:
        return functorch._add_batch_dim(tensor, 0, level)

    def outside(tensor: Any) -> Tensor:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{type(tensor).__name__} where torch.vmap needs a tensor")
        return functorch._remove_batch_dim(tensor, level, slots, 0)

    try:
        return mapped(outside, function(*mapped(inside, args)))
    finally:
        functorch._vmap_decrement_nesting()


def mapped(change: Callable[[Any], Any], value: Any) -> Any:
    """*value*, a tree of tensors, with every tensor changed."""
    kind = type(value)
    if kind is Tensor:
        return change(value)
    if kind is list:
        return [mapped(change, item) for item in value]
    if kind is tuple:
        return tuple([mapped(change, item) for item in value])
    if kind is dict:
        return {key: mapped(change, item) for key, item in value.items()}
    return tree_map(change, value)  # whatever else torch knows


def leaves(value: Any) -> list[Tensor]:
    """The tensors of a tree, in the order of :func:`mapped`."""
    found: list[Tensor] = []
    mapped(found.append, value)
    return found


def refilled(value: Any, tensors: Iterable[Tensor]) -> Any:
    """The tree *value* with *tensors* in place of its own."""
    left = iter(tensors)
    return mapped(lambda _: next(left), value)


class Body:
    """A model's code, run on tensors that are not its own.

    Args:
        model: weights that it has in several places are given once, by the first one's name.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        named = dict(model.named_parameters()) | dict(model.named_buffers())
        names = {id(tensor): name for name, tensor in named.items()}
        self._places: dict[str, list[tuple[dict[str, Any], str]]] = {name: [] for name in named}
        for module in model.modules():
            for own in (module._parameters, module._buffers):
                for key, tensor in own.items():
                    if tensor is not None:
                        self._places[names[id(tensor)]].append((own, key))
        self._own = {name: own[key] for name, [(own, key), *_] in self._places.items()}

    def __call__(self, tensors: Mapping[str, Tensor], *args: Any) -> Any:
        """The model's answer to *args* with *tensors* as its weights and buffers."""
        try:
            self._put(tensors)
            return self._model(*args)
        finally:
            self._put(self._own)

    def _put(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            for own, key in self._places[name]:
                own[key] = tensor
