"""How many trials make a stack that is faster than one after the other: measured, and kept."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, field, replace
from hashlib import sha256
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import torch

from automl_opt.core.seeds import Seeds
from automl_opt.training.fused.alike import kinds
from automl_opt.training.fused.graph import Graph
from automl_opt.training.fused.room import needed
from automl_opt.training.fused.stack import Stack
from automl_opt.training.live import LiveTrial
from automl_opt.training.randomness import seeded
from automl_opt.training.task import is_out_of_memory, parameter_count

NEVER = 10**9
TIMED_STEPS = 6
FEW, MANY = 2, 12
"""The sizes of stack that are timed first; from the second on, each is twice the one before."""

MARGIN = 0.95
"""How much of the plain time a stack may take: building it and tabling its numbers cost, too."""

BETTER = 0.97
"""How much of the time so far a trial may take in a stack twice as large, for a still larger one to
be timed, and in a compiled stack, for that to be used."""


@dataclass(frozen=True)
class Sizes:
    """Of which sizes stacks are made.

    Args:
        smallest: from how many trials on a stack pays; :data:`NEVER` where none does.
        largest: the size that takes least time a trial; more trials are several stacks.
        unit: what is computed in one go whether all of it is needed or not.
        each: seconds that a trial's step takes in the largest.
        held: bytes that every trial of a stack holds.
        taken: bytes that it takes beside them while its stack is trained.
    """

    smallest: int
    largest: int = NEVER
    unit: int = 1
    each: float = field(default=0.0, compare=False)
    held: int = field(default=0, compare=False)
    taken: int = field(default=0, compare=False)

    def fitting(self, room: int | None, slots: int) -> int:
        """How many trials of a stack fit into *room* bytes beside what all *slots* hold."""
        if room is None or not self.taken:
            return NEVER
        return max(0, room - slots * self.held) // self.taken

    def shares(self, count: int) -> Iterator[range]:
        """*count* trials in as few stacks as may be, of about one size."""
        size = math.ceil(count / math.ceil(count / self.largest))
        size = min(self.largest, math.ceil(size / self.unit) * self.unit)
        for start in range(0, count, size):
            yield range(start, min(start + size, count))


class Chooser:
    """The sizes of stacks worth their while, by kind of model, number of weights and batch size.

    What was measured decides in which mode a trial is trained and so the last bits of its numbers:
    a study that is resumed has to go by what it measured first.

    Args:
        most: no larger stack is wanted.
        memory: a file that keeps the answers of a study.
        fixed: an answer to everything, in place of measuring time.
        room: bytes that stacks may take; ``None`` where they are not limited.
    """

    def __init__(
        self,
        most: int = MANY,
        memory: Path | None = None,
        fixed: Sizes | None = None,
        room: int | None = None,
    ) -> None:
        self._most, self._memory, self._fixed, self._room = most, memory, fixed, room
        self._known: dict[str, Sizes] = {}
        if memory is not None and memory.is_file():
            known = json.loads(memory.read_text())
            self._known = {key: Sizes(*sizes) for key, sizes in known.items()}

    def sizes(
        self, live: LiveTrial, twin: Callable[[int], LiveTrial], graph: Graph | None = None
    ) -> Sizes:
        """The sizes of stacks for trials like *live*.

        Args:
            twin: ``twin(number)`` makes another trial of the recipe.
            graph: what computes the stack's passes, where it is compiled.
        """
        if self._fixed is not None and self._room is None:
            return self._fixed
        key = _key(live, compiled=graph is not None)
        if key not in self._known:
            limited = self._room is not None and graph is None  # a graph has few rows
            held, taken = self._needed(live, twin) if limited else (0, 0)
            found = self._fixed
            if found is None:
                fits = self.fits(Sizes(NEVER, held=held, taken=taken))
                found = measured(twin, self._most, graph, fits)
            self._known[key] = replace(found, held=held, taken=taken)
            self._remember()
        known = self._known[key]
        return replace(known, largest=max(1, min(known.largest, self.fits(known))))

    def _needed(self, live: LiveTrial, twin: Callable[[int], LiveTrial]) -> tuple[int, int]:
        """What :func:`needed` says; all the room there is, where even its stacks need more."""
        try:
            return needed(twin, live.setup.device)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return 0, self._room or NEVER

    def fits(self, sizes: Sizes) -> int:
        """How many trials of a stack fit into memory; :data:`NEVER` where it sets no limit."""
        return sizes.fitting(self._room, self._most)

    def knows_compiled(self, live: LiveTrial) -> bool:
        """Whether compiled stacks of trials like *live* were measured, in this run or before."""
        return _key(live, compiled=True) in self._known

    def _remember(self) -> None:
        if self._memory is None:
            return
        self._memory.parent.mkdir(parents=True, exist_ok=True)
        beside = self._memory.with_suffix(".part")
        beside.write_text(json.dumps({key: astuple(sizes) for key, sizes in self._known.items()}))
        os.replace(beside, self._memory)


def measured(
    twin: Callable[[int], LiveTrial], most: int, graph: Graph | None = None, fits: int = NEVER
) -> Sizes:
    """Time steps of a trial alone and of stacks of about *most* trials at most.

    Args:
        fits: no larger stack fits into memory.
    """
    lives: list[LiveTrial] = []

    def stacked(size: int) -> float:
        lives.extend(twin(number) for number in range(len(lives), size))
        return _stacked(lives[:size], graph)

    if fits < FEW:
        return Sizes(NEVER)
    unit = 1 if graph is None else graph.rows
    return fastest(_alone(twin(0)), stacked, most, unit, fits)


def fastest(
    alone: float, stacked: Callable[[int], float], most: int, unit: int = 1, fits: int = NEVER
) -> Sizes:
    """The sizes that pay, from the seconds that a step takes.

    Between two sizes that were timed, time is a line; beyond the largest, nothing is known.

    Args:
        alone: of one trial.
        stacked: of a stack of so many; asked for larger ones as long as size helps.
        fits: no larger one is asked for.
    """
    total: dict[int, float] = {}
    best = FEW
    for size in dict.fromkeys(min(size, fits) for size in _sizes(most, unit)):
        total[size] = stacked(size)
        helps = total[size] / size < BETTER * total[best] / best
        if total[size] / size < total[best] / best:
            best = size
        if size > MANY and not helps:
            break
    for count in range(FEW, best + 1):
        if np.interp(count, list(total), list(total.values())) <= MARGIN * alone * count:
            return Sizes(count, best, unit, total[best] / best)
    return Sizes(NEVER, best, unit, total[best] / best)


def _sizes(most: int, unit: int) -> Iterator[int]:
    yield FEW
    if unit > 1:  # two graphs' rows in turn find less of their own in the cache than two stacks'
        yield unit
        return
    size = MANY
    while size < most:
        yield size
        size *= 2
    yield max(MANY, most)


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


def _stacked(lives: list[LiveTrial], graph: Graph | None) -> float:
    stack, clock = Stack(lives, graph=graph), _clock(lives[0])
    ends: list[float] = []
    for _ in range(_epochs(lives[0])):
        stack.steps(TIMED_STEPS, lambda: ends.append(clock()))
    for live in lives:
        stack.sync(live)
    return min(after - before for before, after in pairwise(ends))


def _epochs(live: LiveTrial) -> int:
    """As many as have the steps: the first ones of all find cold caches."""
    return math.ceil((TIMED_STEPS + 1) / live.steps)


def twin_of(live: LiveTrial, number: int) -> LiveTrial:
    """Another trial of the same recipe, with weights, order and noise of its own."""
    seeds = Seeds.of_trial(live.trial.seeds.noise, "probe", number)
    trial = replace(live.trial, seeds=replace(seeds, split=live.trial.seeds.split))
    return LiveTrial(trial, live.task, live.splits, live.setup, live.builder)


def _key(live: LiveTrial, *, compiled: bool) -> str:
    modules = " ".join(kinds(live.model))
    size = parameter_count(live.model).bit_length()
    found = f"{sha256(modules.encode()).hexdigest()[:12]}-{size}-{live.batch_size.bit_length()}"
    return found + "-compiled" * compiled
