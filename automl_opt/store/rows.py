"""What a reader gets back: one frozen value a row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from automl_opt.core.recipe import Recipe
from automl_opt.core.result import Status, Trial
from automl_opt.core.seeds import Seeds


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """One arm of a study."""

    study_id: int
    name: str
    arm: str
    spec_json: str
    space_json: str
    space_hash: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """A trial as its latest attempt has it.

    Args:
        epochs: all epochs of the trial once it has ended; before that, those that the
            checkpoint holds.
        from_epoch: the epoch behind which the latest attempt began.
        seconds: of training, over all attempts; an epoch that was trained again counts once.
        lease_until: while running: when others may take the trial over.
        seeds_json: as written by the recorder; :attr:`trial` reads it.
    """

    study_id: int
    arm: str
    trial_id: int
    number: int
    run_id: int
    attempt: int
    status: Status
    reason: str | None
    value: float | None
    epochs: int
    from_epoch: int
    seconds: float
    worker: str
    device: str
    lease_until: datetime | None
    started_at: datetime
    ended_at: datetime | None
    checkpoint_uri: str | None
    seeds_json: str
    recipe_json: str

    @property
    def trial(self) -> Trial:
        """The trial as it was given to training, its recipe unbound."""
        return Trial(
            arm=self.arm,
            number=self.number,
            trial_id=self.trial_id,
            recipe=Recipe.from_json(self.recipe_json),
            seeds=Seeds(**json.loads(self.seeds_json)),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochRow:
    """One metric on one split after one epoch; ``value`` is ``None`` where it was no number.

    Args:
        seconds: the whole epoch's, the same in each of its rows; ``None`` on the test split.
    """

    epoch: int
    split: str
    metric: str
    value: float | None
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """A verdict that was begun.

    Args:
        kind: ``recipe`` or ``arm``.
        number: counts from 0 within study and kind; another plan is another verdict.
        plan_json: what is compared and how, fixed before the first run.
        outcome, leader, seeds, said, verdict_json: as it stands; ``None`` before it was judged.
    """

    id: int
    name: str
    kind: str
    number: int
    plan_json: str
    outcome: str | None
    leader: str | None
    seeds: int | None
    said: str | None
    verdict_json: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class VerdictRun:
    """One recipe trained with one of the common seeds.

    Args:
        stage: ``screen``, where the value is of the validation split, or ``confirm``.
        value: ``None`` where the run failed.
        metrics: every metric on the test split.
    """

    stage: str
    recipe: str
    seed: int
    seeds: Seeds
    status: Status
    reason: str | None
    value: float | None
    metrics: Mapping[str, float | None]
    epochs: int
    seconds: float
    worker: str
    device: str


@dataclass(frozen=True, kw_only=True)
class ComponentRow:
    """A component that a study was trained with, and where it came from."""

    kind: str
    name: str
    version: int
    distribution: str
    distribution_version: str
