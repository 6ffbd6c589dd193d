"""Models, trials and engines for the tests of stacked training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from automl_opt.core.result import EpochReport, Status, Trial, TrialResult
from automl_opt.training.build import TorchBuilder
from automl_opt.training.data import make_splits
from automl_opt.training.fused.choose import Chooser, Sizes
from automl_opt.training.fused.engine import FusedEngine
from automl_opt.training.fused.graph import Graph
from automl_opt.training.fused.stack import Stack
from automl_opt.training.live import LiveTrial, Setup
from automl_opt.training.plain import How
from automl_opt.training.task import Task

from .examples import BUILTIN, setup


def images(n: int = 42) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(6)
    y = torch.arange(n) % 3
    x = torch.randn(n, 1, 6, 6, generator=source, dtype=torch.float64)
    return x + y[:, None, None, None] * 0.5, y


def sequences(n: int = 42) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(7)
    y = torch.arange(n) % 3
    return (torch.randint(0, 9, (n, 5), generator=source) + y[:, None]) % 9, y


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(6, 3),
    )


def cnn_with_norms() -> nn.Module:
    """No bias before a norm: its true gradient is 0, and optimizers blow the rounding errors up."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )


class Reader(nn.Module):
    """A small transformer, its embedding used again as the last layer where *tied*.

    Without biases: the true gradient of the keys' is 0, too.
    """

    def __init__(self, tied: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True, bias=False)
        self.back = nn.Linear(8, 9, bias=False)
        if tied:
            self.back.weight = self.embedding.weight
        self.out = nn.Linear(9, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(self.back(self.block(self.embedding(tokens))).mean(dim=1))


def live(task: Task, trial: Trial, setup: Setup) -> LiveTrial:
    splits = make_splits(task, trial.seeds.split, setup.device, setup.dtype)
    return LiveTrial(trial, task, splits, setup, TorchBuilder(BUILTIN))


def furthest(task: Task, trials: Sequence[Trial], epochs: int) -> float:
    """The largest of :func:`distances`."""
    return max(distances(task, trials, epochs))


def distances(
    task: Task, trials: Sequence[Trial], epochs: int, graph: Graph | None = None
) -> list[float]:
    """How far each stacked trial ends from the same trial alone, relative, in float64.

    Weights, buffers, training losses and validation numbers are looked at, the latter two after
    every epoch.
    """
    exact = setup(dtype=torch.float64, epochs=epochs)
    stack = Stack([live(task, trial, exact) for trial in trials], graph=graph)
    alone = {id(trial): live(task, trial, exact) for trial in trials}
    apart = {id(trial): 0.0 for trial in trials}

    def note(own: LiveTrial, distance: float) -> None:
        apart[id(own.trial)] = max(apart[id(own.trial)], distance)

    for _ in range(epochs):
        losses, sizes, finite = stack.train_epoch()
        for row, own in enumerate(stack.lives):
            mean = own.close_training(losses[:, row], sizes, finite[row])
            with sdpa_kernel(SDPBackend.MATH):  # others cannot be differentiated twice
                note(own, abs(mean - alone[id(own.trial)].train_epoch()))
        measures = stack.evaluate("valid")
        for own, measure in zip(stack.lives, measures, strict=True):
            plain = alone[id(own.trial)]
            for found, expected in zip(
                measure(), plain.evaluate(plain.splits.valid, "valid"), strict=True
            ):
                note(own, abs(found.value - expected.value))
    for own in stack.lives:
        expected = alone[id(own.trial)].model.state_dict()
        for name, tensor in own.model.state_dict().items():
            scale = expected[name].double().abs().max().clamp(min=1e-3)
            note(own, float((tensor - expected[name]).double().abs().max() / scale))
    return [apart[id(trial)] for trial in trials]


def fused(task: Task, capacity: int, *, smallest: int | None = 1, **changes: Any) -> FusedEngine:
    """An engine whose stacks begin at *smallest* trials, measured where that is ``None``."""
    fixed = None if smallest is None else Sizes(smallest)
    chooser = Chooser(capacity, fixed=fixed)
    return FusedEngine(task, setup(**changes), TorchBuilder(BUILTIN), capacity, chooser)


@dataclass
class Outcome:
    """What a number of trials gave, by their numbers."""

    curves: dict[int, list[Any]] = field(default_factory=dict)
    results: dict[int, TrialResult] = field(default_factory=dict)
    how: dict[int, How] = field(default_factory=dict)
    last_how: dict[int, How] = field(default_factory=dict)

    @property
    def statuses(self) -> dict[int, Status]:
        return {number: result.status for number, result in self.results.items()}


def train_all(
    engine: Any, trials: Sequence[Trial], stop: Callable[[EpochReport], bool] = lambda report: False
) -> Outcome:
    """Train *trials*, a free slot taking the next one, those that *stop* says pruned."""
    left, found = list(trials), Outcome()
    while left or engine.live:
        while engine.free and left:
            engine.admit(left.pop(0))
        for trial in engine.live:
            found.how.setdefault(trial.number, engine.how(trial))
        for report in engine.advance():
            number = report.trial.number
            found.last_how[number] = engine.how(report.trial)
            found.curves.setdefault(number, []).append(
                (report.epoch, report.value, report.measurements, report.status, report.reason)
            )
            if report.finished:
                found.results[number] = engine.retire(report.trial)
            elif stop(report):
                found.results[number] = engine.retire(report.trial, Status.PRUNED)
    return found
