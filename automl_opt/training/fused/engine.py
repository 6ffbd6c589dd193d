"""The fused engine: several slots, trials of one architecture trained as one model."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from automl_opt.core.result import EpochReport, Measurement, Trial
from automl_opt.training.build import TorchBuilder
from automl_opt.training.fused.alike import signature
from automl_opt.training.fused.choose import BETTER, FEW, NEVER, Chooser, Sizes, twin_of
from automl_opt.training.fused.compiled import Graphs, kind, repaid_after
from automl_opt.training.fused.graph import FEWEST, Graph
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
        memory: bytes that a trial takes in a stack; ``None`` where that was not measured.
        fits: how many trials of a stack fit into memory; ``None`` where it sets no limit.
    """

    refusal: str | None
    smallest: int | None = None
    memory: int | None = None
    fits: int | None = None


class FusedEngine(PlainEngine):
    """See :class:`automl_opt.training.engine.Engine` for what the methods promise.

    How a trial is trained is decided once, before its first epoch, and goes with it into its
    checkpoint. A trial that is put into a stack stays in one, though the others may leave it.

    Args:
        capacity: the number of slots.
        compile: whether stacks that begin are compiled, where they can be; ``"auto"``: and where
            what is left of their training repays it.
    """

    def __init__(
        self,
        task: Task,
        setup: Setup,
        builder: TorchBuilder,
        capacity: int,
        chooser: Chooser,
        *,
        compile: bool | str = False,
    ) -> None:
        super().__init__(task, setup, builder, capacity)
        self._chooser, self._compile = chooser, compile
        self._graphs = Graphs()
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
            return Answer(slot.reason)
        if (said := self._asked(slot.live)) is not None:
            return Answer(said)
        if self._spare(slot.live) is None:
            return Answer(BITS)
        sizes = self._sizes(slot.live)
        return Answer(
            None,
            None if sizes.smallest >= NEVER else sizes.smallest,
            sizes.held + sizes.taken or None,
            None if (fits := self._chooser.fits(sizes)) >= NEVER else fits,
        )

    def _sizes(self, live: LiveTrial, graph: Graph | None = None) -> Sizes:
        return self._chooser.sizes(live, partial(twin_of, live), graph)

    def _spare(self, live: LiveTrial) -> bool | None:
        return self._company.spare(live, partial(twin_of, live))

    def _asked(self, live: LiveTrial) -> str | None:
        """What the probe says."""
        if self._probe is None:
            self._probe = Probe(self._task, live.splits, self._setup, self._builder)
        return self._probe.refusal(live)

    def _settle(self) -> None:
        """Decide for the trials that were admitted since the last epoch."""
        new: dict[Hashable, list[LiveTrial]] = {}
        old: Counter[Hashable] = Counter()
        for slot in self._slots:
            if slot.live is None:
                continue
            self._graph(slot)
            if slot.how is None:
                new.setdefault(signature(slot.live), []).append(slot.live)
            elif slot.how.mode != "plain":
                old[_company(slot)] += 1
        found: dict[int, How] = {}
        for own, lives in new.items():
            why_not = self._choose_compiled(lives, old, found) if self._compile else {}
            rest = [live for live in lives if id(live) not in found]
            for key, how in self._choose(rest, old["fused", own]).items():
                said = why_not.get(key) if how.mode == "fused" else None
                found[key] = replace(how, because=f"not compiled: {said}") if said else how
        for slot in self._slots:
            if slot.how is None and slot.live is not None:
                slot.how = found[id(slot.live)]

    def _choose_compiled(
        self, lives: Sequence[LiveTrial], old: Mapping[Hashable, int], found: dict[int, How]
    ) -> dict[int, str]:
        """Put those of *lives* that are to be compiled into *found*; why the others are not."""
        kinds: dict[Hashable, list[LiveTrial]] = {}
        for live in lives:
            if self._asked(live) is None and self._spare(live) is not None:
                kinds.setdefault(kind(live), []).append(live)
        why_not: dict[int, str] = {}
        for own, alike in kinds.items():
            said = self._why_not_compiled(alike[0], len(alike) + old["compiled", own])
            for live in alike:
                if said is None:
                    found[id(live)] = How("compiled")
                else:
                    why_not[id(live)] = said
        return why_not

    def _why_not_compiled(self, live: LiveTrial, count: int) -> str | None:
        """Why a stack of *count* trials like *live* is not compiled."""
        if count < FEWEST:
            return f"fewer than {FEWEST} trials of its kind"
        eager = self._sizes(live)
        if self._compile == "auto" and not self._chooser.knows_compiled(live):
            seconds = eager.each * count * live.steps * self._setup.epochs
            if seconds < repaid_after(live):
                return f"not repaid by the {seconds:.0f} s that {count} trials would take"
        graph = self._graphs.of(live, partial(twin_of, live))
        if isinstance(graph, str):
            return graph
        sizes = self._sizes(live, graph)
        if sizes.smallest >= NEVER:
            return "it never pays"
        if count < sizes.smallest:
            return f"it pays from {sizes.smallest} trials on"
        if eager.smallest < NEVER and sizes.each > BETTER * eager.each:
            return "a stack that is not compiled is as fast"
        return None

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
        for live in able:  # smaller models gain less where they are padded
            said = self._why_not_stacked(live, len(able) + company)
            found[id(live)] = How("plain", said) if said else How("fused")
        return found

    def _why_not_stacked(self, live: LiveTrial, count: int) -> str | None:
        """Why *count* trials like *live*, which the probe passed, are not stacked."""
        sizes = self._sizes(live)
        fits, stack = self._chooser.fits(sizes), "a stack of this model and batch size"
        if fits < FEW:
            return f"{stack} does not fit into memory"
        if sizes.smallest >= NEVER:
            return f"{stack} never pays"
        if fits < sizes.smallest:
            return f"{stack} pays from {sizes.smallest} trials on, and {fits} fit into memory"
        if count < sizes.smallest:
            return f"{stack} pays from {sizes.smallest} trials on"
        return BITS if self._spare(live) is None else None

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
        groups: dict[Hashable, list[Slot]] = {}
        for slot in self._slots:
            if slot.live is not None and slot.how is not None and slot.how.mode != "plain":
                groups.setdefault(_company(slot), []).append(slot)
        wanted = [part for key, slots in groups.items() for part in self._parts(key, slots)]
        current = {frozenset(map(id, stack.lives)): stack for stack in self._stacks}
        kept = {frozenset(map(id, lives)) for lives, _ in wanted} & current.keys()
        for key, stack in current.items():
            if key not in kept:
                for live in stack.lives:
                    stack.sync(live)
        self._stacks = [
            current.get(frozenset(map(id, lives))) or self._stack(lives, graph)
            for lives, graph in wanted
        ]

    def _parts(
        self, key: Hashable, slots: Sequence[Slot]
    ) -> Iterator[tuple[list[LiveTrial], Graph | None]]:
        """The trials of *slots* by stack: of sizes that are fast and fit into memory."""
        lives, graph = [_live(slot) for slot in slots], self._graph(slots[0])
        sizes = self._sizes(lives[0], graph)
        sizes = replace(sizes, largest=min(sizes.largest, self._most.get(key, NEVER)))
        return (([lives[at] for at in share], graph) for share in sizes.shares(len(lives)))

    def _graph(self, slot: Slot) -> Graph | None:
        """What computes the slot's passes, where they are compiled."""
        if slot.how is None or slot.how.mode != "compiled":
            return None
        live = _live(slot)
        graph = self._graphs.of(live, partial(twin_of, live))
        if isinstance(graph, Graph):
            return graph
        slot.how = How("fused", f"no longer compiled: {graph}")  # an earlier run's could be
        return None

    def _stack(self, lives: Sequence[LiveTrial], graph: Graph | None) -> Stack:
        spare = any(self._spare(live) for live in lives)
        return Stack(lives, spare, graph)

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
        self._most[_company(slots[0])] = half
        reports: dict[int, EpochReport] = {}
        for part in (slots[:half], slots[half:]):
            smaller = self._stack([_live(slot) for slot in part], stack.graph)
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
                assert slot.how is not None
                slot.how = How(slot.how.mode, f"measured by itself: {where(error)}")
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


def _company(slot: Slot) -> Hashable:
    """Equal for slots whose trials may share a stack."""
    assert slot.how is not None
    live, mode = _live(slot), slot.how.mode
    return mode, kind(live) if mode == "compiled" else signature(live)


def _live(slot: Slot) -> LiveTrial:
    assert slot.live is not None
    return slot.live


def _own(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else value
