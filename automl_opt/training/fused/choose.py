"""From how many trials on a stack is faster than one after the other: measured, and remembered."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from itertools import islice, pairwise
from pathlib import Path

import torch

from automl_opt.core.seeds import Seeds
from automl_opt.training.fused.alike import kinds
from automl_opt.training.fused.stack import Stack
from automl_opt.training.live import LiveTrial
from automl_opt.training.randomness import seeded
from automl_opt.training.task import parameter_count

NEVER = 10**9
TIMED_STEPS = 6
FEW, MANY = 2, 12
"""The two sizes of stack that are timed; in between and beyond, time is a line through them."""

MARGIN = 0.95
"""How much of the plain time a stack may take: building it and tabling its numbers cost, too."""


class Chooser:
    """The smallest stack worth its while, by kind of model, number of weights and batch size.

    What was measured decides in which mode a trial is trained and so the last bits of its numbers:
    a study that is resumed has to go by what it measured first.

    Args:
        memory: a file that keeps the answers of a study.
        fixed: an answer to everything, in place of measuring.
    """

    def __init__(self, memory: Path | None = None, fixed: int | None = None) -> None:
        self._memory, self._fixed = memory, fixed
        self._known: dict[str, int] = {}
        if memory is not None and memory.is_file():
            self._known = json.loads(memory.read_text())

    def smallest(self, live: LiveTrial, twin: Callable[[int], LiveTrial]) -> int:
        """From how many trials like *live* on a stack pays; :data:`NEVER` where none does.

        Args:
            twin: ``twin(number)`` makes another trial of the recipe.
        """
        if self._fixed is not None:
            return self._fixed
        key = _key(live)
        if key not in self._known:
            self._known[key] = measured(twin)
            self._remember()
        return self._known[key]

    def _remember(self) -> None:
        if self._memory is None:
            return
        self._memory.parent.mkdir(parents=True, exist_ok=True)
        beside = self._memory.with_suffix(".part")
        beside.write_text(json.dumps(self._known))
        os.replace(beside, self._memory)


def measured(twin: Callable[[int], LiveTrial]) -> int:
    """Time steps of a trial alone and of two stacks."""
    alone = _alone(twin(0))
    few = _stacked([twin(number) for number in range(FEW)])
    many = _stacked([twin(number) for number in range(MANY)])
    each = max(0.0, (many - few) / (MANY - FEW))  # seconds that another trial costs
    start = few - FEW * each
    gain = MARGIN * alone - each
    if gain <= 0:
        return NEVER
    return max(2, math.ceil(start / gain))


def _clock(live: LiveTrial) -> Callable[[], float]:
    """Time as the process has it, where that is one thread's: others may use the machine, too."""
    alone = live.setup.device.type == "cpu" and torch.get_num_threads() == 1
    return time.thread_time if alone else time.perf_counter


def _alone(live: LiveTrial) -> float:
    clock, rng = _clock(live), live.batch_generator()
    live.model.train()
    times = []
    with seeded(live.trial.seeds.noise, "try"):
        for _ in range(_epochs(live)):
            batches = live.splits.train.batches(live.batch_size, live.order())
            for x, y in islice(batches, TIMED_STEPS):
                start = clock()
                live.step(x, y, rng)
                if live.average:
                    live.average.update(0)
                times.append(clock() - start)
    return min(times)


def _stacked(lives: list[LiveTrial]) -> float:
    stack, clock = Stack(lives), _clock(lives[0])
    ends: list[float] = []
    for _ in range(_epochs(lives[0])):
        stack.steps(TIMED_STEPS, lambda: ends.append(clock()))
    return min(after - before for before, after in pairwise(ends))


def _epochs(live: LiveTrial) -> int:
    """As many as have the steps: the first ones of all find cold caches."""
    return math.ceil((TIMED_STEPS + 1) / live.steps)


def twin_of(live: LiveTrial, number: int) -> LiveTrial:
    """Another trial of the same recipe, with weights, order and noise of its own."""
    seeds = Seeds.of_trial(live.trial.seeds.noise, "probe", number)
    trial = replace(live.trial, seeds=replace(seeds, split=live.trial.seeds.split))
    return LiveTrial(trial, live.task, live.splits, live.setup, live.builder)


def _key(live: LiveTrial) -> str:
    modules = " ".join(kinds(live.model))
    size = parameter_count(live.model).bit_length()
    return f"{sha256(modules.encode()).hexdigest()[:12]}-{size}-{live.batch_size.bit_length()}"
