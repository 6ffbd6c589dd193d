"""What storing a study costs, ours beside plain Optuna's: ``python benchmarks/storage/run.py``.

Each part runs on SQLite in a temporary folder and on a PostgreSQL server of its own (as Debian
installs it, with its default settings); without one, on SQLite only. Nothing is trained.

    run.py [--only trial,growth,history,writers] [--trials N] [--grown N] [--history N] [--rows N]
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import runpy
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage
from sqlalchemy import Engine, event, text

from automl_opt.core.params import Float
from automl_opt.core.result import EpochReport, Measurement, Status, Trial, TrialResult
from automl_opt.core.spec import StudySpec, parse_study
from automl_opt.plugin.catalog import Catalog
from automl_opt.plugin.host import load_host
from automl_opt.search.arms import Arms, open_arms, storage_at
from automl_opt.search.space import RecipeSpace, arms_of
from automl_opt.store import Store
from automl_opt.store.engine import tune

SERVER = Path(__file__).parents[2] / "tests" / "postgresql" / "server.py"
PARAMS, EPOCHS, ROUNDS, WRITERS = 10, 50, 5, 8


def spec_of(trials: int) -> tuple[StudySpec, Catalog, RecipeSpace]:
    """A study of one arm with :data:`PARAMS` numbers, all of them always active."""
    catalog = load_host(allow=()).catalog
    spec = parse_study(
        {
            "name": "bench",
            "task": "none:none",
            "space": {"optimizer": ["sgd"], "scheduler": ["constant"], "batch_size": [32]},
            "search": {"trials": trials, "strategy": "random", "pruner": "none"},
            "training": {"epochs": EPOCHS},
            "objective": {"direction": "minimize"},
        },
        source="benchmarks/storage/run.py",
    )
    own = len(arms_of(spec, catalog, {})[0].space.entries)
    more = {f"p{i}": Float(0.0, 1.0, default=0.5) for i in range(PARAMS - own)}
    [space] = arms_of(spec, catalog, more)
    assert len(space.space.entries) == PARAMS
    return spec, catalog, space


class Ours:
    """What ``automl-opt run`` calls for a trial, in its order."""

    def __init__(self, url: str, stack: ExitStack, trials: int = 10**6) -> None:
        spec, catalog, space = spec_of(trials)
        self.store = stack.enter_context(Store.open(url))
        storage = stack.enter_context(storage_at(url))
        self.store.tune(storage.engine)
        self.engines = [self.store.engine, storage.engine]
        self.arms: Arms = open_arms(spec, catalog, storage, [space])
        arm = self.arms.arms[0]
        self.store.save_study(
            study_id=arm.study_id,
            name=spec.name,
            arm=arm.name,
            spec_json="{}",
            space_json=space.space.to_json(),
            space_hash=space.space.fingerprint(),
        )
        self._parts = [
            (role, catalog.find(role, part.id), part.params)
            for role, part in space.default().parts()
        ]

    def trial(self) -> None:
        [trial] = self.arms.ask(1)
        start(self.store, trial, self.arms.arms[0].study_id, self._parts)
        for epoch in range(1, EPOCHS + 1):
            told = report(trial, epoch)
            self.store.epoch(told)
            self.arms.should_stop(told)
        self.store.checkpoint(trial, "/tmp/none.pt")
        result = TrialResult(trial=trial, status=Status.COMPLETE, value=0.5, epochs=EPOCHS)
        self.store.finish(result)
        self.arms.tell(result)


def start(store: Store, trial: Trial, study_id: int, parts: Any = ()) -> None:
    store.start_run(
        trial,
        study_id=study_id,
        parts=parts,
        environment={"torch": "2.13"},
        worker="here:1",
        device="cpu",
        lease_s=600.0,
    )


def report(trial: Trial, epoch: int) -> EpochReport:
    value = 1 / epoch
    measured = (("train", "loss"), ("valid", "loss"), ("valid", "accuracy"))
    return EpochReport(
        trial=trial,
        epoch=epoch,
        value=value,
        measurements=tuple(Measurement(split, name, value) for split, name in measured),
        seconds=0.1,
    )


class Plain:
    """Optuna's ask, report and tell with its own storage, as its documentation has it."""

    def __init__(self, url: str, stack: ExitStack, *, wal: bool = False) -> None:
        storage = RDBStorage(url)
        stack.callback(storage.engine.dispose)
        stack.callback(storage.remove_session)
        if wal:
            tune(storage.engine)
        self.engines = [storage.engine]
        self._space = spec_of(1)[2].space
        self._study = optuna.create_study(storage=storage, sampler=RandomSampler(seed=0))

    def trial(self) -> None:
        trial = self._study.ask()
        self._space.suggest_values(trial)
        for epoch in range(1, EPOCHS + 1):
            trial.report(1 / epoch, epoch)
        self._study.tell(trial, 0.5)


class Counter:
    """Commits and statements of some engines."""

    def __init__(self, engines: list[Engine]) -> None:
        self.commits = self.statements = 0
        for engine in engines:
            event.listen(engine, "commit", self._commit)
            event.listen(engine, "after_cursor_execute", self._statement)

    def _commit(self, *_: Any) -> None:
        self.commits += 1

    def _statement(self, *_: Any) -> None:
        self.statements += 1


def trials(new_url: Callable[[], str], n: int) -> None:
    """A B C A B C …, *n* trials a turn; the ratio is the median of the rounds' ratios."""
    sqlite = new_url().startswith("sqlite")
    with ExitStack() as stack:
        rivals: dict[str, Any] = {"ours": Ours(new_url(), stack), "plain": Plain(new_url(), stack)}
        if sqlite:
            rivals["plain, WAL + NORMAL"] = Plain(new_url(), stack, wal=True)
        for rival in rivals.values():
            rival.trial()  # what the first trial costs, a study pays once
        counters = {name: Counter(rival.engines) for name, rival in rivals.items()}
        taken: dict[str, list[float]] = {name: [] for name in rivals}
        for _ in range(ROUNDS):
            for name, rival in rivals.items():
                began = time.perf_counter()
                for _ in range(n):
                    rival.trial()
                taken[name].append((time.perf_counter() - began) / n)
        for name, times in taken.items():
            ratio = statistics.median(t / o for t, o in zip(times, taken["ours"], strict=True))
            counted = counters[name]
            print(
                f"  {name:20} {statistics.median(times) * 1e3:8.2f} ms a trial, "
                f"{counted.commits / n / ROUNDS:5.1f} commits, "
                f"{counted.statements / n / ROUNDS:6.1f} statements, {ratio:6.1f} x ours"
            )


def fill(engine: Engine, study: str, n: int, reports: int) -> None:
    """*n* complete trials in Optuna's tables, by a statement a column of the study."""
    pg = engine.dialect.name == "postgresql"
    state, kind = (
        ("CAST('COMPLETE' AS trialstate)", "CAST('FINITE' AS {})")
        if pg
        else ("'COMPLETE'", "'FINITE'")
    )
    moment = "CAST('2026-01-01 00:00:00' AS TIMESTAMP)" if pg else "'2026-01-01 00:00:00.000000'"
    entries = spec_of(1)[2].space.entries
    probe = optuna.create_study().ask()
    spec_of(1)[2].space.suggest_values(probe)
    with engine.begin() as connection:
        ask = text("SELECT study_id FROM studies WHERE study_name = :name")
        ours = f"FROM trials WHERE study_id = {connection.scalar(ask, {'name': study})}"
        study_id = ours.rpartition(" ")[2]
        connection.execute(
            text(
                f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {n - 1})"
                " INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete)"
                f" SELECT i, {study_id}, {state}, {moment}, {moment} FROM n"
            )
        )
        connection.execute(
            text(
                "INSERT INTO trial_values (trial_id, objective, value, value_type) SELECT "
                f"trial_id, 0, number * 0.37, {kind.format('trialvaluetype')} {ours}"
            )
        )
        for entry in entries:
            found = probe.distributions[entry.name]
            connection.execute(
                text(
                    "INSERT INTO trial_params (trial_id, param_name, param_value, "
                    f"distribution_json) SELECT trial_id, :name, :value, :json {ours}"
                ),
                {
                    "name": entry.name,
                    "value": found.to_internal_repr(probe.params[entry.name]),
                    "json": distribution_to_json(found),
                },
            )
        for step in range(1, reports + 1):
            connection.execute(
                text(
                    "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, "
                    f"intermediate_value_type) SELECT trial_id, {step}, 1.0 / {step}, "
                    f"{kind.format('trialintermediatevaluetype')} {ours}"
                )
            )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def growth(new_url: Callable[[], str], n: int) -> None:
    """Random asks of a study without trials, and of one with *n*."""
    with ExitStack() as stack:
        empty, grown_url = Ours(new_url(), stack), new_url()
        with ExitStack() as first:
            fill(Ours(grown_url, first).engines[1], "bench/sgd", n, reports=0)
        began = time.perf_counter()
        grown = Ours(grown_url, stack)
        print(f"  opening a study with {n} trials: {time.perf_counter() - began:.1f} s")
        times: dict[str, list[float]] = {"empty": [], "grown": []}
        for rival in (empty, grown):
            rival.trial()
        for _ in range(30):
            for name, rival in (("empty", empty), ("grown", grown)):
                began = time.perf_counter()
                rival.arms.ask(1)
                times[name].append(time.perf_counter() - began)
        a, b = (statistics.median(times[name]) * 1e3 for name in ("empty", "grown"))
        print(f"  ask: empty {a:.2f} ms, {n} trials {b:.2f} ms, ratio {b / a:.2f}")


def history(new_url: Callable[[], str], n: int) -> None:
    """All trials of a study, by our columns and by Optuna's objects, A B A B."""
    url, reports = new_url(), 5
    with ExitStack() as stack:
        ours = Ours(url, stack)
        fill(ours.engines[1], "bench/sgd", n, reports)
        storages = {"columns": ours.arms._storage, "objects": RDBStorage(url)}
        stack.callback(storages["objects"].engine.dispose)
        stack.callback(storages["objects"].remove_session)
        study_id = ours.arms.arms[0].study_id
        times: dict[str, list[float]] = {name: [] for name in storages}
        for _ in range(2):
            for name, storage in storages.items():
                gc.collect()
                began = time.perf_counter()
                found = storage.get_all_trials(study_id, deepcopy=False)
                times[name].append(time.perf_counter() - began)
                assert len(found) == n
                assert len(found[-1].intermediate_values) == reports
                del found
        a, b = min(times["columns"]), min(times["objects"])
        print(
            f"  {n} trials with {PARAMS} parameters and {reports} reports: by columns {a:.2f} s, "
            f"by objects {b:.1f} s, ratio {b / a:.1f}"
        )


def write(url: str, number: int, rows: int, go: Any, done: Any) -> None:
    """One of the writers: a trial with as many epochs as give *rows* rows."""
    with Store.open(url) as store:
        space = spec_of(1)[2]
        trial = Trial(
            arm="sgd",
            number=number,
            trial_id=1000 + number,
            recipe=space.default(),
            seeds=_seeds(number),
        )
        start(store, trial, 1)
        reports = [report(trial, epoch) for epoch in range(1, rows // 3 + 1)]
        go.wait()
        for each in reports:
            store.epoch(each)
        store.flush()
        done.wait()


def _seeds(number: int) -> Any:
    from automl_opt.core.seeds import Seeds

    return Seeds.of_trial(0, "sgd", number)


def writers(new_url: Callable[[], str], rows: int) -> None:
    """Epoch rows a second of eight processes, from when all are ready until all are done."""
    url = new_url()
    with ExitStack() as stack:
        Ours(url, stack)
    context = multiprocessing.get_context("spawn")
    go, done = context.Barrier(WRITERS + 1), context.Barrier(WRITERS + 1)
    processes = [
        context.Process(target=write, args=(url, number, rows, go, done))
        for number in range(WRITERS)
    ]
    for process in processes:
        process.start()
    go.wait()
    began = time.perf_counter()
    done.wait()
    seconds = time.perf_counter() - began
    for process in processes:
        process.join()
    with Store.open(url) as store, store.engine.connect() as connection:
        written = connection.scalar(text("SELECT count(*) FROM hpo_epoch_metric"))
    assert written == WRITERS * (rows // 3) * 3, written
    print(
        f"  {WRITERS} writers: {written} rows in {seconds:.2f} s, {written / seconds:,.0f} a second"
    )


@contextmanager
def databases() -> Iterator[Mapping[str, Callable[[], str]]]:
    """By kind, what makes a new empty database."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        made = iter(range(10**6))
        found: dict[str, Callable[[], str]] = {
            "SQLite": lambda: f"sqlite:///{folder}/{next(made)}.db"
        }
        module = runpy.run_path(str(SERVER))
        if module["program"]("initdb"):
            server = module["Server"]()
            stack.callback(server.stop)
            found["PostgreSQL"] = server.new_database
        yield found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="trial,growth,history,writers")
    parser.add_argument("--trials", type=int, default=10, help="a turn")
    parser.add_argument("--grown", type=int, default=100_000)
    parser.add_argument("--history", type=int, default=50_000)
    parser.add_argument("--rows", type=int, default=30_000, help="a writer")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parts: dict[str, tuple[Callable[..., None], int]] = {
        "trial": (trials, given.trials),
        "growth": (growth, given.grown),
        "history": (history, given.history),
        "writers": (writers, given.rows),
    }
    with databases() as found:
        for name in given.only.split(","):
            part, size = parts[name]
            for kind, new_url in found.items():
                print(f"{name}, {kind}", flush=True)
                part(new_url, size)


if __name__ == "__main__":
    main()
