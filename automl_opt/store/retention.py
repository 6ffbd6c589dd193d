"""What a database may forget: epochs of trials long ended, and studies deleted in Optuna alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    and_,
    column,
    delete,
    exists,
    func,
    inspect,
    or_,
    select,
    table,
    tuple_,
)

from automl_opt.core.result import Status
from automl_opt.store import models, statements
from automl_opt.store.engine import reading, writing
from automl_opt.store.models import epoch_metric, study, trial_run
from automl_opt.store.statements import TEST_SPLIT

_RUNS_AT_ONCE = 200  # a transaction each, so that a study that is running never waits long
_UNFINISHED = [status.value for status in Status if not status.is_final]
_KEY = (
    epoch_metric.c.run_id,
    epoch_metric.c.metric_id,
    epoch_metric.c.split,
    epoch_metric.c.epoch,
)

_THEIR_STUDIES = table("studies", column("study_id"), column("study_name"))
_THEIR_TRIALS = table("trials", column("trial_id"), column("study_id"), column("number"))
_LOST = ~exists().where(
    _THEIR_TRIALS.c.trial_id == trial_run.c.trial_id,
    _THEIR_TRIALS.c.study_id == trial_run.c.study_id,
    _THEIR_TRIALS.c.number == trial_run.c.number,
)


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """An arm of ours whose Optuna study is gone, or was made anew without the trials of old.

    Args:
        trials: those that are gone.
        whole: they are all that the arm had, so it goes with them.
        running: one of them is in training, so the arm was left alone.
    """

    study_id: int
    study: str
    arm: str
    trials: int
    whole: bool
    running: bool


@dataclass(frozen=True, kw_only=True)
class Thinned:
    """How many rows of how many trials were, or would be, deleted."""

    rows: int = 0
    trials: int = 0


def thin_epochs(
    engine: Engine, *, older_than: timedelta, keep_every: int, dry_run: bool = False
) -> Thinned:
    """Delete epochs of trials that ended before *older_than* ago.

    Of every metric on every split stay each *keep_every*-th epoch (0: none of them), the last one,
    and the first that has the lowest and the highest value. The test split stays whole, for
    verdicts and rankings read it, and so does every trial that may go on. What a trial took is
    kept with its run.
    """
    ended = _ended_before(datetime.now(UTC) - older_than)
    with reading(engine) as connection:
        found = connection.execute(select(trial_run.c.run_id, trial_run.c.trial_id).where(ended))
        trial_of = {row.run_id: row.trial_id for row in found}
    run_ids = sorted(trial_of)
    rows, trials = 0, set()
    for start in range(0, len(run_ids), _RUNS_AT_ONCE):
        batch = run_ids[start : start + _RUNS_AT_ONCE]
        needless = _needless(batch, ended, keep_every)
        with reading(engine) if dry_run else writing(engine) as connection:
            if not dry_run:
                statements.states(connection, batch)  # locked: none of them begins anew meanwhile
            keys = connection.execute(needless).all()
            rows += len(keys)
            trials |= {trial_of[key.run_id] for key in keys}
            if not dry_run and keys:
                connection.execute(delete(epoch_metric).where(tuple_(*_KEY).in_(needless)))
    return Thinned(rows=rows, trials=len(trials))


def _ended_before(moment: datetime) -> ColumnElement[bool]:
    """Of a run: the last attempt of its trial has ended for good, before *moment*."""
    last, later = trial_run.alias("last"), trial_run.alias("later")
    superseded = exists().where(
        later.c.trial_id == last.c.trial_id, later.c.attempt > last.c.attempt
    )
    goes_on = or_(last.c.state.in_(_UNFINISHED), last.c.ended_at >= moment)
    return ~exists().where(last.c.trial_id == trial_run.c.trial_id, goes_on, ~superseded)


def _needless(
    run_ids: list[int], ended: ColumnElement[bool], keep_every: int
) -> Select[tuple[int, int, str, int]]:
    """The keys of the rows to delete."""
    run_id, metric_id, split, epoch = _KEY
    value, missing = epoch_metric.c.value, epoch_metric.c.value.is_(None)
    series = (run_id, metric_id, split)
    rank = func.row_number()
    ranked = (
        select(
            *_KEY,
            func.max(epoch).over(partition_by=series).label("last"),
            rank.over(partition_by=series, order_by=(missing, value, epoch)).label("lowest"),
            rank.over(partition_by=series, order_by=(missing, value.desc(), epoch)).label(
                "highest"
            ),
        )
        .join(trial_run, trial_run.c.run_id == run_id)
        .where(run_id.in_(run_ids), split != TEST_SPLIT, ended)
        .subquery()
    )
    needed = [ranked.c.epoch == ranked.c.last, ranked.c.lowest == 1, ranked.c.highest == 1]
    if keep_every:
        needed.append(ranked.c.epoch % keep_every == 0)
    return select(ranked.c.run_id, ranked.c.metric_id, ranked.c.split, ranked.c.epoch).where(
        ~or_(*needed)
    )


def sweep_orphans(engine: Engine, *, dry_run: bool = False) -> list[Orphan] | None:
    """Delete what is left of studies that were deleted with Optuna's own tools.

    The arms' trials go with their curves, and where no arm of a study is left, its verdicts and
    findings: a new study of that name is not to inherit them.

    Returns:
        The arms; ``None`` where Optuna's tables are not in this database, so nothing can be said.
    """
    with reading(engine) if dry_run else writing(engine) as connection:
        if not inspect(connection).has_table(_THEIR_STUDIES.name):
            return None
        found = _orphans(connection)
        gone = [orphan for orphan in found if not orphan.running]
        if gone and not dry_run:
            _delete(connection, gone)
    return found


def lost_trials(connection: Connection, study_id: int) -> int:
    """How many trials of an arm are in our tables and in Optuna's no more."""
    if not inspect(connection).has_table(_THEIR_TRIALS.name):
        return 0
    lost = func.count(trial_run.c.trial_id.distinct())
    query = select(lost).where(trial_run.c.study_id == study_id, _LOST)
    return connection.scalar(query) or 0


def _orphans(connection: Connection) -> list[Orphan]:
    """Optuna gives a study's number again, so the name counts, too."""
    theirs = {(row.study_id, row.study_name) for row in connection.execute(select(_THEIR_STUDIES))}
    in_training = and_(
        trial_run.c.state == Status.RUNNING.value, trial_run.c.lease_until > datetime.now(UTC)
    )
    of_trials = func.count(trial_run.c.trial_id.distinct())
    of_runs = func.count(trial_run.c.run_id)
    rows = connection.execute(
        select(
            study.c.study_id,
            study.c.name,
            study.c.arm,
            of_trials.label("trials"),
            of_trials.filter(_LOST).label("lost"),
            of_runs.filter(in_training).label("running"),
            of_runs.filter(and_(in_training, _LOST)).label("lost_running"),
        )
        .outerjoin(trial_run, trial_run.c.study_id == study.c.study_id)
        .group_by(study.c.study_id, study.c.name, study.c.arm)
        .order_by(study.c.study_id)
    )
    found = []
    for row in rows:
        known = (row.study_id, f"{row.name}/{row.arm}") in theirs
        whole = not known or row.lost == row.trials > 0
        if whole or row.lost:
            found.append(
                Orphan(
                    study_id=row.study_id,
                    study=row.name,
                    arm=row.arm,
                    trials=row.trials if whole else row.lost,
                    whole=whole,
                    running=(row.running if whole else row.lost_running) > 0,
                )
            )
    return found


def _delete(connection: Connection, orphans: list[Orphan]) -> None:
    ids = [orphan.study_id for orphan in orphans]
    connection.execute(delete(trial_run).where(trial_run.c.study_id.in_(ids), _LOST))
    whole = [orphan for orphan in orphans if orphan.whole]
    arms = study.c.study_id.in_([orphan.study_id for orphan in whole])
    connection.execute(delete(study).where(arms))
    left = select(study.c.name)
    for judged in (models.verdict, models.finding):
        names = {orphan.study for orphan in whole}
        connection.execute(
            delete(judged).where(judged.c.name.in_(names), judged.c.name.not_in(left))
        )
