"""A small study in a folder, and the command line as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from automl_opt.plugin.host import ALLOW_LIST

STUDY = """
name = "line"
question = "Which optimizer fits a line?"
task = "task.py:line"

[space]
optimizer = ["adamw", "sgd"]

[search]
strategy = "random"
trials = 2

[training]
epochs = 2
device = "cpu"

[objective]
metric = "mse"
"""

TASK = """
import torch

from automl_opt import Task


def line():
    x = torch.linspace(-1, 1, 60).reshape(-1, 1)
    return Task(model=lambda: torch.nn.Linear(1, 1), data=(x, 2 * x), loss="mse", metrics=["mse"])
"""

QUIET = {**os.environ, ALLOW_LIST: "", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
"""An environment without other plugins, accelerators and needless threads."""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


def automl_opt(
    *arguments: str, folder: Path, environment: Mapping[str, str] = QUIET, timeout_s: float = 120
) -> Done:
    """``python -m automl_opt ARGUMENTS`` in *folder*."""
    return command([sys.executable, "-m", "automl_opt", *arguments], folder, environment, timeout_s)


def command(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] = QUIET,
    timeout_s: float = 120,
) -> Done:
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout_s
    )
    return Done(done.returncode, done.stdout, done.stderr)


def write_study(folder: Path, study: str = STUDY, task: str = TASK) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.toml").write_text(study, encoding="utf-8")
    (folder / "task.py").write_text(task, encoding="utf-8")
    return folder
