"""A draft: an arm's history in memory, where strategies propose and pruners judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from automl_opt.core.space import SearchSpace


class Draft:
    """The trials of one arm as its strategy and its pruner are to see them.

    Asking a database number by number would leave half a trial behind when the process is killed;
    here a trial is made whole and then written.

    Args:
        trials: those of the database. The values of a running one are left out: who goes on with
            it reports them again, in their order, which is what pruners go by.
    """

    def __init__(
        self, name: str, direction: str | None, pruner: BasePruner, trials: Iterable[FrozenTrial]
    ) -> None:
        self._name, self._direction, self._pruner = name, direction, pruner
        self._load(map(_as_begun, trials))

    def _load(self, trials: Iterable[FrozenTrial]) -> None:
        self._storage = InMemoryStorage()
        self._study = optuna.create_study(
            study_name=self._name,  # Hyperband draws a trial's bracket from it
            storage=self._storage,
            direction=self._direction,
            sampler=RandomSampler(seed=0),  # replaced before it is asked anything
            pruner=self._pruner,
        )
        self._study_id = self._storage.get_study_id_from_name(self._name)
        self._count = 0  # Optuna would copy the list to count it
        for trial in trials:
            self._add(trial)

    def _add(self, trial: FrozenTrial) -> None:
        self._storage.create_new_trial(self._study_id, _as_samplers_see_it(trial))
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def values(self) -> list[float | None]:
        """By number, the value of each trial that is complete."""
        return [
            trial.value if trial.state == TrialState.COMPLETE else None
            for trial in self._study.get_trials(deepcopy=False)
        ]

    def running(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def propose(self, sampler: BaseSampler, space: SearchSpace) -> FrozenTrial:
        """A new running trial with a value for everything that is active in *space*.

        The first has the defaults.
        """
        self._study.sampler = sampler
        if len(self) == 0:
            self._study.enqueue_trial(space.defaults())
        trial = self._study.ask()
        self._count += 1
        space.suggest_values(trial)
        return self._storage.get_trial(self._trial_id(trial.number))

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Note the *value* after an *epoch* of a running trial; whether the pruner would end it."""
        trial_id = self._trial_id(number)
        self._storage.set_trial_intermediate_value(trial_id, epoch, value)
        return bool(self._pruner.prune(self._study, self._storage.get_trial(trial_id)))

    def withdraw(self) -> None:
        """Take back the latest proposal: its number is another trial's in the database."""
        self._load(self._study.get_trials(deepcopy=False)[:-1])

    def take_in(self, trial: FrozenTrial) -> None:
        """A trial that another process has begun, or ended, as the database has it."""
        if trial.number == len(self):
            self._add(_as_begun(trial))
            return
        trial_id = self._trial_id(trial.number)
        if trial.state == TrialState.FAIL:
            trials = self._study.get_trials(deepcopy=False)
            self._load([*trials[: trial.number], trial, *trials[trial.number + 1 :]])
            return
        for epoch, value in trial.intermediate_values.items():
            self._storage.set_trial_intermediate_value(trial_id, epoch, value)
        for key, value in trial.system_attrs.items():
            self._storage.set_trial_system_attr(trial_id, key, value)
        self._storage.set_trial_state_values(trial_id, trial.state, trial.values)

    def forget(self, number: int, system_attrs: Mapping[str, Any]) -> None:
        """Drop what was reported of a running trial: it will be reported again.

        Args:
            system_attrs: what it was proposed with; pruners have added to them since.
        """
        trials = self._study.get_trials(deepcopy=False)
        trial = trials[number]
        if trial.state != TrialState.RUNNING or not trial.intermediate_values:
            return
        trials[number] = _without_values(trials[number], TrialState.RUNNING, system_attrs)
        self._load(trials)

    def end(
        self, number: int, state: TrialState, value: float | None, sampler: BaseSampler
    ) -> FrozenTrial:
        """End a running trial; the trial as the database is to have it.

        Args:
            value: of a complete trial; a pruned one has its last reported value.
        """
        self._study.sampler = sampler
        self._study.tell(number, value if state == TrialState.COMPLETE else None, state=state)
        ended = self._storage.get_trial(self._trial_id(number))
        if state == TrialState.FAIL:
            self._load(self._study.get_trials(deepcopy=False))
        return ended

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)


def _as_begun(trial: FrozenTrial) -> FrozenTrial:
    """A running trial without what was reported of it; any other as it is."""
    if trial.state != TrialState.RUNNING:
        return trial
    return _without_values(trial, TrialState.RUNNING)


def _as_samplers_see_it(trial: FrozenTrial) -> FrozenTrial:
    """A failed trial as a pruned one without a value, which counts as worse than any other.

    Optuna's samplers leave FAIL out of their history, and would propose the learning rate that
    diverged again and again. The database keeps it as FAIL.
    """
    return _without_values(trial, TrialState.PRUNED) if trial.state == TrialState.FAIL else trial


def _without_values(
    trial: FrozenTrial, state: TrialState, system_attrs: Mapping[str, Any] | None = None
) -> FrozenTrial:
    return create_trial(
        state=state,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs,
        system_attrs=trial.system_attrs if system_attrs is None else dict(system_attrs),
    )
