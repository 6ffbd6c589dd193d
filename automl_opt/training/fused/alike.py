"""Which trials can share a stack: those whose models are the same code on the same shapes."""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any

from torch import nn

from automl_opt.training.adapter import RuleOptimizer
from automl_opt.training.live import LiveTrial

PER_SLOT = {nn.Dropout: ("p",)}
"""Attributes of modules that a stack keeps slot by slot."""


def signature(live: LiveTrial) -> tuple[Hashable, ...]:
    """Equal for trials that one stack can train.

    The model's hyperparameters belong to it whole: code may use them in ways that do not show in
    the modules.
    """
    recipe = live.trial.recipe
    return (
        json.dumps(dict(recipe.model), sort_keys=True),
        live.batch_size,
        recipe.accumulate,
        live.step.create_graph,
        structure(live.model),
    )


def kinds(model: nn.Module) -> tuple[str, ...]:
    """The classes of the modules of *model*, in their order."""
    return tuple(f"{type(m).__module__}.{type(m).__qualname__}" for m in model.modules())


def structure(model: nn.Module) -> tuple[Hashable, ...]:
    """The modules of *model* with their settings and shapes, and which of them share weights."""
    known: dict[int, int] = {}
    found: list[Hashable] = []
    for path, module in model.named_modules(remove_duplicate=False):
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
