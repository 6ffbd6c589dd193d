"""What training says: a trial, its epochs, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from automl_opt.core.recipe import Recipe
from automl_opt.core.seeds import Seeds


class Status(StrEnum):
    """Where a trial is, or how it ended; one that was stopped or preempted goes on later."""

    RUNNING = "running"
    STOPPED = "stopped"
    PREEMPTED = "preempted"
    COMPLETE = "complete"
    PRUNED = "pruned"
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out_of_memory"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self not in (Status.RUNNING, Status.STOPPED, Status.PREEMPTED)

    @property
    def is_failure(self) -> bool:
        """The trial has no value because training broke; pruned trials did not break."""
        return self in (Status.DIVERGED, Status.OUT_OF_MEMORY, Status.FAILED)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A recipe to train and the seeds to train it with.

    Args:
        arm: the arm's name, for example ``adamw``.
        number: counts from 0 within the arm, as in the arm's Optuna study.
        trial_id: Optuna's id, the key of every row about this trial.
    """

    arm: str
    number: int
    trial_id: int
    recipe: Recipe
    seeds: Seeds

    def __str__(self) -> str:
        return f"{self.arm} #{self.number}"


@dataclass(frozen=True)
class Measurement:
    """One metric on one split after one epoch; ``None`` where it is not a number."""

    split: str
    metric: str
    value: float | None


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """What one epoch of one trial gave.

    Args:
        epoch: counts from 1.
        value: the study's metric on the validation split, in its own direction; ``None`` where
            the epoch did not end.
        seconds: the epoch's wall time, evaluation included.
        status: ``RUNNING`` while there are epochs to come, else how the trial ended.
    """

    trial: Trial
    epoch: int
    value: float | None
    measurements: tuple[Measurement, ...]
    seconds: float
    status: Status = Status.RUNNING
    reason: str | None = None

    @property
    def finished(self) -> bool:
        return self.status.is_final


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """How a trial ended.

    Args:
        value: the study's metric on the validation split after the last epoch.
        test: the metrics on the test split at the end; ``study`` alone reads them.
    """

    trial: Trial
    status: Status
    value: float | None
    epochs: int
    reason: str | None = None
    test: tuple[Measurement, ...] = ()
