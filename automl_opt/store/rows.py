"""What a reader gets back: one frozen value a row."""

from __future__ import annotations

import json
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
