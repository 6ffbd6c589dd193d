"""How long the public views take on 100 000 trials: ``python benchmarks/storage/views.py``.

Studies of 5 arms share the trials equally: 20 studies, or one that has them all (``--studies 1``).
They are made by plain inserts: 10 epochs a trial, two metrics on two splits, four components, and
for each study a verdict of 3 recipes on 30 common seeds. Asked seven times are every row of one
study, of one arm and of all, the first 1000 rows of all, and, as the floor, every row of a plain
table with the same rows. SQLite's time is the processor's. ``--storage`` names another database
than an SQLite file in a temporary folder; it must be empty, or filled by a run before.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, text

from automl_opt.store import Store, models
from automl_opt.store.views import VIEWS

ALL_TRIALS, ARMS, EPOCHS = 100_000, 5, 10
REPEATS = 7
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = {
    "question": "Which optimizer?",
    "[objective] metric": "accuracy",
    "[objective] direction": "maximize",
    "[search] trials": 1000,
    "[search] strategy": {"name": "tpe"},
    "[search] pruner": {"name": "median"},
    "[space] rest": "x" * 800,  # what else a study file says
}
ROLES = ("optimizer", "scheduler", "regularizer", "initializer")
ONE = {
    "hpo_v_curve": "AND metric = 'loss' AND split = 'valid' AND trial < 10",
    "hpo_v_confirmed_curve": "AND metric = 'loss' AND split = 'valid'",
}
"""What a dashboard asks of one study beyond its name; without an entry, every row of it."""
NOTHING = ("–", "–")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--storage", metavar="URL")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "views.db"
        with Store.open(given.storage or f"sqlite:///{file}") as store:
            if not store.studies():
                fill(store, given.studies)
            size = f", {file.stat().st_size / 2**20:.0f} MiB" if file.exists() else ""
            print(f"{ALL_TRIALS} trials in {given.studies} studies{size}\n")
            asking = ["one study", "one arm", "first 1000 of all", "all", "plain table"]
            print(f"| view | {' | '.join(f'{each}, ms | rows' for each in asking)} |")
            print("|---|" + "---:|---:|" * len(asking))
            with store.engine.connect() as connection:
                for view in VIEWS:
                    query = f"SELECT * FROM {view.name}"
                    one = f"{query} WHERE study = 'study 0' {ONE.get(view.name, '')}"
                    arms = any(column.name == "arm" for column in view.columns)
                    cells = [*asked(connection, one)]
                    cells += asked(connection, f"{one} AND arm = 'arm 1'") if arms else NOTHING
                    cells += asked(connection, f"{query} LIMIT 1000")
                    if view.name in ONE:
                        cells += NOTHING * 2
                    else:
                        cells += asked(connection, query)
                        connection.exec_driver_sql(f"CREATE TEMP TABLE plain AS {query}")
                        cells += asked(connection, "SELECT * FROM plain")
                        connection.exec_driver_sql("DROP TABLE plain")
                    print(f"| `{view.name}` | {' | '.join(cells)} |", flush=True)


def asked(connection: Connection, query: str) -> tuple[str, str]:
    """Median milliseconds until the last row is there, and how many rows."""
    clock = time.process_time if connection.dialect.name == "sqlite" else time.perf_counter
    times = []
    for _ in range(REPEATS):
        began = clock()
        rows = connection.exec_driver_sql(query).fetchall()
        times.append(1000 * (clock() - began))
    return f"{statistics.median(times):.1f}", str(len(rows))


def fill(store: Store, studies: int) -> None:
    with store.engine.begin() as connection:
        connection.execute(insert(models.environment), [{"sha256": "e", "json": '{"torch": "2"}'}])
        connection.execute(insert(models.metric), [{"name": "accuracy"}, {"name": "loss"}])
        connection.execute(insert(models.plugin), [component(role) for role in ROLES])
        for study in range(studies):
            fill_study(connection, study, ALL_TRIALS // (ARMS * studies))
            fill_verdict(connection, study)
    with store.engine.begin() as connection:
        connection.execute(text("ANALYZE"))


def component(role: str) -> dict[str, Any]:
    return {
        "kind": role,
        "name": f"builtin.{role}",
        "version": 1,
        "distribution": "automl-opt",
        "distribution_version": "0.1.0",
        "sha256": "0" * 64,
    }


def fill_study(connection: Connection, study: int, trials: int) -> None:
    ids = range(study * ARMS + 1, (study + 1) * ARMS + 1)
    connection.execute(
        insert(models.study),
        [
            {
                "study_id": study_id,
                "name": f"study {study}",
                "arm": f"arm {study_id % ARMS}",
                "spec_json": json.dumps(SPEC, sort_keys=True),
                "space_json": "[]",
                "space_hash": "0",
                "created_at": BEGAN,
            }
            for study_id in ids
        ],
    )
    runs = [
        run(study_id, number, (study_id - 1) * trials + number + 1)
        for study_id in ids
        for number in range(trials)
    ]
    connection.execute(insert(models.trial_run), runs)
    params = json.dumps({"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "lr": 0.001})
    connection.execute(
        insert(models.run_plugin),
        [
            {
                "run_id": each["run_id"],
                "role": role,
                "position": 0,
                "plugin_id": plugin_id,
                "params_json": params if role == "optimizer" else "{}",
            }
            for each in runs
            for plugin_id, role in enumerate(ROLES, 1)
        ],
    )
    for each in runs:
        connection.execute(insert(models.epoch_metric), list(curve(run_id=each["run_id"])))


def fill_verdict(connection: Connection, study: int) -> None:
    values = {"name": f"study {study}", "kind": "recipe", "number": 0, "plan_json": "{}"}
    now = {"created_at": BEGAN, "updated_at": BEGAN}
    connection.execute(insert(models.verdict).values(id=study + 1, **values, **now))
    recipes = [f"arm {arm} #0" for arm in range(3)]
    connection.execute(
        insert(models.verdict_run),
        [
            {
                "verdict_id": study + 1,
                "stage": "confirm",
                "recipe": recipe,
                "seed": seed,
                "seeds_json": "{}",
                "state": "complete",
                "value": 0.9 + seed / 1000,
                "metrics_json": "{}",
                "epochs": EPOCHS,
                "seconds": 1.5,
                "worker": "host:0",
                "device": "cpu",
                "ended_at": BEGAN,
                "env_id": 1,
            }
            for recipe in recipes
            for seed in range(30)
        ],
    )
    pair = {"leader": recipes[0], "alpha": 0.05, "wins": 7, "losses": 3, "ties": 0}
    connection.execute(
        insert(models.verdict_epoch),
        [
            row
            for recipe in recipes
            for seed in range(30)
            for row in curve(verdict_id=study + 1, stage="confirm", recipe=recipe, seed=seed)
        ],
    )
    connection.execute(
        insert(models.look),
        [
            {"verdict_id": study + 1, "seeds": seeds, "other": other, "outcome": "open", **pair}
            for other in recipes[1:]
            for seeds in (10, 20, 30)
        ],
    )
    told = {"kind": "budget", "evidence": "few trials", "advice": "more", "found_at": BEGAN}
    connection.execute(insert(models.finding), [{"name": f"study {study}", **told}])


def run(study_id: int, number: int, run_id: int) -> dict[str, Any]:
    """Of 20 trials one diverges, four are pruned and the rest are complete."""
    state = {0: "diverged", 1: "pruned", 2: "pruned", 3: "pruned", 4: "pruned"}.get(number % 20)
    return {
        "run_id": run_id,
        "study_id": study_id,
        "trial_id": run_id,
        "number": number,
        "attempt": 1,
        "state": state or "complete",
        "reason": "loss is not finite" if state == "diverged" else None,
        "seed": json.dumps(dict.fromkeys(("split", "initialisation", "order", "noise"), 12345678)),
        "recipe_json": json.dumps(
            {
                "accumulate": 1,
                "batch_size": 32,
                "model": {"width": 64},
                **{role: {"id": role, "params": {}, "rest": "x" * 80} for role in ROLES},
            }
        ),
        "value": 0.5 + (run_id * 7919 % 1000) / 2500,
        "epochs": EPOCHS,
        "from_epoch": 0,
        "seconds": 1.5,
        "worker": f"host:{run_id % 8}",
        "device": "cpu",
        "started_at": BEGAN + timedelta(seconds=number),
        "ended_at": BEGAN + timedelta(seconds=number + 2),
        "env_id": 1,
        "parts": "1,2,3,4",
    }


def curve(**of: Any) -> Iterator[dict[str, Any]]:
    """The epochs of the run with the key *of*."""
    for metric_id in (1, 2):
        for split in ("train", "valid"):
            for epoch in range(1, EPOCHS + 1):
                yield {
                    **of,
                    "metric_id": metric_id,
                    "split": split,
                    "epoch": epoch,
                    "value": 1.0 / epoch,
                    "seconds": 0.15,
                }


if __name__ == "__main__":
    main()
