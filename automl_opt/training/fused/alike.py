"""Which trials can share a stack: those whose models are the same code on the same shapes."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from torch import nn

from automl_opt.training.adapter import RuleOptimizer
from automl_opt.training.live import LiveTrial

PER_SLOT = {nn.Dropout: ("p",)}
"""Attributes of modules that a stack keeps slot by slot."""


class Place(NamedTuple):
    """Where a module is in a model, and the dropout that is or directly follows it.

    Args:
        path: as if what follows were not there.
        parent: of which *module*, or the pair of it and its dropout, is the child *name*.
    """

    path: str
    parent: nn.Module | None
    name: str
    module: nn.Module
    dropout: nn.Dropout | None


def places(model: nn.Module) -> Iterator[Place]:
    """The modules of *model* in their order, those that are used in several places at each.

    A module with a dropout behind it is the module: to another trial without, its slot of the
    dropout has the rate 0.
    """
    yield Place("", None, "", model, _as_dropout(model))
    yield from _below(model, "")


def _below(parent: nn.Module, path: str) -> Iterator[Place]:
    for name, child in parent._modules.items():
        if child is None:
            continue
        module, dropout = child, _as_dropout(child)
        if type(child) is nn.Sequential and len(child) == 2 and _as_dropout(child[1]) is not None:
            module, dropout = child[0], _as_dropout(child[1])
        here = f"{path}.{name}" if path else name
        yield Place(here, parent, name, module, dropout)
        yield from _below(module, here)


def _as_dropout(module: nn.Module) -> nn.Dropout | None:
    return module if type(module) is nn.Dropout else None


def signature(live: LiveTrial) -> str:
    """Equal for trials that one stack can train.

    The model's hyperparameters belong to it whole, but for those that are padded: code may use
    them in ways that do not show in the modules.
    """
    if live.signature is None:
        recipe, (hyperparameters, model) = live.trial.recipe, widest(live)
        parts = (
            json.dumps(dict(hyperparameters), sort_keys=True),
            live.batch_size,
            recipe.accumulate,
            live.step.create_graph,
            structure(model),
        )
        live.signature = sha256(repr(parts).encode()).hexdigest()
        live.padded = model is not live.model
    return live.signature


def widest(live: LiveTrial) -> tuple[Mapping[str, Any], nn.Module]:
    """The model whose code and shapes a stack of trials like *live* has, and its hyperparameters.

    Those that the task pads are at their largest; where the trial's own model does not fit into
    that, or is that, it is the trial's own.
    """
    own = live.trial.recipe.model
    most = {name: value for name, value in live.task.largest.items() if name in own}
    if all(own[name] == value for name, value in most.items()):
        return own, live.model
    model = live.built({**own, **most})
    return ({**own, **most}, model) if _fits(live.model, model) else (own, live.model)


def _fits(small: nn.Module, large: nn.Module) -> bool:
    """Whether weights and buffers of the one are those of the other, at most as large."""
    own, other = (dict([*m.named_parameters(), *m.named_buffers()]) for m in (small, large))
    return (
        kinds(small) == kinds(large)
        and list(own) == list(other)
        and all(
            tensor.ndim == other[name].ndim
            and tensor.requires_grad == other[name].requires_grad
            and all(n <= most for n, most in zip(tensor.shape, other[name].shape, strict=True))
            for name, tensor in own.items()
        )
    )


def kinds(model: nn.Module) -> tuple[str, ...]:
    """The classes of the modules of *model*, in their order."""
    found = {id(place.module): type(place.module) for place in places(model)}
    return tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in found.values())


def structure(model: nn.Module) -> tuple[Hashable, ...]:
    """The modules of *model* with their settings and shapes, and which of them share weights."""
    known: dict[int, int] = {}
    found: list[Hashable] = []
    for path, _, _, module, _ in places(model):
        kind = type(module)
        tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        shapes = tuple(
            (
                name,
                tuple(t.shape),
                str(t.dtype),
                t.requires_grad,
                known.setdefault(id(t), len(known)),
            )
            for name, t in tensors
        )
        settings = tuple(
            (name, repr(value))
            for name, value in sorted(vars(module).items())
            if name not in PER_SLOT.get(kind, ()) and _is_plain(name, value)
        )
        found.append((path, kind.__module__, kind.__qualname__, settings, shapes))
    return tuple(found)


def _is_plain(name: str, value: Any) -> bool:
    if name.startswith("_") or name == "training":
        return False
    if isinstance(value, (tuple, list)):
        return all(_is_plain("", item) for item in value)
    return value is None or isinstance(value, (bool, int, float, str))


def refusal(live: LiveTrial) -> str | None:
    """Why *live* cannot be in a stack, as far as its recipe says; ``None`` where it may."""
    if live.step.needs_closure:
        return f"{live.trial.recipe.optimizer.name} evaluates the model by itself"
    if live.step.hooks["attack"]:
        return "a regularizer attacks the inputs along the gradient"
    if live.step.create_graph and not isinstance(live.optimizer, RuleOptimizer):
        return f"{live.trial.recipe.optimizer.name} differentiates the gradients by itself"
    return None
