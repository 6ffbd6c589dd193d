"""The arm verdict on a study: its two leading arms, tuned again and again from new seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from automl_opt.core.errors import VerdictError
from automl_opt.core.seeds import derive
from automl_opt.core.spec import StudySpec
from automl_opt.core.verdict import ArmVerdict
from automl_opt.plugin.host import Host
from automl_opt.search.space import arms_of
from automl_opt.store import Store, VerdictRow
from automl_opt.study import runner
from automl_opt.study.changes import refuse_changes
from automl_opt.study.claim import claimed, forget_measurements, memory_of
from automl_opt.study.judge import NEEDED_WINS, QUICK_WINS, arm_looks, judge_arms
from automl_opt.study.progress import Progress
from automl_opt.study.ranking import Ranking, ranking_of
from automl_opt.study.runner import with_direction
from automl_opt.study.selection import standing
from automl_opt.study.wording import arm_sentences
from automl_opt.training.task import Task, load_task


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One paired re-tuning: what each arm's best recipe reached on the test split."""

    number: int
    arms: tuple[str, str]
    tests: tuple[float | None, float | None]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What re-tuning takes, from the time that the study's own tuning of these arms took."""

    arms: tuple[str, str]
    pairs: int
    trials: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Retuned:
    """An arm verdict, what may be said of it, and the signal that ended it early."""

    verdict: ArmVerdict
    said: tuple[str, ...]
    pairs: tuple[Pair, ...]
    stopped: str | None = None


def retune(
    spec: StudySpec,
    pairs: int,
    *,
    host: Host,
    store: Store,
    task: Task | None = None,
    estimated: Callable[[Cost], None] = lambda cost: None,
    told: Callable[[Pair], None] = lambda pair: None,
    progress: Progress | None = None,
) -> Retuned:
    """Tune the two leading arms up to *pairs* times; stop at the first look that decides.

    Each pair is a study of its own in the database, with the arms' own ranges and budget; what was
    stopped goes on, and 10 pairs become 20, and 40. The study's own tuning does not count: it
    chose the two arms.

    Args:
        pairs: 10, 20 or 40, or the quick 6, which is a verdict of its own.
        estimated: told what it takes before anything is trained.

    Raises:
        VerdictError: another number of pairs, or fewer than two arms that found something.
        StudyChanged: the study is not what the database began.
        SpecError, TaskError, UnknownComponent, StoreError: as for :func:`runner.run`.
    """
    if pairs not in (*NEEDED_WINS, *QUICK_WINS):
        raise VerdictError(
            f"--retune {pairs}: 6 pairs are the quick form, 10, 20 or 40 the full one; the error "
            "is known at these looks only"
        )
    task = task or load_task(spec)
    spec = with_direction(spec, task)
    refuse_changes(spec, arms_of(spec, host.catalog, task.ranges(spec)), store, host.catalog)
    quick = pairs in QUICK_WINS
    ranking = ranking_of(store, spec.name)
    row, arms = _begun(spec, store, ranking, quick=quick)
    done = [_pair(spec, store, row, arms, i) for i in range(_finished(spec, store, row))]
    estimated(_cost(spec, ranking, arms, pairs - len(done)))
    stopped = None
    verdict = _judged(spec, arms, done, quick)
    with claimed(_whole(spec, row), store):
        while verdict.next_pairs is not None and len(done) < pairs:
            stopped = _tune(spec, row, arms, len(done), host, store, task, progress)
            if stopped is not None:
                break
            done.append(_pair(spec, store, row, arms, len(done)))
            told(done[-1])
            verdict = _judged(spec, arms, done, quick)
            _save(store, row, verdict, spec, done)
        if stopped is None:
            forget_measurements(_whole(spec, row), store)
    said = tuple(arm_sentences(verdict))
    return Retuned(verdict=verdict, said=said, pairs=tuple(done), stopped=stopped)


def _begun(
    spec: StudySpec, store: Store, ranking: Ranking, *, quick: bool
) -> tuple[VerdictRow, tuple[str, str]]:
    """The verdict of this form to go on with, or a new one on the two leading arms."""
    arms = leading(spec, store, ranking)
    plan = {"arms": list(arms), "trials": spec.trials, "quick": quick}
    for row in reversed(store.verdicts(spec.name, "arm")):
        if json.loads(row.plan_json) == plan:
            return row, arms
    return store.begin_verdict(spec.name, "arm", plan), arms


def leading(spec: StudySpec, store: Store, ranking: Ranking) -> tuple[str, str]:
    """The two arms that lead: by the recipe verdict as far as it goes, then by the ranking."""
    found = standing(store, spec.name)
    order: list[str] = []
    if found is not None and found[0].verdict_json is not None:
        plan, verdict = found[1], json.loads(found[0].verdict_json)
        by_mean = sorted(verdict["pairs"], key=lambda pair: pair["mean"] or math.inf)
        names = [verdict["leader"], *(pair["other"] for pair in by_mean)]
        arms = [plan.candidates[name].arm for name in names if name is not None]
        order += [arm for arm in arms if arm is not None]
    order += [arm.arm for arm in ranking.arms if arm.best is not None]
    chosen = list(dict.fromkeys(order))[:2]
    if len(chosen) < 2:
        raise VerdictError(
            f"re-tuning compares two arms; of study {spec.name!r} {len(chosen)} found something"
        )
    return chosen[0], chosen[1]


def _whole(spec: StudySpec, row: VerdictRow) -> str:
    """The name under which its pairs share what their engines have measured."""
    return f"{spec.name}.retune{row.number}"


def _name(spec: StudySpec, row: VerdictRow, pair: int) -> str:
    return f"{_whole(spec, row)}.{pair}"


def _finished(spec: StudySpec, store: Store, row: VerdictRow) -> int:
    """How many pairs have their tunings behind them, from the first on."""
    count = 0
    while store.studies(_name(spec, row, count)):
        if not ranking_of(store, _name(spec, row, count)).finished:
            break
        count += 1
    return count


def _tune(
    spec: StudySpec,
    row: VerdictRow,
    arms: tuple[str, str],
    pair: int,
    host: Host,
    store: Store,
    task: Task,
    progress: Progress | None,
) -> str | None:
    """Run the study of one pair; the signal that stopped it, if one did."""
    again = replace(
        spec,
        name=_name(spec, row, pair),
        seed=derive(spec.seed, "retune", row.number, pair),
        components=MappingProxyType({**spec.components, spec.compare: arms}),
        time_limit_s=None,
        allocation="equal",
    )
    memory = memory_of(_whole(spec, row), store)
    outcome = runner.run(again, host=host, store=store, task=task, progress=progress, memory=memory)
    return outcome.stopped


def _pair(spec: StudySpec, store: Store, row: VerdictRow, arms: tuple[str, str], pair: int) -> Pair:
    tests = {arm.arm: arm.test for arm in ranking_of(store, _name(spec, row, pair)).arms}
    return Pair(number=pair, arms=arms, tests=(tests.get(arms[0]), tests.get(arms[1])))


def _judged(
    spec: StudySpec, arms: tuple[str, str], done: Sequence[Pair], quick: bool
) -> ArmVerdict:
    return judge_arms(
        arms,
        [pair.tests for pair in done],
        maximize=spec.direction == "maximize",
        trials=spec.trials,
        quick=quick,
    )


def _save(
    store: Store, row: VerdictRow, verdict: ArmVerdict, spec: StudySpec, done: Sequence[Pair]
) -> None:
    looks = arm_looks(
        verdict, [pair.tests for pair in done], done[0].arms, maximize=spec.direction == "maximize"
    )
    store.save_verdict(
        row,
        outcome=verdict.outcome.value,
        leader=verdict.first,
        seeds=verdict.pairs,
        said=arm_sentences(verdict),
        data=verdict.data(),
        looks=looks,
    )


def _cost(spec: StudySpec, ranking: Ranking, arms: tuple[str, str], pairs: int) -> Cost:
    chosen = [arm for arm in ranking.arms if arm.arm in arms]
    a_pair = math.fsum(arm.seconds / arm.trials * spec.trials for arm in chosen if arm.trials)
    pairs = max(pairs, 0)
    return Cost(arms=arms, pairs=pairs, trials=2 * spec.trials * pairs, seconds=pairs * a_pair)
