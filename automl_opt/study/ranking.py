"""The ranking: the arms of a study in the order of their best trials; no verdict."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from automl_opt.core.errors import StoreError
from automl_opt.core.result import Status
from automl_opt.store import EpochRow, Store, StudyRow, TrialRow


@dataclass(frozen=True, kw_only=True)
class ArmRank:
    """One arm in numbers.

    Args:
        best: the best value of a complete trial on the validation split; ``None`` without one.
        median: of the complete trials.
        test: the study's metric on the test split, of the trial that has *best*.
        seconds: training time of all its trials, failed and pruned ones too.
    """

    arm: str
    best: float | None
    median: float | None
    test: float | None
    best_trial: int | None
    trials: int
    complete: int
    pruned: int
    failures: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The arms of a study, best first by validation value.

    The order of single best values says which recipe did best here, not which arm is better: each
    is the luckiest of its trials.
    """

    study: str
    question: str
    metric: str
    direction: str
    arms: tuple[ArmRank, ...]
    finished: bool

    def data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "arms": [asdict(arm) for arm in self.arms]}


def ranking_of(store: Store, name: str) -> Ranking:
    """The ranking of a study, finished or not; raises :class:`StoreError` where there is none."""
    studies = _studies(store, name)
    settings = json.loads(studies[0].spec_json)
    trials = store.trials(name)
    ranking = rank(
        study=name,
        question=settings["question"],
        metric=settings["[objective] metric"],
        direction=settings["[objective] direction"],
        arms=[row.arm for row in studies],
        trials=trials,
        curves=store.curves(name, split="test"),
        budget=dict.fromkeys(settings["arms"], settings["[search] trials"]),
    )
    ended = Counter(trial.arm for trial in trials if trial.status.is_final)
    return replace(ranking, finished=is_spent(settings, ended))


def is_spent(settings: Mapping[str, Any], ended: Mapping[str, int]) -> bool:
    """Whether a study has had its trials: every arm its own, or all of them the sum.

    Args:
        settings: as the database has them.
        ended: trials that have ended, by arm.
    """
    trials, arms = settings["[search] trials"], settings["arms"]
    if settings.get("[search] allocation", "equal") == "equal":
        return all(ended.get(arm, 0) >= trials for arm in arms)
    return sum(ended.get(arm, 0) for arm in arms) >= trials * len(arms)


def known_arms(store: Store, name: str) -> list[str]:
    """The arms of a study, in the order they began; raises :class:`StoreError`."""
    return [row.arm for row in _studies(store, name)]


def rank(
    *,
    study: str,
    question: str,
    metric: str,
    direction: str,
    arms: Sequence[str],
    trials: Sequence[TrialRow],
    curves: Mapping[int, Sequence[EpochRow]],
    budget: Mapping[str, int],
) -> Ranking:
    """Order *arms* by the best value of their complete trials.

    Args:
        trials: one row a trial, as ``Store.trials`` gives them.
        curves: their rows on the test split by trial id, as ``Store.curves`` gives them.
        budget: the trials that an arm is to have, to say whether the study is done; arms that
            were taken out of the study are ranked, and not waited for.
    """
    sign = -1.0 if direction == "maximize" else 1.0
    ranks = [_arm(arm, [t for t in trials if t.arm == arm], curves, metric, sign) for arm in arms]
    ranks.sort(key=lambda r: (r.best is None, sign * r.best if r.best is not None else 0.0))
    ended = Counter(trial.arm for trial in trials if trial.status.is_final)
    done = all(ended[arm] >= trials_due for arm, trials_due in budget.items())
    return Ranking(
        study=study,
        question=question,
        metric=metric,
        direction=direction,
        arms=tuple(ranks),
        finished=done,
    )


def _arm(
    arm: str,
    trials: Sequence[TrialRow],
    curves: Mapping[int, Sequence[EpochRow]],
    metric: str,
    sign: float,
) -> ArmRank:
    complete = [(t.value, t) for t in trials if t.status is Status.COMPLETE and t.value is not None]
    values = [value for value, _ in complete]
    _, best = min(complete, key=lambda pair: (sign * pair[0], pair[1].number), default=(None, None))
    return ArmRank(
        arm=arm,
        best=best.value if best else None,
        median=statistics.median(values) if values else None,
        test=_test_value(curves.get(best.trial_id, []), metric) if best else None,
        best_trial=best.number if best else None,
        trials=len(trials),
        complete=len(complete),
        pruned=sum(t.status is Status.PRUNED for t in trials),
        failures=sum(t.status.is_failure for t in trials),
        seconds=sum(t.seconds for t in trials),
    )


def _test_value(curve: Sequence[EpochRow], metric: str) -> float | None:
    values = [row.value for row in curve if row.split == "test" and row.metric == metric]
    return values[-1] if values else None


def _studies(store: Store, name: str) -> list[StudyRow]:
    studies = store.studies(name)
    if not studies:
        known = sorted({row.name for row in store.studies()})
        holds = f"it holds: {', '.join(known)}" if known else "it holds none"
        raise StoreError(f"{store.shown_url} holds no study {name!r}; {holds}")
    return studies
