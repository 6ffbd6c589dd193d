"""What a running study tells whoever watches."""

from __future__ import annotations

from collections.abc import Sequence

from automl_opt.core.result import EpochReport, Trial, TrialResult
from automl_opt.core.spec import StudySpec


class Progress:
    """Watches a run and does nothing; override what you want to see."""

    def started(self, spec: StudySpec, arms: list[str], finished: int) -> None:
        """The study begins, or goes on: *finished* of its trials have ended before."""

    def trial_started(self, trial: Trial, epoch: int) -> None:
        """A trial enters training with *epoch* epochs behind it."""

    def epoch(self, report: EpochReport) -> None:
        """An epoch ended."""

    def trial_finished(self, result: TrialResult) -> None:
        """A trial ended and is in the database."""

    def ended_elsewhere(self, trials: int) -> None:
        """*trials* have ended in other processes since this one began."""

    def waiting(self, trials: Sequence[Trial]) -> None:
        """Nothing is left to begin; other processes train these. Said again and again."""

    def stopping(self, reason: str) -> None:
        """The run will end after this epoch, its budget unspent."""

    def noted(self, text: str) -> None:
        """Something about how the trials are trained, said once."""
