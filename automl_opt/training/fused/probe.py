"""The probe: whether trials of a recipe can be stacked, found out by trying, in float64."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from automl_opt.core.errors import TaskError
from automl_opt.core.result import Measurement, Trial
from automl_opt.core.seeds import Seeds
from automl_opt.training.build import TorchBuilder
from automl_opt.training.data import (
    DatasetSource,
    Source,
    Splits,
    TensorSource,
    batch_sizes,
    moved,
)
from automl_opt.training.fused.alike import kinds, refusal, signature
from automl_opt.training.fused.arena import corner
from automl_opt.training.fused.stack import Stack
from automl_opt.training.live import EVALUATED_AT_ONCE, LiveTrial, Setup
from automl_opt.training.randomness import seeded
from automl_opt.training.task import Task, where

STEPS = 2
TOLERANCE = 1e-9
"""Relative; numbers of float64 differ by some 1e-15 where stacking is exact."""


class Probe:
    """Answers for recipes, and remembers what it found: kinds of modules and components.

    Args:
        splits: of the study; a few of its examples are tried.
    """

    def __init__(self, task: Task, splits: Splits, setup: Setup, builder: TorchBuilder) -> None:
        unshared = partial(_unshared, task.model)
        self._task, self._splits, self._builder = replace(task, model=unshared), splits, builder
        exact = setup.dtype if setup.device.type == "mps" else torch.float64  # has no float64
        self._setup = replace(setup, dtype=exact, autocast=None)
        self._tolerance = TOLERANCE if exact is torch.float64 else 1e-3
        self._good: set[Hashable] = set()
        self._bad: dict[frozenset[Hashable], str] = {}

    def refusal(self, live: LiveTrial) -> str | None:
        """Why trials like *live* cannot be stacked; ``None`` where they can."""
        if (said := refusal(live)) is not None:
            return said
        elements = frozenset(_elements(live))
        if elements <= self._good:
            return None
        if elements not in self._bad:
            said = self._try(live.trial)
            if said is None:
                self._good |= elements
                return None
            self._bad[elements] = said
        return self._bad[elements]

    def _try(self, trial: Trial) -> str | None:
        try:
            splits = self._few(int(trial.recipe.batch_size or len(self._splits.train)))
            first, second = (
                [self._live(trial, number, splits) for number in range(2)] for _ in range(2)
            )
            if signature(first[0]) != signature(first[1]):
                return "its model is another for every trial"
            alone = [_alone(live) for live in first]
            together = _together(second)
        except Exception as error:  # whatever torch, the model or a component makes of it
            return _told(error)
        for one, other in zip(alone, together, strict=True):
            for name, expected in one.items():
                if not _close(expected, other[name], self._tolerance):
                    said = f"{name} of stacked trials are not those of trials alone"
                    most = ", ".join(f"{key} = {n}" for key, n in self._task.largest.items())
                    return f"padded to {most}, {said}" if first[0].padded else said
        return None

    def _live(self, trial: Trial, number: int, splits: Splits) -> LiveTrial:
        own = Seeds.of_trial(trial.seeds.noise, "probe", number)
        seeds = replace(own, split=trial.seeds.split)
        trial = replace(trial, arm="probe", number=number, seeds=seeds)
        return LiveTrial(trial, self._task, splits, self._setup, self._builder)

    def _few(self, batch_size: int) -> Splits:
        """Enough examples for the steps of the probe."""
        train, valid = self._splits.train, self._splits.valid
        few = torch.arange(min(len(train), STEPS * batch_size))
        some = torch.arange(min(len(valid), 32))
        return Splits(self._cast(train.subset(few)), self._cast(valid.subset(some)), None)

    def _cast(self, source: Source) -> Source:
        device, dtype = self._setup.device, self._setup.dtype
        if isinstance(source, TensorSource):
            own = source.rows()
            x, y = (moved(whole[own], device, dtype) for whole in (source.x, source.y))
            return TensorSource(x, y)
        assert isinstance(source, DatasetSource)
        return replace(source, dtype=dtype)


class Company:
    """Whether what a trial computes depends on its company, to the bit, in the study's precision.

    Kernels that cut their work at places which the number of rows decides are the reason.
    """

    def __init__(self) -> None:
        self._good: dict[bool, set[Hashable]] = {False: set(), True: set()}
        self._bad: set[tuple[bool, frozenset[Hashable]]] = set()

    def spare(self, live: LiveTrial, twin: Callable[[int], LiveTrial]) -> bool | None:
        """Whether stacks of trials like *live* need a spare row; ``None`` where that is no help."""
        elements = frozenset((signature(live), *_elements(live)))
        for spare in (False, True):
            if elements <= self._good[spare]:
                return spare
            if (spare, elements) in self._bad:
                continue
            if _independent(live, twin, spare):
                self._good[spare] |= elements
                return spare
            self._bad.add((spare, elements))
        return None


COMPANIES = (1, 2), (2, 0), (3, 2), (4, 0), (5, 4), (6, 1)
"""Sizes of stacks, and the place of the trial that is watched."""


def _independent(live: LiveTrial, twin: Callable[[int], LiveTrial], spare: bool) -> bool:
    size = live.batch_size
    last = batch_sizes(len(live.splits.train), size)[-1]
    at_once = EVALUATED_AT_ONCE * size
    rest = len(live.splits.valid) % at_once
    few = Splits(
        live.splits.train.subset(torch.arange(min(len(live.splits.train), size + last))),
        live.splits.valid.subset(torch.arange(min(len(live.splits.valid), at_once + rest))),
        None,
    )
    most = max(rows for rows, _ in COMPANIES)
    company = [_on(few, twin(number)) for number in range(1, most)]
    seen: dict[str, Any] | None = None
    for rows, place in COMPANIES:
        others = company[: rows - 1]
        watched = _on(few, twin(0))
        stack = Stack([*others[:place], watched, *others[place:]], spare)
        losses = stack.steps(STEPS)
        row = stack.lives.index(watched)
        measured = stack.evaluate("valid")[row]()
        weights = [p.detach().clone() for p in watched.model.parameters()]
        found = {"losses": losses[:, row], "weights": weights, **_found(watched, measured)}
        if seen is not None and not all(_close(seen[name], found[name], 0.0) for name in seen):
            return False
        seen = found
        for other in others:
            stack.sync(other)  # what they are by now is no matter
    return True


def _on(splits: Splits, live: LiveTrial) -> LiveTrial:
    """*live*, before its first step, with other data."""
    live.splits = splits
    live.steps = len(batch_sizes(len(splits.train), live.batch_size))
    return live


def _unshared(model: Callable[..., nn.Module], **hyperparameters: Any) -> nn.Module:
    """A model none of whose weights another one has: the probe turns them into float64."""
    return copy.deepcopy(model(**hyperparameters))


def _elements(live: LiveTrial) -> Iterator[Hashable]:
    """What a trial is made of, each of which may be the reason that it cannot be stacked."""
    signature(live)  # settles whether it is padded, in company with which each is another
    yield live.padded, kinds(live.model)
    for role, part in live.trial.recipe.parts():
        if role in ("optimizer", "regularizer"):
            yield live.padded, role, part.name
    yield live.padded, "accumulate", live.trial.recipe.accumulate > 1


def _alone(live: LiveTrial) -> dict[str, Any]:
    """What a trial computes by itself: an evaluation, and a step."""
    measured = live.evaluate(live.splits.valid, "valid")
    with seeded(live.trial.seeds.noise, "epoch", 0):
        live.model.train()
        if hasattr(live.optimizer, "train"):
            live.optimizer.train()
        x, y = next(iter(live.splits.train.batches(live.batch_size, live.order())))
        x, targets = live.step.prepared(x, y, live.batch_generator())
        loss = live.step.gradients(x, targets)
        grads = [p.grad for p in live.model.parameters() if p.requires_grad]
        if any(grad is None for grad in grads):
            raise TaskError("not every parameter gets a gradient")
        grads = [grad.detach().clone() for grad in grads]
    return {"the losses": loss, "the gradients": grads, **_found(live, measured)}


def _together(lives: list[LiveTrial]) -> list[dict[str, Any]]:
    stack = Stack(lives)
    measured = [measure() for measure in stack.evaluate("valid")]
    stack.open_epoch()
    losses, grads = stack.look(*next(stack.batches()))
    found = {
        id(live): {
            "the losses": losses[row],
            "the gradients": [
                corner(grad[row], param.shape)
                for grad, param in zip(grads, live.step.parameters, strict=True)
            ],
            **_found(live, measured[row]),
        }
        for row, live in enumerate(stack.lives)
    }
    return [found[id(live)] for live in lives]


def _found(live: LiveTrial, measured: Sequence[Measurement]) -> dict[str, Any]:
    numbers = [math.nan if m.value is None else m.value for m in measured]
    return {
        "the buffers": [b.detach().clone() for b in live.model.buffers()],
        "the evaluations": torch.tensor(numbers, dtype=torch.float64),
    }


def _close(expected: Any, found: Any, tolerance: float) -> bool:
    if isinstance(expected, list):
        return all(_close(a, b, tolerance) for a, b in zip(expected, found, strict=True))
    a, b = expected.double(), found.double()
    scale = max(1.0, float(a.nan_to_num().abs().max()) if a.numel() else 0.0)
    return bool(torch.allclose(a, b, rtol=0.0, atol=tolerance * scale, equal_nan=True))


REASONS = {
    "randomness": "it draws random numbers where no slot has a stream of its own",
    ".item()": "it asks a tensor for its value (.item(), or an `if` on a tensor)",
    "data-dependent": "its control flow depends on the data",
    "doesn't match the broadcast shape": "it writes into a tensor that all slots share",
    "dynamic shape": "the shape of a result depends on the data",
    "inplace arithmetic": "it writes into a tensor that all slots share",
    "Batching rule not implemented": "torch.vmap has no rule for one of its operations",
}
"""What torch's messages come down to, by a part of them."""


def _told(error: Exception) -> str:
    text = str(error)
    for part, reason in REASONS.items():
        if part in text:
            return f"{reason} {where(error).rpartition(' ')[2]}"
    return where(error)
