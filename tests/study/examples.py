"""A small, quick study in a folder, and everything its database says once it has run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna

from automl_opt.core.spec import load_study
from automl_opt.plugin.host import ALLOW_LIST, Host
from automl_opt.search.arms import storage_at
from automl_opt.store import Store, TrialRow
from automl_opt.study import runner
from automl_opt.study.progress import Progress

NAME = "clouds"

STUDY = """
name = "clouds"
task = "task.py:clouds"

[space]
optimizer = ["sgd", "adamw"]
scheduler = ["constant", "cosine"]
regularizer = ["l2"]
batch_size = [16, 32]

[search]
trials = 8
strategy = {{ name = "tpe", n_startup_trials = 3 }}
pruner = {pruner}

[training]
epochs = 5
device = "cpu"
"""

MEDIAN = '{ name = "median", n_startup_trials = 2 }'
HYPERBAND = '"hyperband"'

TASK = """
import torch
from torch import nn

from automl_opt import Int, Task


def mlp(width):
    return nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 3))


def clouds():
    rng = torch.Generator().manual_seed(7)
    y = torch.arange({points}) % 3
    x = torch.randn({points}, 4, generator=rng) + 0.7 * y[:, None]
    return Task(
        model=mlp,
        data=(x, y),
        metrics=["accuracy"],
        params={{"width": Int(2, 16, log=True, default=4)}},
    )
"""


def write_study(folder: Path, *, points: int = 240, pruner: str = MEDIAN) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "study.toml").write_text(STUDY.format(pruner=pruner))
    (folder / "task.py").write_text(TASK.format(points=points))
    return folder


def run(
    study: Path, url: str, *settings: str, host: Host, progress: Progress | None = None
) -> runner.Outcome:
    with Store.open(url) as store:
        return runner.run(load_study(study, settings), host=host, store=store, progress=progress)


def start(study: Path, url: str, *settings: str) -> subprocess.Popen[str]:
    """``automl-opt run`` in a process of its own, past its start: it is about to train."""
    options = [word for setting in settings for word in ("--set", setting)]
    process = subprocess.Popen(
        [sys.executable, "-m", "automl_opt", "run", str(study), "--storage", url, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, ALLOW_LIST: ""},
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith(f"study {NAME}:"), line + process.stderr.read()
    return process


def rows_of(url: str) -> list[TrialRow]:
    with Store.open(url, must_exist=True) as store:
        return store.trials(NAME)


def contents(url: str) -> dict[str, Any]:
    """What Optuna's tables and ours say, but for ids, times, workers and attempts."""
    with Store.open(url, must_exist=True) as store:
        arms = [row.arm for row in store.studies(NAME)]
        rows = store.trials(NAME)
        ours = {
            (row.arm, row.number): {
                "status": row.status,
                "reason": row.reason,
                "value": row.value,
                "epochs": row.epochs,
                "recipe": json.loads(row.recipe_json),
                "seeds": row.seeds_json,
                "checkpoint": row.checkpoint_uri,
                "curve": [(p.epoch, p.split, p.metric, p.value) for p in store.curve(row.trial_id)],
            }
            for row in rows
        }
    with storage_at(url) as storage:
        theirs = {
            (arm, trial.number): {
                "state": trial.state.name,
                "values": trial.values,
                "params": trial.params,
                "intermediate": trial.intermediate_values,
                "user": trial.user_attrs,
                "system": trial.system_attrs,
            }
            for arm in arms
            for trial in optuna.load_study(study_name=f"{NAME}/{arm}", storage=storage).trials
        }
    return {"ours": ours, "optuna": theirs}


def differences(found: dict[str, Any], expected: dict[str, Any]) -> dict[tuple[Any, ...], Any]:
    """What two :func:`contents` say differently, trial by trial, short enough to be read whole."""
    return {
        (tables, *trial, key): (values.get(key), expected[tables].get(trial, {}).get(key))
        for tables in expected
        for trial, values in found[tables].items()
        for key in values
        if values[key] != expected[tables].get(trial, {}).get(key)
    }
