"""The plain engine: one trial after the other; any module, any optimizer."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from automl_opt.core.errors import PluginError
from automl_opt.core.result import EpochReport, Measurement, Status, Trial, TrialResult
from automl_opt.training.build import TorchBuilder
from automl_opt.training.checkpoint import Place, read, unusable, write
from automl_opt.training.data import Splits, make_splits, resident
from automl_opt.training.live import Diverged, LiveTrial, Setup
from automl_opt.training.task import Task, is_out_of_memory, where


class PlainEngine:
    """See :class:`automl_opt.training.engine.Engine` for what the methods promise."""

    def __init__(self, task: Task, setup: Setup, builder: TorchBuilder, capacity: int = 1) -> None:
        self._task = resident(task, setup.device, setup.dtype)
        self._setup, self._builder = setup, builder
        self._splits: dict[int, Splits] = {}  # by seed
        self._capacity = capacity
        self._slots: list[Slot] = []

    @property
    def free(self) -> int:
        return self._capacity - len(self._slots)

    @property
    def live(self) -> tuple[Trial, ...]:
        return tuple(slot.trial for slot in self._slots)

    @property
    def resting(self) -> tuple[Trial, ...]:
        return self.live

    @property
    def device(self) -> str:
        return str(self._setup.device)

    def admit(self, trial: Trial, checkpoint: Place | None = None) -> int:
        assert self.free, "every slot is taken"
        slot = Slot(trial)
        self._slots.append(slot)
        with slot.guarded():
            slot.live = self._begin(trial)
            if checkpoint is not None:
                try:
                    state = read(checkpoint, self._setup.device)
                    slot.live.load_state_dict(state)
                    slot.how = How(*state["how"]) if "how" in state else None
                except Exception as error:  # torch.load raises whatever a damaged file makes it
                    warnings.warn(unusable(trial, checkpoint, error), RuntimeWarning, stacklevel=2)
                    slot.live = self._begin(trial)
        return slot.epoch

    def _begin(self, trial: Trial) -> LiveTrial:
        return LiveTrial(trial, self._task, self._splits_of(trial), self._setup, self._builder)

    def _splits_of(self, trial: Trial) -> Splits:
        needed = {slot.trial.seeds.split for slot in self._slots}
        self._splits = {seed: own for seed, own in self._splits.items() if seed in needed}
        seed = trial.seeds.split
        if seed not in self._splits:
            setup = self._setup
            self._splits[seed] = make_splits(self._task, seed, setup.device, setup.dtype)
        return self._splits[seed]

    def how(self, trial: Trial) -> How:
        return How("plain")

    def advance(self) -> list[EpochReport]:
        return [self._advance(slot) for slot in self._slots]

    def _advance(self, slot: Slot) -> EpochReport:
        started = time.perf_counter()
        measured: tuple[Measurement, ...] = ()
        value: float | None = None
        with slot.guarded():
            if (live := slot.live) is None:  # could not be built: the status says why
                return self._report(slot, None, (), 0.0)
            loss = live.train_epoch()
            validation = live.evaluate(live.splits.valid, "valid")
            measured = (Measurement("train", "loss", loss), *validation)
            value = self._close(slot, live, validation)
        slot.value = value
        return self._report(slot, value, measured, time.perf_counter() - started)

    def _close(self, slot: Slot, live: LiveTrial, validation: tuple[Measurement, ...]) -> float:
        """Take the validation numbers of an epoch: the study's metric; the trial may be done."""
        value, stop = live.close_epoch(validation)
        if stop or live.epoch >= self._setup.epochs:
            slot.status = Status.COMPLETE
            slot.reason = "stopped early" if live.epoch < self._setup.epochs else None
        return value

    @staticmethod
    def _report(
        slot: Slot, value: float | None, measured: tuple[Measurement, ...], seconds: float
    ) -> EpochReport:
        return EpochReport(
            trial=slot.trial,
            epoch=slot.epoch,
            value=value,
            measurements=measured,
            seconds=seconds,
            status=slot.status,
            reason=slot.reason,
        )

    def finish(self) -> list[EpochReport]:
        return []

    def lost(self) -> list[Trial]:
        return []

    def save(self, trial: Trial, checkpoint: Place) -> bool:
        write(self._state(self._slot_of(trial)), checkpoint)
        return True

    def _state(self, slot: Slot) -> dict[str, Any]:
        assert slot.live is not None
        return slot.live.state_dict()

    def retire(self, trial: Trial, status: Status | None = None) -> TrialResult:
        slot = self._slot_of(trial)
        slot.status = status or slot.status
        test: tuple[Measurement, ...] = ()
        live = slot.live
        if slot.status is Status.COMPLETE and live and live.splits.test is not None:
            with slot.guarded():
                test = live.evaluate(live.splits.test, "test")
        self._slots.remove(slot)
        return TrialResult(
            trial=trial,
            status=slot.status,
            value=None if slot.status.is_failure else slot.value,
            epochs=slot.epoch,
            reason=slot.reason,
            test=test,
        )

    def close(self) -> None:
        self._slots.clear()

    def _slot_of(self, trial: Trial) -> Slot:
        found = [slot for slot in self._slots if slot.trial is trial]
        assert found, f"{trial} has no slot; those hold {[str(slot.trial) for slot in self._slots]}"
        return found[0]


@dataclass(frozen=True)
class How:
    """How a trial is trained, which decides the last bits of its numbers.

    Args:
        mode: ``plain``: by itself; ``fused``: as a row of a stack; ``compiled``: of one whose
            passes are compiled.
        because: why not by the fastest of the ways that the study allows.
    """

    mode: str
    because: str | None = None

    def __str__(self) -> str:
        ways = {"plain": "by itself", "fused": "in a stack", "compiled": "in a compiled stack"}
        return ways[self.mode] if self.because is None else f"{ways[self.mode]}: {self.because}"

    def data(self) -> dict[str, str]:
        """For the records."""
        because = {"because": self.because} if self.because else {}
        return {"training": self.mode, **because}


class Slot:
    """A trial's place in the engine; turns what goes wrong inside into the trial's status."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.live: LiveTrial | None = None
        self.status = Status.RUNNING
        self.reason: str | None = None
        self.value: float | None = None
        self.how: How | None = None

    @property
    def epoch(self) -> int:
        return self.live.epoch if self.live else 0

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Inside, an error ends the trial and nothing else."""
        try:
            yield
        except Diverged as error:
            self.status, self.reason = Status.DIVERGED, str(error)
        except Exception as error:  # the user's model, loss, metrics and the plugins' formulas
            out_of_memory = is_out_of_memory(error)
            self.status = Status.OUT_OF_MEMORY if out_of_memory else Status.FAILED
            self.reason = str(error) if isinstance(error, PluginError) else where(error)
