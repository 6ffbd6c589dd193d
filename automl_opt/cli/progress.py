"""What is seen of a running study: a live table on a terminal, one line an event elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
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


@contextmanager
def open_progress() -> Iterator[Progress]:
    """The progress that fits standard error, where all of it goes."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.live import Live

    screen = Screen()
    with Live(console=Console(stderr=True), get_renderable=screen.table, refresh_per_second=8):
        yield screen


class Lines(Progress):
    """One line for each trial that ends."""

    def __init__(self) -> None:
        self._total = self._done = 0
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
        passed = time.perf_counter() - self._began.pop(result.trial.trial_id)
        value = f"{self._metric} {number(result.value)}" if result.value is not None else ""
        parts = [
            f"[{self._done}/{self._total}] {result.trial}",
            str(result.status),
            value,
            f"{result.epochs} epochs",
            seconds(passed),
            result.reason or "",
        ]
        click.echo("  ".join(part for part in parts if part), err=True)

    def stopping(self, reason: str) -> None:
        click.echo(f"stopping: {reason}", err=True)


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

    def __init__(self) -> None:
        self._arms: dict[str, _Line] = {}
        self._spec: StudySpec | None = None
        self._done = 0
        self._note = ""
        self._began = time.monotonic()

    def started(self, spec: StudySpec, arms: list[str], finished: int) -> None:
        self._spec, self._done = spec, finished
        self._arms = {arm: _Line() for arm in arms}

    def trial_started(self, trial: Trial, epoch: int) -> None:
        self._arms[trial.arm].running = f"#{trial.number} epoch {epoch}"

    def epoch(self, report: EpochReport) -> None:
        self._arms[
            report.trial.arm
        ].running = f"#{report.trial.number} epoch {report.epoch}: {number(report.value)}"

    def trial_finished(self, result: TrialResult) -> None:
        self._done += 1
        line = self._arms[result.trial.arm]
        line.done += 1
        line.failed += result.status.is_failure
        line.running = ""
        line.last = number(result.value) if result.value is not None else str(result.status)
        assert self._spec is not None
        if result.status is Status.COMPLETE and result.value is not None:
            better = max if self._spec.direction == "maximize" else min
            known = [value for value in (line.best, result.value) if value is not None]
            line.best = better(known)

    def stopping(self, reason: str) -> None:
        self._note = f", stopping after this epoch: {reason}"

    def table(self) -> Table:
        from rich.table import Table

        if self._spec is None:
            return Table(title="opening the study …")
        total = self._spec.trials * len(self._arms)
        passed = seconds(time.monotonic() - self._began)
        table = Table(title=f"{self._spec.name}: {self._done}/{total} trials, {passed}{self._note}")
        table.add_column("arm")
        for head in ("ended", "failed", f"best {self._spec.metric}", "last"):
            table.add_column(head, justify="right")
        table.add_column("in training", min_width=24)
        for name, line in self._arms.items():
            cells = [str(line.done), str(line.failed or ""), number(line.best), line.last]
            table.add_row(name, *cells, line.running, style="" if line.running else "dim")
        return table
