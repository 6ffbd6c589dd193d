"""Arms: one Optuna study each, asked and told from the history alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from automl_opt.api import PrunerSpec, StrategySpec
from automl_opt.core.errors import AutomlOptError, PluginError, StoreError, did_you_mean
from automl_opt.core.params import Value
from automl_opt.core.result import EpochReport, Status, Trial, TrialResult
from automl_opt.core.seeds import Seeds, derive
from automl_opt.core.spec import Choice, StudySpec
from automl_opt.plugin.catalog import Catalog, Component
from automl_opt.search.allocation import History, next_arm
from automl_opt.search.draft import Draft
from automl_opt.search.space import RecipeSpace
from automl_opt.search.storage import SQLError, Storage

STATE_OF = {Status.COMPLETE: TrialState.COMPLETE, Status.PRUNED: TrialState.PRUNED}


@dataclass
class Arm:
    """One arm: its study in the database, its draft, and the trials put back to be asked again.

    Args:
        trial_ids: Optuna's, by number.
    """

    space: RecipeSpace
    study_id: int
    study_name: str
    draft: Draft
    trial_ids: list[int]
    waiting: list[Trial] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.space.arm

    @property
    def asked(self) -> int:
        return len(self.draft)


class Arms:
    """All arms of a study behind one ask and tell.

    A proposal is a function of (seed, arm, trial number) and the arm's history: the strategy is
    made anew for every trial, so a resumed study goes on as the undisturbed one would have.

    Other processes may ask for trials of the same study. A trial enters the database under its
    number or not at all; who finds the number taken knows of the others, and from then on takes in
    what they did before every proposal.

    Args:
        shared: others are known from the start.

    Every call that reaches the database raises :class:`StoreError` where that fails, and
    :class:`PluginError` where the strategy or the pruner does.
    """

    def __init__(
        self,
        spec: StudySpec,
        storage: Storage,
        spaces: Sequence[RecipeSpace],
        strategy: Component,
        pruner: Component,
        *,
        shared: bool = False,
    ) -> None:
        self.shared, self.ended_elsewhere = shared, 0
        self._spec, self._storage = spec, storage
        self._strategy, self._pruner = strategy, pruner
        self._ours: set[int] = set()  # by trial id: asked here, neither told nor put back
        self.arms = [self._open(space) for space in spaces]
        self._by_name = {arm.name: arm for arm in self.arms}

    def _open(self, space: RecipeSpace) -> Arm:
        name = f"{self._spec.name}/{space.arm}"
        with _explained():
            study = optuna.create_study(
                study_name=name,
                storage=self._storage,
                direction=self._spec.direction,
                load_if_exists=True,
            )
            study_id = self._storage.get_study_id_from_name(name)
            trials = study.get_trials(deepcopy=False)
        for trial in trials:
            _refuse_foreign(name, space, trial)
        made = _make_pruner(self._spec, self._pruner)  # one an arm: it may remember what it saw
        draft = Draft(name, self._spec.direction, made, trials)
        return Arm(space, study_id, name, draft, [trial._trial_id for trial in trials])

    def unfinished(self) -> list[Trial]:
        """Trials that were asked and never told, and are not asked for here."""
        return [
            self._trial(arm, frozen.number, frozen.params)
            for arm in self.arms
            for frozen in self._others(arm)
        ]

    def _others(self, arm: Arm) -> list[FrozenTrial]:
        ours = self._ours | {trial.trial_id for trial in arm.waiting}
        return [t for t in arm.draft.running() if arm.trial_ids[t.number] not in ours]

    def refresh(self) -> None:
        """Take in what other processes have begun and ended; see :attr:`ended_elsewhere`."""
        by_study = {arm.study_id: arm for arm in self.arms}
        known = {arm.study_id: arm.trial_ids[-1] if arm.asked else -1 for arm in self.arms}
        running = [arm.trial_ids[t.number] for arm in self.arms for t in self._others(arm)]
        with _explained():
            changed = self._storage.changed(known, running)
        for study_id, trials in changed.items():
            arm = by_study[study_id]
            for trial in trials:
                if trial.number == arm.asked:
                    _refuse_foreign(arm.study_name, arm.space, trial)
                    arm.trial_ids.append(trial._trial_id)
                arm.draft.take_in(trial)
                self.ended_elsewhere += trial.state.is_finished()

    def has_budget(self) -> bool:
        return any(arm.waiting for arm in self.arms) or self._next() is not None

    def _next(self) -> Arm | None:
        """The arm whose turn it is; ``None`` where the budget is spent."""
        sign = 1.0 if self._spec.direction == "maximize" else -1.0
        histories = [
            History(arm.asked, [None if v is None else sign * v for v in values])
            for arm in self.arms
            for values in [() if self._spec.allocation == "equal" else arm.draft.values()]
        ]
        turn = next_arm(self._spec.allocation, self._spec.trials, histories)
        return None if turn is None else self.arms[turn]

    def ask(self, n: int) -> list[Trial]:
        """Up to *n* trials: those put back first, then new ones for the arms whose turn it is."""
        asked: list[Trial] = []
        while len(asked) < n:
            waiting = next((arm for arm in self.arms if arm.waiting), None)
            if waiting is not None:
                asked.append(waiting.waiting.pop(0))
                continue
            if self.shared:
                self.refresh()
            arm = self._next()
            if arm is None:
                break
            trial = self._ask(arm)
            if trial is None:
                self.shared = True
            else:
                asked.append(trial)
        self._ours.update(trial.trial_id for trial in asked)
        return asked

    def _ask(self, arm: Arm) -> Trial | None:
        """A new trial; ``None`` where another process has taken its number."""
        number = arm.asked
        with _blamed(self._strategy, f"asked for {arm.name} #{number}"):
            frozen = arm.draft.propose(self._sampler(arm, number), arm.space.space)
        with _explained():
            trial_id = self._storage.begin_trial(arm.study_id, frozen)
        if trial_id is None:
            arm.draft.withdraw()
            return None
        arm.trial_ids.append(trial_id)
        return self._trial(arm, number, frozen.params)

    def _sampler(self, arm: Arm, number: int) -> BaseSampler:
        seed = derive(self._spec.seed, arm.name, number, "strategy")
        return _make_strategy(self._spec, self._strategy, arm.space, seed)

    def _trial(self, arm: Arm, number: int, values: Mapping[str, Value]) -> Trial:
        return Trial(
            arm=arm.name,
            number=number,
            trial_id=arm.trial_ids[number],
            recipe=arm.space.recipe(values),
            seeds=Seeds.of_trial(self._spec.seed, arm.name, number),
        )

    def put_back(self, trial: Trial) -> None:
        """Let :meth:`ask` give an unfinished *trial* again, as if nothing of it was reported."""
        self._by_name[trial.arm].waiting.append(trial)
        self.give_up(trial)

    def give_up(self, trial: Trial) -> None:
        """Leave an unfinished *trial* to others, as if nothing of it was reported."""
        self._ours.discard(trial.trial_id)
        with _explained():
            proposed = self._storage.get_trial_system_attrs(trial.trial_id)
        self._by_name[trial.arm].draft.forget(trial.number, proposed)

    def restore(self, trial: Trial, values: Sequence[tuple[int, float]]) -> None:
        """Report again what an earlier run measured of *trial*.

        Args:
            values: ``(epoch, value)`` of the epochs that will not be trained again, in order:
                pruners note on the trial what they see.
        """
        for epoch, value in values:
            self._report(trial, epoch, value)

    def should_stop(self, report: EpochReport) -> bool:
        """Tell the pruner of an epoch; whether it wants the trial stopped.

        It is told of a trial's last epoch too, where its answer no longer matters.
        """
        if report.value is None:
            return False
        return self._report(report.trial, report.epoch, report.value)

    def _report(self, trial: Trial, epoch: int, value: float) -> bool:
        with _blamed(self._pruner, f"told of {trial}, epoch {epoch}"):
            return self._by_name[trial.arm].draft.report(trial.number, epoch, value)

    def tell(self, result: TrialResult) -> None:
        """Record how a trial ended, in the draft and then in the database.

        Telling again what an interrupted run had begun to tell is harmless.
        """
        arm, number = self._by_name[result.trial.arm], result.trial.number
        self._ours.discard(result.trial.trial_id)
        state = STATE_OF.get(result.status, TrialState.FAIL)
        with _blamed(self._strategy, f"told of {result.trial}"):
            ended = arm.draft.end(number, state, result.value, self._sampler(arm, number))
        with _explained():
            failed = {"status": str(result.status), "reason": result.reason}
            self._storage.end_trial(
                result.trial.trial_id, ended, failed if result.status.is_failure else {}
            )


def open_arms(
    spec: StudySpec,
    catalog: Catalog,
    storage: Storage,
    spaces: Sequence[RecipeSpace],
    *,
    shared: bool = False,
) -> Arms:
    """The arms of *spec* (its direction settled), each with its study in *storage*.

    Args:
        shared: other processes are known to ask for trials, too.

    Raises:
        SpecError: strategy or pruner are not known, or are given what they do not take; nothing
            was written.
        StoreError: *storage* fails, or holds trials that no study of ours can have asked for.
    """
    strategy = _component(spec, catalog, "strategy", spec.strategy)
    pruner = _component(spec, catalog, "pruner", spec.pruner)
    with _refused(spec, "strategy", strategy):
        _make_strategy(spec, strategy, spaces[0], seed=0)
    with _refused(spec, "pruner", pruner):
        _make_pruner(spec, pruner)
    return Arms(spec, storage, spaces, strategy, pruner, shared=shared)


def _make_strategy(
    spec: StudySpec, strategy: Component, space: RecipeSpace, seed: int
) -> BaseSampler:
    assert isinstance(strategy.spec, StrategySpec)
    make = strategy.code(strategy.spec.sampler)
    sampler: BaseSampler = make(
        space=space.space, seed=seed, **strategy.defaults() | dict(spec.strategy.params)
    )
    return sampler


def _make_pruner(spec: StudySpec, pruner: Component) -> BasePruner:
    assert isinstance(pruner.spec, PrunerSpec)
    make = pruner.code(pruner.spec.pruner)
    made: BasePruner = make(epochs=spec.epochs, **pruner.defaults() | dict(spec.pruner.params))
    return made


def _component(spec: StudySpec, catalog: Catalog, kind: str, choice: Choice) -> Component:
    with spec.blame(f"[search] {kind}"):
        component = catalog.find(kind, choice.name)
    _check_params(
        component, choice.params, lambda key, why: spec.error(f"[search] {kind}.{key}", why)
    )
    return component


def _check_params(
    component: Component,
    params: Mapping[str, Any],
    error: Callable[[str, str], AutomlOptError],
) -> None:
    declared = component.spec.params
    for key, value in params.items():
        if key not in declared:
            known = did_you_mean(key, declared)
            raise error(key, f"{component.id} has no such parameter; {known}")
        if not declared[key].contains(value):
            raise error(key, f"{value!r} lies outside the range of {component.id}")


def sampler(catalog: Catalog, name: str, seed: int | None, params: dict[str, Any]) -> BaseSampler:
    """A strategy for a study of the user's own; see :func:`automl_opt.sampler`."""
    component = catalog.find("strategy", name)
    spec = component.spec
    assert isinstance(spec, StrategySpec)
    _check_params(
        component, params, lambda key, why: PluginError(f"sampler({name!r}), {key}: {why}")
    )
    made: BaseSampler = component.code(spec.sampler)(
        space=None, seed=seed, **component.defaults() | params
    )
    return made


def open_storage(url: str) -> Storage:
    """Optuna's tables in the database at *url*, made if missing.

    Raises:
        StoreError: they were written by another, incompatible Optuna, or the database fails.
    """
    arguments = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    try:
        with _explained():
            return Storage(url, engine_kwargs=arguments)
    except RuntimeError as error:  # what Optuna raises for a schema that is not its own
        raise StoreError(f"Optuna's tables: {' '.join(str(error).split())}") from error


@contextmanager
def storage_at(url: str) -> Iterator[Storage]:
    """:func:`open_storage`, closed in the end; inside, Optuna does not tell what it does."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(verbosity, optuna.logging.WARNING))
    try:
        storage = open_storage(url)
        try:
            yield storage
        finally:
            storage.remove_session()
            storage.engine.dispose()
    finally:
        optuna.logging.set_verbosity(verbosity)


def _refuse_foreign(study_name: str, space: RecipeSpace, trial: FrozenTrial) -> None:
    ours = {entry.name for entry in space.space.entries if entry.is_active(trial.params)}
    if trial.params.keys() != ours or trial.state == TrialState.WAITING:
        raise StoreError(
            f"Optuna's study {study_name!r} has a trial {trial.number} ({trial.state.name}) that "
            "automl-opt did not ask for; give the study another name or name another --storage"
        )


@contextmanager
def _refused(spec: StudySpec, kind: str, component: Component) -> Iterator[None]:
    """Inside, what the *component* does not take is reported as the study file's."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise spec.error(f"[search] {kind}", f"{component.id}: {error}") from error


@contextmanager
def _blamed(component: Component, doing: str) -> Iterator[None]:
    """Inside runs code of a plugin, which may raise anything."""
    try:
        yield
    except AutomlOptError:
        raise
    except Exception as error:
        raise PluginError(
            f"{component.kind} {component.id} ({component.distribution} "
            f"{component.distribution_version}) failed, {doing}: {type(error).__name__}: {error}"
        ) from error


@contextmanager
def _explained() -> Iterator[None]:
    """Inside, an error of the database behind Optuna's storage is a :class:`StoreError`."""
    try:
        yield
    except (StorageInternalError, SQLError) as error:
        cause = error.__cause__ or error
        said = str(cause).splitlines()[0]
        if getattr(getattr(cause, "orig", None), "sqlstate", None) == "53100":
            said = f"the server's disk is full; nothing of this write was kept: {said}"
        raise StoreError(f"Optuna's tables: {said}") from error
