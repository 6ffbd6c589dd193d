"""What is seen of a running study: a live table on a terminal, one line an event elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from automl_opt.cli.table import number, seconds
from automl_opt.core.result import EpochReport, Status, Trial, TrialResult
from automl_opt.core.spec import StudySpec
from automl_opt.study.progress import Progress

if TYPE_CHECKING:
    from rich.table import Table

    from automl_opt.store import TrialRow

ENOUGH_TO_GUESS = 3
"""Trials that have to end before the time that is left is guessed."""


@contextmanager
def open_progress(
    earlier: Sequence[TrialRow] = (), *, elsewhere: type[Progress] | None = None
) -> Iterator[Progress]:
    """The progress that fits standard error, where all of it goes.

    Args:
        earlier: the study's trials so far.
        elsewhere: what watches where standard error is no terminal (default: :class:`Lines`).
    """
    if not sys.stderr.isatty():
        yield (elsewhere or Lines)()
        return
    from rich.console import Console
    from rich.live import Live

    screen = Screen(earlier)
    with Live(console=Console(stderr=True), get_renderable=screen.table, refresh_per_second=8):
        yield screen


class Lines(Progress):
    """One line for each trial that ends."""

    def __init__(self) -> None:
        self._total = self._done = 0
        self._waits, self._elsewhere = False, 0
        self._began: dict[int, float] = {}

    def started(self, spec: StudySpec, arms: list[str], finished: int) -> None:
        self._total, self._done = spec.trials * len(arms), finished
        self._metric = spec.metric
        goes_on = f", {finished} of them done" if finished else ""
        click.echo(f"study {spec.name}: {len(arms)} arms, {self._total} trials{goes_on}", err=True)

    def trial_started(self, trial: Trial, epoch: int) -> None:
        self._began[trial.trial_id] = time.perf_counter()
        if epoch:
            click.echo(f"{trial} goes on after epoch {epoch}", err=True)

    def trial_finished(self, result: TrialResult) -> None:
        self._done += 1
        done = self._done + self._elsewhere
        passed = time.perf_counter() - self._began.pop(result.trial.trial_id)
        value = f"{self._metric} {number(result.value)}" if result.value is not None else ""
        parts = [
            f"[{done}/{self._total}] {result.trial}",
            str(result.status),
            value,
            f"{result.epochs} epochs",
            seconds(passed),
            result.reason or "",
        ]
        click.echo("  ".join(part for part in parts if part), err=True)

    def ended_elsewhere(self, trials: int) -> None:
        self._elsewhere = trials

    def waiting(self, trials: Sequence[Trial]) -> None:
        if not self._waits:
            click.echo(_waiting(trials), err=True)
        self._waits = True

    def stopping(self, reason: str) -> None:
        click.echo(f"stopping: {reason}", err=True)

    def noted(self, text: str) -> None:
        click.echo(text, err=True)


def _waiting(trials: Sequence[Trial]) -> str:
    others = f" and {len(trials) - 1} more" if len(trials) > 1 else ""
    return f"waiting for {trials[0]}{others}, in training in other processes"


@dataclass
class _Line:
    """One arm on the screen."""

    done: int = 0
    failed: int = 0
    best: float | None = None
    last: str = ""
    running: str = ""


class Screen(Progress):
    """A table with a line an arm, drawn again several times a second."""

    def __init__(self, earlier: Sequence[TrialRow] = ()) -> None:
        self._earlier = [row for row in earlier if row.status.is_final]
        self._trained = sum(row.seconds for row in earlier)
        self._arms: dict[str, _Line] = {}
        self._spec: StudySpec | None = None
        self._done = self._done_before = self._elsewhere = 0
        self._note = ""
        self._began = time.monotonic()

    def started(self, spec: StudySpec, arms: list[str], finished: int) -> None:
        self._spec = spec
        self._done = self._done_before = finished
        self._elsewhere, self._note = 0, ""
        self._began = time.monotonic()
        self._arms = {arm: _Line() for arm in arms}
        for row in self._earlier:
            if row.arm in self._arms:
                self._ended(row.arm, row.status, row.value)

    def trial_started(self, trial: Trial, epoch: int) -> None:
        self._arms[trial.arm].running = f"#{trial.number} epoch {epoch}"

    def epoch(self, report: EpochReport) -> None:
        self._trained += report.seconds
        line = self._arms[report.trial.arm]
        line.running = f"#{report.trial.number} epoch {report.epoch}: {number(report.value)}"

    def trial_finished(self, result: TrialResult) -> None:
        self._done += 1
        self._ended(result.trial.arm, result.status, result.value)

    def _ended(self, arm: str, status: Status, value: float | None) -> None:
        assert self._spec is not None
        line = self._arms[arm]
        line.done += 1
        line.failed += status.is_failure
        line.running = ""
        line.last = str(status) if value is None else number(value)
        if status is Status.COMPLETE and value is not None:
            better = max if self._spec.direction == "maximize" else min
            line.best = value if line.best is None else better(line.best, value)

    def ended_elsewhere(self, trials: int) -> None:
        self._elsewhere = trials

    def waiting(self, trials: Sequence[Trial]) -> None:
        self._note = f", {_waiting(trials)}"

    def stopping(self, reason: str) -> None:
        self._note = f", stopping: {reason}"

    def table(self) -> Table:
        from rich.table import Table

        if self._spec is None:
            return Table(title="opening the study …")
        total = self._spec.trials * len(self._arms)
        passed = time.monotonic() - self._began
        progress = f"{self._done + self._elsewhere}/{total} trials, {seconds(passed)}"
        title = f"{self._spec.name}: {progress}{self._note or self._left(total, passed)}"
        table = Table(title=title, title_justify="left")
        table.add_column("arm")
        for head in ("ended", "failed", f"best {self._spec.metric}", "last"):
            table.add_column(head, justify="right")
        table.add_column("in training", min_width=24)
        for name, line in self._arms.items():
            cells = [str(line.done), str(line.failed or ""), number(line.best), line.last]
            table.add_row(name, *cells, line.running, style="" if line.running else "dim")
        return table

    def _left(self, total: int, passed: float) -> str:
        """What the rest would take if its trials were as long as those of this run so far."""
        assert self._spec is not None
        done = self._done + self._elsewhere
        ended = done - self._done_before
        if ended < ENOUGH_TO_GUESS or done >= total:
            return ""
        left = passed / ended * (total - done)
        if self._spec.time_limit_s is not None:
            left = min(left, max(self._spec.time_limit_s - self._trained, 0.0))
        return f", about {seconds(left)} left"
