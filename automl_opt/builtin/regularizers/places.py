"""Where a model can be added to: its modules in the order in which they run, as far as they show.

No component: what `dropout` and `batch_norm` share.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch.nn import Module


class Place(NamedTuple):
    """*module* is the child *name* of *parent*: ``setattr(parent, name, other)`` replaces it."""

    parent: Module
    name: str
    module: Module


def places(model: Module) -> list[Place]:
    """Every place in *model*, modules that are used in several at each of theirs."""
    found = []
    for path, module in model.named_modules(remove_duplicate=False):
        if path:
            parent_path, _, name = path.rpartition(".")
            found.append(Place(model.get_submodule(parent_path), name, module))
    return found


def hidden_activations(model: Module) -> list[Place]:
    """The places of activation modules, without one that ends the model: it makes the prediction.

    That an activation ends the model is seen in ``nn.Sequential`` models only.
    """
    from torch import nn

    kinds = (
        nn.CELU,
        nn.ELU,
        nn.GELU,
        nn.Hardsigmoid,
        nn.Hardswish,
        nn.Hardtanh,  # and ReLU6
        nn.LeakyReLU,
        nn.Mish,
        nn.PReLU,
        nn.RReLU,
        nn.ReLU,
        nn.SELU,
        nn.SiLU,
        nn.Sigmoid,
        nn.Softplus,
        nn.Softsign,
        nn.Tanh,
        nn.Tanhshrink,
    )
    last: tuple[Module, str] | None = None
    tail = model
    while isinstance(tail, nn.Sequential) and len(tail) > 0:
        last = (tail, next(reversed(tail._modules)))
        tail = tail[-1]
    return [
        place
        for place in places(model)
        if isinstance(place.module, kinds)
        and (last is None or place.parent is not last[0] or place.name != last[1])
    ]


def sequences(model: Module) -> Iterator[list[Place]]:
    """What runs one after the other: each outermost ``nn.Sequential``, those in it laid flat."""
    from torch import nn

    inner = {
        place.module
        for place in places(model)
        if isinstance(place.parent, nn.Sequential) and isinstance(place.module, nn.Sequential)
    }
    for module in model.modules():
        if isinstance(module, nn.Sequential) and module not in inner:
            yield list(_flat(module))


def _flat(sequential: Module) -> Iterator[Place]:
    from torch import nn

    for name, module in sequential._modules.items():
        if isinstance(module, nn.Sequential):
            yield from _flat(module)
        else:
            yield Place(sequential, name, module)
