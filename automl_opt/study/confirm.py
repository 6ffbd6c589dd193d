"""The recipe verdict on a study: its finalists, trained with common fresh seeds, look by look."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

from automl_opt.core.errors import StudyChanged, TaskError
from automl_opt.core.result import EpochReport, Status, Trial, TrialResult
from automl_opt.core.seeds import Seeds, derive
from automl_opt.core.spec import StudySpec
from automl_opt.core.verdict import Score, Verdict
from automl_opt.plugin.host import Host
from automl_opt.search.space import arms_of
from automl_opt.store import Store, TrialRow, VerdictRow, VerdictRun
from automl_opt.study.changes import refuse_changes
from automl_opt.study.claim import claimed, forget_measurements, memory_of, worker
from automl_opt.study.finalists import SCREENED, Plan, plan_of
from automl_opt.study.interrupts import Stop, graceful_stop
from automl_opt.study.paired import looks
from automl_opt.study.runner import MOST_SLOTS, slots, versions, with_direction
from automl_opt.study.selection import judged, standing
from automl_opt.study.unfinished import Unfinished
from automl_opt.study.wording import sentences
from automl_opt.training.build import TorchBuilder
from automl_opt.training.engine import Engine, environment
from automl_opt.training.executor import engine_of
from automl_opt.training.plain import How
from automl_opt.training.task import Task, load_task

Told = Callable[[VerdictRun, int], None]
"""Called with each run that ended and the number of those that are still to come."""


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """A verdict and what may be said of it.

    Args:
        said: the sentences, the verdict first.
        stopped: the name of the signal that ended it early.
    """

    verdict: Verdict
    plan: Plan
    said: tuple[str, ...]
    runs: tuple[VerdictRun, ...]
    stopped: str | None = None


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a verdict may take at most, from the times of the trials it stands on.

    Args:
        runs: trainings still to come if no finalist is dropped.
    """

    runs: int
    seconds: float


def confirm(
    spec: StudySpec,
    *,
    host: Host,
    store: Store,
    task: Task | None = None,
    estimated: Callable[[Plan, Cost], None] = lambda plan, cost: None,
    told: Told = lambda run, left: None,
) -> Confirmed:
    """Train the finalists until a look decides or the seeds are used up; go on where it ended.

    Args:
        estimated: told what it may take before anything is trained.

    Raises:
        VerdictError: there is nothing to judge, or what was measured allows no verdict.
        StudyChanged: the study, or how it is judged, is not what the database began.
        SpecError, TaskError, UnknownComponent, StoreError: as for :func:`runner.run`.
        KeyboardInterrupt: Ctrl-C while screening, when there is no verdict to give back yet.
    """
    given, task = task is not None, task or load_task(spec)
    spec = with_direction(spec, task)
    builder = TorchBuilder(host.catalog)
    model = task.ranges(spec)
    spaces = arms_of(spec, host.catalog, model, builder)
    refuse_changes(spec, spaces, store, host.catalog)
    examples = held_out(task)
    if not examples:
        raise spec.error(
            "task", "has no test split: a verdict needs data that no search has looked at"
        )
    trials = store.trials(spec.name)
    now = plan_of(spec, trials, host.catalog, model, score_of(spec, task), examples)
    with claimed(spec.name, store):
        row, plan = _begun(spec, store, now)
        done = store.verdict_runs(row)
        estimated(plan, cost_of(plan, spec, trials, done))
        # its trainings are known beforehand: as many at a time as there are places for
        places = MOST_SLOTS if spec.together == "auto" else slots(spec, len(spaces))
        memory = memory_of(spec.name, store)
        probe = spaces[0].default()
        engine = engine_of(task, spec, builder, probe, slots=places, memory=memory, given=given)
        with closing(engine), graceful_stop() as stop:
            trainer = Trainer(spec, store, row, plan, engine, stop, told)
            verdict = trainer.train(done)
        if not stop:
            forget_measurements(spec.name, store)
        runs = store.verdict_runs(row)
        said = tuple(sentences(verdict, spec.compare))
        stopped = stop.signal.name if stop.signal else None
        return Confirmed(verdict=verdict, plan=plan, said=said, runs=tuple(runs), stopped=stopped)


def score_of(spec: StudySpec, task: Task) -> Score:
    """How runs are compared: as ``[verdict]`` says.

    Args:
        spec: with its direction settled.
    """
    judging = spec.judging
    metric = judging.metric or spec.metric
    try:
        direction = spec.direction if metric == spec.metric else task.direction_of(metric)
    except TaskError as error:
        raise spec.error("[verdict] metric", str(error)) from error
    maximize = direction == "maximize"
    scale = judging.scale or ("plain" if maximize else "log")
    return Score(metric=metric, maximize=maximize, scale=scale, margin=judging.margin)


def cost_of(
    plan: Plan, spec: StudySpec, trials: Sequence[TrialRow], done: Sequence[VerdictRun]
) -> Cost:
    """What is left to train at most: every finalist with every seed."""
    last = max((n for n, _ in _looks_to(spec.judging.seeds)), default=0)
    screening = len(plan.candidates) * SCREENED if plan.screen else 0
    finalists = min(len(plan.candidates), 4) if plan.screen else len(plan.candidates)
    left = max(0, finalists * last + screening - len(done))
    times = [run.seconds for run in done if run.status is Status.COMPLETE] or [
        trial.seconds for trial in trials if trial.status is Status.COMPLETE
    ]
    return Cost(runs=left, seconds=left * math.fsum(times) / len(times) if times else 0.0)


def _looks_to(seeds: int) -> Iterator[tuple[int, float]]:
    for n, alpha in looks():
        if n > seeds:
            return
        yield n, alpha


def held_out(task: Task) -> int:
    """How many examples the test split has."""
    if task.data is None:
        return 0 if task.test is None else _length(task.test)
    whole = _length(task.data)
    rest = whole - round(task.split[0] * whole) - round(task.split[1] * whole)
    return rest if task.split[2] else 0


def _length(data: Any) -> int:
    return len(data[0]) if isinstance(data, (tuple, list)) else len(data)


def _begun(spec: StudySpec, store: Store, now: Plan) -> tuple[VerdictRow, Plan]:
    """The verdict to go on with: the last one if it is about the same recipes, else a new one."""
    last = standing(store, spec.name)
    if last is None or not last[1].is_about(now):
        return store.begin_verdict(spec.name, "recipe", now.data()), now
    row, plan = last
    for key, value in asdict(now.score).items():
        before = getattr(plan.score, key)
        if value != before:
            raise StudyChanged(
                f"{spec.source}, [verdict]: {key} is {value!r}, but the verdict on study "
                f"{spec.name!r} began with {before!r}: how runs are compared is fixed before the "
                "first of them. Set it back, or judge a study of another name."
            )
    return row, plan


class Trainer:
    """Trains what is asked for, run by run, and keeps each in the database."""

    def __init__(
        self,
        spec: StudySpec,
        store: Store,
        row: VerdictRow,
        plan: Plan,
        engine: Engine,
        stop: Stop,
        told: Told = lambda run, left: None,
    ) -> None:
        self._spec, self._store, self._row, self._plan = spec, store, row, plan
        self._engine, self._stop, self._told = engine, stop, told
        self._environment = {**environment(engine.device), **versions()}

    def train(self, done: list[VerdictRun]) -> Verdict:
        """Screen where the plan says so, then train from look to look."""
        if self._plan.screen:
            names = [name for name, each in self._plan.candidates.items() if each.arm is not None]
            if not self.run("screen", names, range(SCREENED), done):
                raise KeyboardInterrupt  # there are no finalists yet to say anything of
        while True:
            verdict = judged(self._plan, done)
            self._save(verdict)
            if verdict.next_seeds is None or verdict.next_seeds > self._spec.judging.seeds:
                return verdict
            if not self.run("confirm", verdict.live, range(verdict.next_seeds), done):
                return judged(self._plan, done)

    def _save(self, verdict: Verdict) -> None:
        self._store.save_verdict(
            self._row,
            outcome=verdict.outcome.value,
            leader=verdict.leader,
            seeds=verdict.seeds,
            said=sentences(verdict, self._spec.compare),
            data=verdict.data(),
            looks=verdict.looks,
        )

    def run(self, stage: str, names: Iterable[str], seeds: range, done: list[VerdictRun]) -> bool:
        """Train what is missing and add it to *done*; whether nothing stopped it."""
        have = {(run.recipe, run.seed) for run in done if run.stage == stage}
        names = list(names)
        jobs = [
            self._trial(stage, name, seed)
            for seed in seeds
            for name in names
            if (name, seed) not in have
        ]
        engine, left = self._engine, len(jobs)
        waiting = [replace(job, trial_id=-1 - i) for i, job in enumerate(jobs)]
        epochs: dict[int, list[EpochReport]] = {}
        how: dict[int, How] = {}
        unfinished = Unfinished(self._spec, self._store, self._row)

        def keep(reports: Iterable[EpochReport]) -> None:
            nonlocal left
            for report in reports:
                trial = report.trial
                epochs[trial.trial_id].append(report)
                if report.finished:
                    trained = epochs.pop(trial.trial_id)
                    seconds = math.fsum(each.seconds for each in trained)
                    run = self._ended(stage, engine.retire(trial), seconds)
                    environment = {**self._environment, **how[trial.trial_id].data()}
                    self._store.save_verdict_run(self._row, run, environment, trained)
                    unfinished.forget(trial)
                    done.append(run)
                    left -= 1
                    self._told(run, left)

        def put_down() -> None:
            """Save what is in training, so that the same command goes on from here."""
            for trial in engine.resting:
                if trained := epochs[trial.trial_id]:
                    unfinished.keep(engine, trial, trained)

        with closing(unfinished):
            while waiting or engine.live:
                if self._stop:
                    keep(engine.finish())  # of other processes: some may have ended by now
                    put_down()
                    return False
                new = []
                while waiting and engine.free:
                    new.append(waiting.pop(0))
                    epochs[new[-1].trial_id] = unfinished.admit(engine, new[-1])
                for trial in new:
                    how[trial.trial_id] = engine.how(trial)
                keep(engine.advance())
                waiting[:0] = engine.lost()
                if unfinished.due:
                    put_down()
        return True

    def _trial(self, stage: str, name: str, seed: int) -> Trial:
        def seed_of(purpose: str) -> int:
            return derive(self._spec.seed, "verdict", self._row.number, stage, seed, purpose)

        return Trial(
            arm=name,
            number=seed,
            trial_id=0,
            recipe=self._plan.candidates[name].recipe,
            seeds=Seeds(
                split=seed_of("split"),
                initialisation=seed_of("initialisation"),
                order=seed_of("order"),
                noise=seed_of("noise"),
            ),
        )

    def _ended(self, stage: str, result: TrialResult, seconds: float) -> VerdictRun:
        metrics = {each.metric: each.value for each in result.test}
        value = result.value if stage == "screen" else metrics.get(self._plan.score.metric)
        return VerdictRun(
            stage=stage,
            recipe=result.trial.arm,
            seed=result.trial.number,
            seeds=result.trial.seeds,
            status=result.status,
            reason=result.reason,
            value=value if result.status is Status.COMPLETE else None,
            metrics=metrics,
            epochs=result.epochs,
            seconds=seconds,
            worker=worker(),
            device=self._engine.device,
        )
