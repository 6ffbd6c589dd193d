"""The winning recipe once more, with a seed that nothing has used: does it keep its word."""

from __future__ import annotations

from dataclasses import dataclass

from automl_opt.core.errors import VerdictError
from automl_opt.core.spec import StudySpec
from automl_opt.plugin.host import Host
from automl_opt.search.space import arms_of
from automl_opt.store import Store
from automl_opt.study.changes import refuse_changes
from automl_opt.study.claim import claimed
from automl_opt.study.confirm import Trainer
from automl_opt.study.interrupts import graceful_stop
from automl_opt.study.runner import with_direction
from automl_opt.study.selection import standing
from automl_opt.study.winner import Winner, winner
from automl_opt.training.build import TorchBuilder
from automl_opt.training.engine import open_engine
from automl_opt.training.task import Task, load_task


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """One more run of a recipe.

    Args:
        value: on the test split; ``None`` where the run failed, with the *reason*.
        expected: where 99 of 100 runs are expected.
    """

    winner: Winner
    value: float | None
    reason: str | None
    expected: tuple[float, float]

    @property
    def inside(self) -> bool:
        low, high = self.expected
        return self.value is not None and low <= self.value <= high


def replay(
    spec: StudySpec,
    *,
    host: Host,
    store: Store,
    arm: str | None = None,
    task: Task | None = None,
) -> Replayed:
    """Train the leader of the verdict, or the finalist of *arm*, with a new seed; keep the run.

    Raises:
        VerdictError: without a verdict there is nothing to hold the run against.
        KeyboardInterrupt: Ctrl-C, after the running epoch.
        StudyChanged, SpecError, TaskError, StoreError: as for :func:`confirm`.
    """
    found = winner(spec, store, arm)
    expected, verdict = found.expected(), standing(store, spec.name)
    if expected is None or verdict is None:
        raise VerdictError(
            f"{found.title} of study {spec.name!r} was not trained with fresh seeds: there is "
            "nothing to hold another run against; 'automl-opt select --confirm' comes first"
        )
    row, plan = verdict
    task = task or load_task(spec)
    spec = with_direction(spec, task)
    builder = TorchBuilder(host.catalog)
    spaces = arms_of(spec, host.catalog, task.ranges(spec), builder)
    refuse_changes(spec, spaces, store, host.catalog)
    with claimed(spec.name, store):
        done = store.verdict_runs(row)
        again = sum(run.stage == "replay" and run.recipe == found.title for run in done)
        engine = open_engine(task, spec, builder, spaces[0].default())
        with graceful_stop() as stop:
            trainer = Trainer(spec, store, row, plan, engine, stop)
            if not trainer.run("replay", [found.title], range(again, again + 1), done):
                raise KeyboardInterrupt
    run = done[-1]
    return Replayed(winner=found, value=run.value, reason=run.reason, expected=expected)
