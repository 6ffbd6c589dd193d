"""The trainings of a verdict that a stop left in the middle: a state and the epochs behind it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict

from automl_opt.core.result import EpochReport, Measurement, Trial
from automl_opt.core.spec import StudySpec
from automl_opt.store import Store, VerdictRow
from automl_opt.study.checkpoints import Checkpoints
from automl_opt.training.engine import Engine


class Unfinished:
    """Those of one verdict, in files: the database holds only runs that have ended.

    Raises:
        SpecError: as :class:`Checkpoints`.
        StoreError: something cannot be written.
    """

    def __init__(self, spec: StudySpec, store: Store, row: VerdictRow) -> None:
        self._checkpoints = Checkpoints(spec, store, f"verdict{row.number}")
        self._every_s = spec.checkpoint_every_s
        self._saved_at = time.monotonic()

    @property
    def due(self) -> bool:
        return time.monotonic() - self._saved_at >= self._every_s

    def keep(self, engine: Engine, trial: Trial, epochs: Sequence[EpochReport]) -> None:
        """Save *trial*, which rests in a slot of *engine*, and the epochs behind it."""
        told = [
            {
                "epoch": report.epoch,
                "value": report.value,
                "measurements": [asdict(each) for each in report.measurements],
                "seconds": report.seconds,
            }
            for report in epochs
        ]
        # before the state, for a kill may come between: then more is told than is behind it
        self._checkpoints.write(self._place(trial, "json"), json.dumps(told))
        self._checkpoints.save(engine, trial, self._place(trial, "pt"))
        self._saved_at = time.monotonic()

    def admit(self, engine: Engine, trial: Trial) -> list[EpochReport]:
        """Give *trial* a slot of *engine*, where a stop left it; the epochs that are behind it."""
        state, told = self._place(trial, "pt"), self._place(trial, "json")
        if not self._checkpoints.exists(state):
            engine.admit(trial)
            return []
        epochs = engine.admit(trial, state)
        return [
            EpochReport(
                trial=trial,
                epoch=report["epoch"],
                value=report["value"],
                measurements=tuple(Measurement(**each) for each in report["measurements"]),
                seconds=report["seconds"],
            )
            for report in json.loads(self._checkpoints.read(told))[:epochs]
        ]

    def forget(self, trial: Trial) -> None:
        for suffix in ("pt", "json"):
            self._checkpoints.delete(self._place(trial, suffix))

    def close(self) -> None:
        """Leave no folder in which nothing is kept."""
        self._checkpoints.close()

    def _place(self, trial: Trial, suffix: str) -> str:
        # by its seeds, which differ between stages, and its recipe's name, in which may be anything
        name = hashlib.sha256(f"{trial.arm} {trial.seeds}".encode()).hexdigest()[:16]
        return self._checkpoints.named(f"{name}.{suffix}")
