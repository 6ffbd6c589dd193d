"""Which process has a trial: beginning an attempt on it, and taking over what nobody has."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from automl_opt.core.result import Status, Trial, TrialResult
from automl_opt.core.spec import StudySpec
from automl_opt.plugin.catalog import Catalog
from automl_opt.search.arms import Arms
from automl_opt.store import Store, TrialRow
from automl_opt.study.checkpoints import Checkpoints
from automl_opt.study.claim import is_held, worker

LEASE_S = 120.0
"""So long after the last sign of life of its process a trial is left to it."""

MOST_LOSSES = 10
"""So often in a row may processes be lost over a trial, between two checkpoints of it."""

LOOK_EVERY_S = 5.0


class Holdings:
    """The attempts on the trials of a study, as one of its processes sees them.

    Args:
        environment: what results here may depend on.
        device: where this process trains.
    """

    def __init__(
        self,
        spec: StudySpec,
        catalog: Catalog,
        store: Store,
        arms: Arms,
        checkpoints: Checkpoints,
        environment: Mapping[str, Any],
        device: str,
    ) -> None:
        self._spec, self._catalog, self._store = spec, catalog, store
        self._arms, self._checkpoints = arms, checkpoints
        self._environment, self._device = environment, device
        self._study_ids = {arm.name: arm.study_id for arm in arms.arms}
        self._attempts: dict[int, int] = {}  # by trial id, as are the next
        self._resumable: dict[int, tuple[str, list[tuple[int, float]]]] = {}
        self._nameless: dict[int, float] = {}  # trials without an attempt, and since when
        self._looked_at = 0.0

    def attempt(self, trial: Trial) -> int:
        """Which attempt on *trial* is the last that is known here."""
        return self._attempts[trial.trial_id]

    def begin(self, trial: Trial, epoch: int, how: Mapping[str, str]) -> bool:
        """Begin an attempt on *trial* after *epoch*; whether it is ours, or another was quicker.

        Args:
            how: it is trained, for the records.
        """
        attempts = self._attempts.get(trial.trial_id, 0)
        begun = self._store.start_run(
            trial,
            study_id=self._study_ids[trial.arm],
            parts=[
                (role, self._catalog.find(role, part.id), part.params)
                for role, part in trial.recipe.parts()
            ],
            environment={**self._environment, **how},
            worker=worker(),
            device=self._device,
            from_epoch=epoch,
            attempts=attempts,
            lease_s=LEASE_S,
        )
        self._attempts[trial.trial_id] = attempts + 1
        return begun is not None

    def put_back(self, trial: Trial, checkpoint: str | None) -> None:
        """Let *trial* be asked for again, to go on from its *checkpoint*."""
        if checkpoint:
            self._resumable[trial.trial_id] = (checkpoint, self._curve(trial))
        self._arms.put_back(trial)

    def resumed(self, trial: Trial) -> tuple[str | None, list[tuple[int, float]]]:
        """Where *trial* goes on from: its checkpoint, and the curve that was measured."""
        return self._resumable.pop(trial.trial_id, (None, []))

    def look_around(self) -> bool:
        """Now and then, see what other processes did and left; whether it was time for that."""
        if time.monotonic() - self._looked_at < LOOK_EVERY_S:
            return False
        self._arms.refresh()
        self.take_over()
        return True

    def take_over(self) -> None:
        """Take the trials that no process has; tell of those that ended and nobody told."""
        trials = self._arms.unfinished()
        rows = self._store.latest([trial.trial_id for trial in trials])
        alone = not self._arms.shared and not any(map(is_held, rows.values()))
        for trial in trials:
            row = rows.get(trial.trial_id)
            if row is None:
                since = self._nameless.setdefault(trial.trial_id, time.monotonic())
                if alone or time.monotonic() - since > LEASE_S:
                    self._arms.put_back(trial)
            elif is_held(row):
                self._arms.shared = True
            elif row.status.is_final:
                self._arms.restore(trial, self._curve(trial))
                self._arms.tell(_result_of(trial, row))
            else:
                self._attempts[trial.trial_id] = row.attempt
                self._take(trial, row)
        self._looked_at = time.monotonic()

    def _take(self, trial: Trial, row: TrialRow) -> None:
        """Go on with *trial*, unless one process after the other was lost over it."""
        if row.status is Status.RUNNING and self._store.losses(row.trial_id) >= MOST_LOSSES:
            self._fail(trial, row)
            return
        uri = row.checkpoint_uri
        self.put_back(trial, uri if uri and self._checkpoints.exists(uri) else None)

    def _fail(self, trial: Trial, row: TrialRow) -> None:
        if not self.begin(trial, row.epochs, {}):
            return
        reason = f"its process was lost {MOST_LOSSES} times in a row, the last time {row.worker}"
        failed = TrialResult(
            trial=trial, status=Status.FAILED, value=None, epochs=row.epochs, reason=reason
        )
        self._store.finish(failed)
        self._arms.tell(failed)

    def _curve(self, trial: Trial) -> list[tuple[int, float]]:
        """The study's metric on the validation split, by epoch."""
        return [
            (row.epoch, row.value)
            for row in self._store.curve(trial.trial_id)
            if row.metric == self._spec.metric and row.split == "valid" and row.value is not None
        ]


def _result_of(trial: Trial, row: TrialRow) -> TrialResult:
    """A result as the store kept it; test numbers stay there, nobody here needs them."""
    return TrialResult(
        trial=trial, status=row.status, value=row.value, epochs=row.epochs, reason=row.reason
    )
