"""A study without a task: its spec, its arms, and training that is a formula."""

from __future__ import annotations

import math
from typing import Any

import optuna

from automl_opt.core.params import Int
from automl_opt.core.result import EpochReport, Status, Trial, TrialResult
from automl_opt.core.spec import StudySpec, parse_study
from automl_opt.search.arms import Arms

MODEL = {"width": Int(4, 64, log=True)}
EPOCHS = 9


def spec_of(**changes: Any) -> StudySpec:
    """A study of two arms; ``space={…}`` and the like replace whole tables."""
    data = {
        "name": "digits",
        "task": "none:none",
        "space": {
            "optimizer": ["sgd", "adamw"],
            "scheduler": ["constant", "cosine"],
            "regularizer": ["l2"],
            "batch_size": [16, 32],
        },
        "search": {"trials": 30},
        "training": {"epochs": EPOCHS},
        "objective": {"direction": "minimize"},
    }
    return parse_study({**data, **changes}, source="studies/digits/study.toml")


def searching(strategy: Any, pruner: Any = "none", trials: int = 30) -> StudySpec:
    return spec_of(search={"strategy": strategy, "pruner": pruner, "trials": trials})


def value_after(epoch: int, params: dict[str, Any], number: int) -> float:
    """A curve that falls from epoch to epoch, to where its parameters say."""
    lr = params["optimizer.lr"] if "optimizer.lr" in params else params["lr"]
    return abs(math.log10(lr) + 2) + 0.1 * math.cos(number) * epoch + 1 / epoch


def report(trial: Trial, epoch: int, value: float | None) -> EpochReport:
    return EpochReport(trial=trial, epoch=epoch, value=value, measurements=(), seconds=0.0)


def result(
    trial: Trial, status: Status, value: float | None = None, epochs: int = EPOCHS
) -> TrialResult:
    reason = "the loss became nan" if status.is_failure else None
    return TrialResult(trial=trial, status=status, value=value, epochs=epochs, reason=reason)


def train(arms: Arms, trial: Trial, first: int = 1, fails: bool = False) -> TrialResult:
    """Train *trial* from epoch *first* on until it ends or is pruned, without telling."""
    params = {"lr": trial.recipe.optimizer.params["lr"]}
    for epoch in range(first, EPOCHS + 1):
        value = value_after(epoch, params, trial.number)
        if fails and epoch == 2:
            return result(trial, Status.DIVERGED, epochs=epoch)
        stop = arms.should_stop(report(trial, epoch, value))
        if epoch == EPOCHS:
            return result(trial, Status.COMPLETE, value)
        if stop:
            return result(trial, Status.PRUNED, value, epoch)
    raise AssertionError


def spend(arms: Arms, trials: int, failing: tuple[int, ...] = ()) -> list[Trial]:
    """Ask, train and tell *trials* trials; of each arm those numbered in *failing* fail."""
    asked = []
    for _ in range(trials):
        [trial] = arms.ask(1)
        arms.tell(train(arms, trial, fails=trial.number in failing))
        asked.append(trial)
    return asked


def frozen(study: optuna.Study) -> list[dict[str, Any]]:
    """Everything about the trials of *study* but ids and times."""
    return [
        {
            "number": trial.number,
            "state": trial.state.name,
            "values": trial.values,
            "params": trial.params,
            "distributions": trial.distributions,
            "intermediate": trial.intermediate_values,
            "user": trial.user_attrs,
            "system": trial.system_attrs,
        }
        for trial in study.get_trials(deepcopy=False)
    ]
