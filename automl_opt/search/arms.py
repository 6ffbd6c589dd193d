"""Arms: one Optuna study each, asked and told from the history alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from automl_opt.api import PrunerSpec, StrategySpec
from automl_opt.core.errors import PluginError, StoreError, did_you_mean
from automl_opt.core.result import EpochReport, Status, Trial, TrialResult
from automl_opt.core.seeds import Seeds, derive
from automl_opt.core.spec import Choice, StudySpec
from automl_opt.plugin.catalog import Catalog, Component
from automl_opt.search.space import RecipeSpace

STATE_OF = {Status.COMPLETE: TrialState.COMPLETE, Status.PRUNED: TrialState.PRUNED}


@dataclass
class Arm:
    """One arm: its study in the database, and the draft it is sampled against.

    The draft is the same history in memory. Strategies and pruners work on it, so asking costs
    one transaction, and a trial enters the database whole or not at all.
    """

    space: RecipeSpace
    study_id: int
    study_name: str
    draft: optuna.Study
    draft_storage: InMemoryStorage
    handles: dict[int, optuna.trial.Trial] = field(default_factory=dict)
    waiting: list[Trial] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.space.arm

    @property
    def asked(self) -> int:
        return self.draft_storage.get_n_trials(self.draft_id)

    @property
    def draft_id(self) -> int:
        return self.draft_storage.get_study_id_from_name(self.study_name)

    def draft_trial_id(self, number: int) -> int:
        return self.draft_storage.get_trial_id_from_study_id_trial_number(self.draft_id, number)


class Arms:
    """All arms of a study behind one ask and tell.

    A proposal is a function of (seed, arm, trial number) and the arm's history: the strategy is
    made anew for every trial, so a resumed study goes on as the undisturbed one would have.
    """

    def __init__(
        self,
        spec: StudySpec,
        storage: BaseStorage,
        spaces: Sequence[RecipeSpace],
        strategy: Component,
        pruner: optuna.pruners.BasePruner,
    ) -> None:
        self._spec, self._storage, self._strategy = spec, storage, strategy
        self._pruner = pruner
        self.arms = [self._open(space) for space in spaces]
        self._by_name = {arm.name: arm for arm in self.arms}
        self._sampler(self.arms[0], 0)  # a strategy that refuses its parameters says so now

    def _open(self, space: RecipeSpace) -> Arm:
        name = f"{self._spec.name}/{space.arm}"
        study = optuna.create_study(
            study_name=name,
            storage=self._storage,
            direction=self._spec.direction,
            load_if_exists=True,
        )
        study_id = self._storage.get_study_id_from_name(name)
        draft_storage, draft = self._draft(name, study.get_trials(deepcopy=False))
        return Arm(space, study_id, name, draft, draft_storage)

    def _draft(
        self, name: str, trials: Sequence[FrozenTrial]
    ) -> tuple[InMemoryStorage, optuna.Study]:
        storage = InMemoryStorage()
        draft = optuna.create_study(
            study_name=name,
            storage=storage,
            direction=self._spec.direction,
            sampler=optuna.samplers.RandomSampler(seed=0),  # replaced before every ask
            pruner=self._pruner,
        )
        study_id = storage.get_study_id_from_name(name)
        for trial in trials:
            storage.create_new_trial(study_id, template_trial=_as_samplers_see_it(trial))
        return storage, draft

    def unfinished(self) -> list[Trial]:
        """Trials that were asked and never told: an earlier run left them."""
        return [
            self._trial(arm, frozen.number, frozen.params)
            for arm in self.arms
            for frozen in arm.draft.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        ]

    def has_budget(self) -> bool:
        return any(arm.waiting or arm.asked < self._spec.trials for arm in self.arms)

    def ask(self, n: int) -> list[Trial]:
        """Up to *n* trials: those put back first, then new ones for the arms that have fewest."""
        asked: list[Trial] = []
        while len(asked) < n and self.has_budget():
            waiting = next((arm for arm in self.arms if arm.waiting), None)
            asked.append(
                waiting.waiting.pop(0)
                if waiting
                else self._ask(min(self.arms, key=lambda arm: arm.asked))
            )
        return asked

    def _ask(self, arm: Arm) -> Trial:
        number = arm.asked
        arm.draft.sampler = self._sampler(arm, number)
        if number == 0:
            arm.draft.enqueue_trial(arm.space.space.defaults())
        handle = arm.draft.ask()
        values = arm.space.space.suggest_values(handle)
        arm.handles[number] = handle
        frozen = arm.draft_storage.get_trial(arm.draft_trial_id(number))
        trial_id = self._storage.create_new_trial(arm.study_id, template_trial=frozen)
        stored = self._storage.get_trial_number_from_id(trial_id)
        if stored != number:
            raise StoreError(
                f"study {arm.study_name!r} has a trial {number} of another process: a study is "
                "run by one process at a time"
            )
        return self._trial(arm, number, values)

    def _sampler(self, arm: Arm, number: int) -> optuna.samplers.BaseSampler:
        spec = self._strategy.spec
        assert isinstance(spec, StrategySpec)
        seed = derive(self._spec.seed, arm.name, number, "strategy")
        make = self._strategy.code(spec.sampler)
        params = self._strategy.defaults() | dict(self._spec.strategy.params)
        return make(space=arm.space.space, seed=seed, **params)

    def _trial(self, arm: Arm, number: int, values: Mapping[str, Any]) -> Trial:
        return Trial(
            arm=arm.name,
            number=number,
            trial_id=self._storage.get_trial_id_from_study_id_trial_number(arm.study_id, number),
            recipe=arm.space.recipe(values),
            seeds=Seeds.of_trial(self._spec.seed, arm.name, number),
        )

    def restore(self, trial: Trial, values: Sequence[tuple[int, float]]) -> None:
        """Take up an unfinished *trial* of an earlier run.

        Args:
            values: ``(epoch, value)`` of the epochs it will not train again, for the pruner.
        """
        arm = self._by_name[trial.arm]
        arm.draft.sampler = self._sampler(arm, trial.number)
        handle = optuna.trial.Trial(arm.draft, arm.draft_trial_id(trial.number))
        arm.handles[trial.number] = handle
        for epoch, value in values:
            handle.report(value, epoch)
            handle.should_prune()  # pruners note their rungs on the trial when asked

    def put_back(self, trial: Trial) -> None:
        """Let :meth:`ask` give a restored trial again."""
        self._by_name[trial.arm].waiting.append(trial)

    def should_stop(self, report: EpochReport) -> bool:
        """Tell the pruner of an epoch; whether it wants the trial stopped."""
        if report.value is None:
            return False
        handle = self._by_name[report.trial.arm].handles[report.trial.number]
        handle.report(report.value, report.epoch)
        return handle.should_prune()

    def tell(self, result: TrialResult) -> None:
        """Record how a trial ended, in the draft and then in the database.

        Telling again what an interrupted run had begun to tell is harmless.
        """
        arm, number = self._by_name[result.trial.arm], result.trial.number
        state = STATE_OF.get(result.status, TrialState.FAIL)
        arm.handles.pop(number, None)
        arm.draft.tell(number, result.value if state == TrialState.COMPLETE else None, state=state)
        frozen = arm.draft_storage.get_trial(arm.draft_trial_id(number))
        self._write(result, frozen)
        if state == TrialState.FAIL:
            self._redraft(arm)

    def _write(self, result: TrialResult, frozen: FrozenTrial) -> None:
        storage, trial_id = self._storage, result.trial.trial_id
        for step, value in frozen.intermediate_values.items():
            storage.set_trial_intermediate_value(trial_id, step, value)
        known = storage.get_trial_system_attrs(trial_id)
        for key, value in frozen.system_attrs.items():
            if known.get(key) != value:
                storage.set_trial_system_attr(trial_id, key, value)
        if result.status.is_failure:
            storage.set_trial_user_attr(trial_id, "status", str(result.status))
            storage.set_trial_user_attr(trial_id, "reason", result.reason)
        storage.set_trial_state_values(trial_id, frozen.state, frozen.values)

    def _redraft(self, arm: Arm) -> None:
        """Make the draft again, the failed trial as strategies are to see it."""
        arm.draft_storage, arm.draft = self._draft(
            arm.study_name, arm.draft.get_trials(deepcopy=False)
        )
        for number in arm.handles:
            arm.draft.sampler = self._sampler(arm, number)
            arm.handles[number] = optuna.trial.Trial(arm.draft, arm.draft_trial_id(number))


def _as_samplers_see_it(trial: FrozenTrial) -> FrozenTrial:
    """A trial of the database as the draft has it.

    Optuna's samplers leave FAIL out of their history, and would propose the learning rate that
    diverged again and again; a pruned trial without a value counts as worse than any other. The
    database keeps it as FAIL. A running trial comes without values: they are reported anew.
    """
    if trial.state not in (TrialState.FAIL, TrialState.RUNNING):
        return trial
    return optuna.trial.create_trial(
        state=TrialState.PRUNED if trial.state == TrialState.FAIL else trial.state,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs,
        system_attrs=trial.system_attrs,
    )


def open_storage(url: str) -> RDBStorage:
    """Optuna's tables in the database at *url*, made if missing.

    Raises:
        StoreError: they were written by another, incompatible Optuna.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    arguments = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    try:
        return RDBStorage(url, engine_kwargs=arguments)
    except RuntimeError as error:  # what Optuna raises for a schema that is not its own
        raise StoreError(f"{url}: {' '.join(str(error).split())}") from error


def open_arms(
    spec: StudySpec,
    catalog: Catalog,
    storage: BaseStorage,
    spaces: Sequence[RecipeSpace],
) -> Arms:
    """The arms of *spec* (its direction settled), each with its study in *storage*.

    Raises:
        SpecError: strategy or pruner are not known, or are given what they do not take.
    """
    strategy = _component(spec, catalog, "strategy", spec.strategy)
    pruner = _component(spec, catalog, "pruner", spec.pruner)
    assert isinstance(pruner.spec, PrunerSpec)
    try:
        params = pruner.defaults() | dict(spec.pruner.params)
        made = pruner.code(pruner.spec.pruner)(epochs=spec.epochs, **params)
    except (TypeError, ValueError) as error:
        raise spec.error("[search] pruner", f"{pruner.id}: {error}") from error
    try:
        return Arms(spec, storage, spaces, strategy, made)
    except (TypeError, ValueError) as error:
        raise spec.error("[search] strategy", f"{strategy.id}: {error}") from error


def _component(spec: StudySpec, catalog: Catalog, kind: str, choice: Choice) -> Component:
    with spec.blame(f"[search] {kind}"):
        component = catalog.find(kind, choice.name)
    declared = component.spec.params
    for key, value in choice.params.items():
        if key not in declared:
            raise spec.error(
                f"[search] {kind}.{key}",
                f"{component.id} has no such parameter; {did_you_mean(key, declared)}",
            )
        if not declared[key].contains(value):
            raise spec.error(
                f"[search] {kind}.{key}", f"{value!r} lies outside the range of {component.id}"
            )
    return component


def sampler(
    catalog: Catalog, name: str, seed: int | None, params: dict[str, Any]
) -> optuna.samplers.BaseSampler:
    """A strategy for a study of the user's own; see :func:`automl_opt.sampler`."""
    component = catalog.find("strategy", name)
    spec = component.spec
    assert isinstance(spec, StrategySpec)
    for key in params:
        if key not in spec.params:
            raise PluginError(
                f"strategy {component.id} has no parameter {key!r}; "
                f"{did_you_mean(key, spec.params)}"
            )
    return component.code(spec.sampler)(space=None, seed=seed, **component.defaults() | params)
