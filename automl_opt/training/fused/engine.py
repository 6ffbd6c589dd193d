"""The fused engine: several slots, trials of one architecture trained as one model."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from automl_opt.core.result import EpochReport, Measurement, Trial
from automl_opt.training.build import TorchBuilder
from automl_opt.training.fused.alike import signature
from automl_opt.training.fused.choose import NEVER, Chooser, twin_of
from automl_opt.training.fused.probe import Company, Probe
from automl_opt.training.fused.stack import Stack
from automl_opt.training.live import LiveTrial, Setup
from automl_opt.training.plain import How, PlainEngine, Slot
from automl_opt.training.task import Task, is_out_of_memory, where

BITS = "the last bits of its numbers would depend on the other trials of the stack"


@dataclass(frozen=True)
class Answer:
    """Whether trials of a recipe can be stacked.

    Args:
        refusal: why not.
        smallest: from how many trials on a stack was faster when it was measured; ``None`` where
            it never was.
    """

    refusal: str | None
    smallest: int | None


class FusedEngine(PlainEngine):
    """See :class:`automl_opt.training.engine.Engine` for what the methods promise.

    How a trial is trained is decided once, before its first epoch, and goes with it into its
    checkpoint. A trial that is put into a stack stays in one, though the others may leave it.

    Args:
        capacity: the number of slots.
    """

    def __init__(
        self, task: Task, setup: Setup, builder: TorchBuilder, capacity: int, chooser: Chooser
    ) -> None:
        super().__init__(task, setup, builder, capacity)
        self._chooser = chooser
        self._probe: Probe | None = None
        self._company = Company()
        self._stacks: list[Stack] = []
        self._most: dict[Hashable, int] = {}  # trials that fit into memory, by signature

    def how(self, trial: Trial) -> How:
        self._settle()
        return self._slot_of(trial).how or How("plain")

    def answer(self, trial: Trial) -> Answer:
        """What the probe and the clock say of *trial*, which is not trained."""
        self.admit(trial)
        slot = self._slot_of(trial)
        self._slots.remove(slot)
        if slot.live is None:
            return Answer(slot.reason, None)
        if (said := self._asked(slot.live)) is not None:
            return Answer(said, None)
        if self._company.spare(slot.live, partial(twin_of, slot.live)) is None:
            return Answer(BITS, None)
        smallest = self._chooser.smallest(slot.live, partial(twin_of, slot.live))
        return Answer(None, None if smallest >= NEVER else smallest)

    def _asked(self, live: LiveTrial) -> str | None:
        """What the probe says."""
        if self._probe is None:
            self._probe = Probe(self._task, live.splits, self._setup, self._builder)
        return self._probe.refusal(live)

    def _settle(self) -> None:
        """Decide for the trials that were admitted since the last epoch."""
        new: dict[Hashable, list[Slot]] = {}
        old: dict[Hashable, int] = {}
        for slot in self._slots:
            if slot.live is None:
                continue
            key = signature(slot.live)
            if slot.how is None:
                new.setdefault(key, []).append(slot)
            elif slot.how.mode == "fused":
                old[key] = old.get(key, 0) + 1
        for own, slots in new.items():
            how = self._choose([_live(slot) for slot in slots], old.get(own, 0))
            for slot in slots:
                slot.how = how[id(slot.live)]

    def _choose(self, lives: Sequence[LiveTrial], company: int) -> dict[int, How]:
        """How each of *lives*, of one signature, is to be trained; by the object's id.

        Args:
            company: how many of their signature are in a stack already.
        """
        refusals = {id(live): self._asked(live) for live in lives}
        able = [live for live in lives if refusals[id(live)] is None]
        found = {key: How("plain", said) for key, said in refusals.items() if said is not None}
        if not able:
            return found
        smallest = self._chooser.smallest(able[0], partial(twin_of, able[0]))
        if len(able) + company < smallest:
            when = "never pays" if smallest >= NEVER else f"pays from {smallest} trials on"
            how = How("plain", f"a stack of this model and batch size {when}")
            return found | {id(live): how for live in able}
        for live in able:
            spare = self._company.spare(live, partial(twin_of, live))
            found[id(live)] = How("plain", BITS) if spare is None else How("fused")
        return found

    def advance(self) -> list[EpochReport]:
        self._settle()
        for slot in self._slots:
            assert slot.live is None or slot.how is not None
        reports: dict[int, EpochReport] = {}
        self._regroup()
        for stack in list(self._stacks):
            slots = {id(slot.live): slot for slot in self._slots}
            reports |= self._train(stack, [slots[id(live)] for live in stack.lives])
        return [
            reports[id(slot)] if id(slot) in reports else self._advance(slot)
            for slot in self._slots
        ]

    def _regroup(self) -> None:
        """Make the stacks that the live trials need; those whose company stays, stay."""
        groups: dict[Hashable, list[LiveTrial]] = {}
        for slot in self._slots:
            if slot.live is not None and slot.how is not None and slot.how.mode == "fused":
                groups.setdefault(signature(slot.live), []).append(slot.live)
        wanted = [
            lives[start : start + self._most.get(key, len(lives))]
            for key, lives in groups.items()
            for start in range(0, len(lives), self._most.get(key, len(lives)))
        ]
        current = {frozenset(map(id, stack.lives)): stack for stack in self._stacks}
        kept = {frozenset(map(id, lives)) for lives in wanted} & current.keys()
        for key, stack in current.items():
            if key not in kept:
                for live in stack.lives:
                    stack.sync(live)
        self._stacks = [
            current.get(frozenset(map(id, lives))) or self._stack(lives) for lives in wanted
        ]

    def _stack(self, lives: Sequence[LiveTrial]) -> Stack:
        spare = any(self._company.spare(live, partial(twin_of, live)) for live in lives)
        return Stack(lives, spare)

    def _train(self, stack: Stack, slots: Sequence[Slot]) -> dict[int, EpochReport]:
        """An epoch of a stack; where it fails, its trials train it in smaller ones, or alone.

        Returns:
            reports by the slot's id, for those that were not left to train alone.
        """
        started = time.perf_counter()
        undo = stack.snapshot()
        try:
            losses, sizes, finite = stack.train_epoch()
        except Exception as error:  # the user's model and loss, the plugins' formulas, memory
            undo()
            for live in stack.lives:
                stack.sync(live)
            self._stacks.remove(stack)
            if is_out_of_memory(error) and len(slots) > 1:
                return self._train_in_halves(stack, slots)
            for slot in slots:
                slot.how = How("plain", f"its stack failed: {where(error)}")
            return {}
        spent = (time.perf_counter() - started) / len(slots)
        return self._evaluate(stack, slots, losses, sizes, finite, spent)

    def _train_in_halves(self, stack: Stack, slots: Sequence[Slot]) -> dict[int, EpochReport]:
        half = (len(slots) + 1) // 2
        self._most[signature(stack.lives[0])] = half
        reports: dict[int, EpochReport] = {}
        for part in (slots[:half], slots[half:]):
            smaller = self._stack([_live(slot) for slot in part])
            self._stacks.append(smaller)
            own = {id(slot.live): slot for slot in part}
            reports |= self._train(smaller, [own[id(live)] for live in smaller.lives])
        return reports

    def _evaluate(
        self,
        stack: Stack,
        slots: Sequence[Slot],
        losses: Tensor,
        sizes: list[int],
        finite: list[bool],
        spent: float,
    ) -> dict[int, EpochReport]:
        """Close the epoch of every slot: an error in one ends that one."""
        started = time.perf_counter()
        means: list[float | None] = []
        for row, slot in enumerate(slots):
            means.append(None)
            with slot.guarded():
                means[row] = _live(slot).close_training(losses[:, row], sizes, finite[row])
        measured: list[tuple[Measurement, ...]] = [() for _ in slots]
        values: list[float | None] = [None for _ in slots]
        try:
            measures = stack.evaluate("valid")
        except Exception as error:  # then each finds out for itself
            measures = [partial(live.evaluate, live.splits.valid, "valid") for live in stack.lives]
            for slot in slots:
                slot.how = How("fused", f"measured by itself: {where(error)}")
        for row, slot in enumerate(slots):
            mean = means[row]
            if mean is None:
                continue
            with slot.guarded():
                validation = measures[row]()
                measured[row] = (Measurement("train", "loss", mean), *validation)
                values[row] = self._close(slot, _live(slot), validation)
        spent += (time.perf_counter() - started) / len(slots)
        reports = {}
        for row, slot in enumerate(slots):
            slot.value = values[row]
            reports[id(slot)] = self._report(slot, values[row], measured[row], spent)
        return reports

    def _state(self, slot: Slot) -> dict[str, Any]:
        live = _live(slot)
        for stack in self._stacks:
            if live in stack.lives:
                stack.sync(live)
        how = slot.how or How("plain")
        # a view would be written with the whole stack it belongs to
        return {**tree_map(_own, live.state_dict()), "how": [how.mode, how.because]}


def _live(slot: Slot) -> LiveTrial:
    assert slot.live is not None
    return slot.live


def _own(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else value
