"""What goes wrong on the user's side ends in one to three lines that say where and what to do."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from .shell import QUIET, STUDY, TASK, automl_opt, write_study


@dataclass(frozen=True)
class Bad:
    """One thing a user may get wrong, and what the message must contain.

    Args:
        edit: text of the study file and what takes its place.
        task: the whole task file.
        add: at the end of the study file.
        spoil: what else is done to the folder first.
    """

    name: str
    says: tuple[str, ...]
    edit: tuple[str, str] = ("", "")
    add: str = ""
    task: str = TASK
    arguments: tuple[str, ...] = ("run", ".")
    spoil: Callable[[Path], object] = lambda folder: None


def lr(range_: str) -> str:
    return f"\n[ranges.optimizer.adamw]\nlr = {range_}\n"


def network(model: str, y: str, loss: str, metrics: str = "[]") -> str:
    return f"""
import torch
from torch import nn
from torch.nn import functional
from automl_opt import Task


class Curve(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(1, 4), nn.Linear(4, 1)

    def forward(self, x):
        return self.last(functional.relu(self.first(x)))


def line():
    x = torch.linspace(-1, 1, 60).reshape(-1, 1)
    return Task(model=lambda: {model}, data=(x, {y}), loss={loss!r}, metrics={metrics})
"""


def newer(folder: Path) -> None:
    with sqlite3.connect(folder / "automl_opt.db") as database:
        database.execute("UPDATE hpo_alembic_version SET version_num = '9999'")


BAD = [
    # names, keys and values of the study file
    Bad(
        "an unknown optimizer",
        (
            "study.toml, [space] optimizer: ",
            "'adamv'",
            "did you mean 'builtin.adamw'?",
            "allowed: ",
        ),
        edit=('"adamw"', '"adamv"'),
    ),
    Bad(
        "an unknown strategy",
        ("study.toml, [search] strategy: ", "'randon'", "did you mean 'builtin.random'?"),
        edit=('strategy = "random"', 'strategy = "randon"'),
    ),
    Bad(
        "an unknown component in the ranges",
        ("study.toml, [ranges.optimizer] adamv: ", "did you mean 'builtin.adamw'?"),
        add=lr("0.1").replace("adamw", "adamv"),
    ),
    Bad(
        "an unknown parameter in the ranges",
        ("study.toml, [ranges.optimizer.adamw] lr_: ", "did you mean 'lr'?"),
        add=lr("0.1").replace("lr", "lr_"),
    ),
    Bad(
        "a misspelt key",
        ("study.toml, [training] epoch: ", "did you mean 'epochs'?"),
        edit=("epochs = 2", "epoch = 2"),
    ),
    Bad(
        "a misspelt table",
        ("study.toml, serach: ", "did you mean 'search'?"),
        edit=("[search]", "[serach]"),
    ),
    Bad(
        "a missing key",
        ("study.toml, [space] optimizer: is missing", "optimiser"),
        edit=("optimizer = [", "optimiser = ["),
    ),
    Bad(
        "a text for a number",
        ("study.toml, [training] epochs: ", "whole number", "'two'"),
        edit=("epochs = 2", 'epochs = "two"'),
    ),
    Bad(
        "a number for a text",
        ("study.toml, name: ", "text", "3"),
        edit=('name = "line"', "name = 3"),
    ),
    Bad(
        "an empty range",
        ("study.toml, [space] batch_size: ", "empty"),
        edit=("[search]", "batch_size = []\n[search]"),
    ),
    Bad(
        "no candidates",
        ("study.toml, [space] optimizer: must name at least one",),
        edit=('["adamw", "sgd"]', "[]"),
    ),
    Bad(
        "an inverted range",
        ("study.toml, [ranges.optimizer.adamw] lr: ", "0.1", "0.01"),
        add=lr("{ low = 0.1, high = 0.01 }"),
    ),
    Bad(
        "a logarithmic range from 0",
        ("study.toml, [ranges.optimizer.adamw] lr: ", "log", "above 0"),
        add=lr("{ low = 0, high = 0.01, log = true }"),
    ),
    Bad(
        "a prior outside of its range",
        ("study.toml, [ranges.optimizer.adamw] lr: ", "prior: center 5.0 lies outside [0.0001, "),
        add=lr("{ prior = { center = 5, spread = 2 } }"),
    ),
    Bad(
        "a misspelt key of a prior",
        ("study.toml, [ranges.optimizer.adamw] lr: ", "'centre'", "did you mean 'center'?"),
        add=lr("{ prior = { centre = 0.001, spread = 2 } }"),
    ),
    Bad(
        "a prior without a spread",
        ("study.toml, [ranges.optimizer.adamw] lr: ", "lacks 'spread'"),
        add=lr("{ prior = { center = 0.001 } }"),
    ),
    Bad(
        "a prior that is one number",
        ("study.toml, [ranges.optimizer.adamw] lr: ", "{center = …, spread = …}, not 0.001"),
        add=lr("{ prior = 0.001 }"),
    ),
    Bad(
        "a spread on a log scale that is no factor",
        ("study.toml, [ranges.optimizer.adamw] lr: ", "a factor above 1 on a log scale, not 0.5"),
        add=lr("{ prior = { center = 0.001, spread = 0.5 } }"),
    ),
    Bad(
        "a spread of nothing",
        ("study.toml, [ranges.optimizer.adamw] beta1: ", "spread must be above 0, not 0"),
        add=lr("{ prior = { center = 0.9, spread = 0 } }").replace("lr", "beta1"),
    ),
    Bad(
        "a prior for the batch size that is no whole number",
        ("study.toml, [space] batch_size: ", "center must be a whole number, not 12.5"),
        edit=(
            "[search]",
            "batch_size = { low = 8, high = 32, prior = { center = 12.5, spread = 2 } }\n[search]",
        ),
    ),
    Bad(
        "a prior for choices",
        ("study.toml, [ranges.scheduler.one_cycle] shape: ", "has no range, only the choices"),
        add="\n[ranges.scheduler.one_cycle]\nshape = { prior = { center = 0, spread = 1 } }\n",
    ),
    Bad(
        "no trials",
        ("study.toml, [search] trials: must be at least 1, not 0",),
        edit=("trials = 2", "trials = 0"),
    ),
    Bad(
        "no epochs",
        ("study.toml, [training] epochs: must be at least 1, not 0",),
        edit=("epochs = 2", "epochs = 0"),
    ),
    Bad(
        "no time",
        ("study.toml, [search] time_limit: must be above 0, not '0s'",),
        arguments=("run", ".", "--time", "0s"),
    ),
    Bad(
        "a time that is none",
        ("study.toml, [search] time_limit: 'soon' is no duration", "10m"),
        arguments=("run", ".", "--time", "soon"),
    ),
    Bad(
        "an unknown device name",
        ("study.toml, [training] device: 'gpu'", "cuda"),
        arguments=("run", ".", "--device", "gpu"),
    ),
    # files
    Bad(
        "no study file",
        ("nowhere", "no such study file"),
        arguments=("run", "nowhere"),
    ),
    Bad(
        "a study file that is no TOML",
        ("study.toml: is no TOML", "line 2"),
        edit=('name = "line"', "name = line"),
    ),
    Bad(
        "a study file that is no text",
        ("study.toml: cannot be read", "utf-8"),
        spoil=lambda folder: (folder / "study.toml").write_bytes(b"\xff\xfe"),
    ),
    Bad(
        "no task file",
        ("study.toml, task: there is no file", "did you mean 'task.py'?"),
        edit=("task.py:", "tasks.py:"),
    ),
    Bad(
        "no task module",
        ("study.toml, task: there is no module 'no_such_module'",),
        edit=("task.py:line", "no_such_module:line"),
    ),
    Bad(
        "no task function",
        ("study.toml, task: task.py has no function 'lines'", "did you mean 'line'?"),
        edit=("task.py:line", "task.py:lines"),
    ),
    # the task
    Bad(
        "a task that raises on import",
        ("study.toml, task: ", "ModuleNotFoundError: No module named 'no_such_data'", "task.py:3"),
        task=TASK.replace("import torch\n", "import torch\nimport no_such_data\n"),
    ),
    Bad(
        "a task with a syntax error",
        ("study.toml, task: ", "SyntaxError", "task.py"),
        task=TASK.replace("def line()", "def line("),
    ),
    Bad(
        "a task that raises when called",
        ("study.toml, task: task.py:line raised ", "OSError: the disk is gone", "task.py:"),
        task=TASK.replace("    x = ", '    raise OSError("the disk is gone")\n    x = '),
    ),
    Bad(
        "a task function that returns no task",
        ("study.toml, task: task.py:line must return an automl_opt.Task, not None",),
        task=TASK.replace("return ", ""),
    ),
    Bad(
        "an unknown loss",
        ("study.toml, task: ", "no loss named 'msee'", "did you mean 'mse'?"),
        task=TASK.replace('loss="mse"', 'loss="msee"'),
    ),
    Bad(
        "data of two lengths",
        ("study.toml, task: ", "60 examples in x", "59 in y"),
        task=TASK.replace("2 * x)", "2 * x[1:])"),
    ),
    Bad(
        "a model that does not fit the data",
        ("study.toml, task: task.py:line", "shape"),
        task=TASK.replace("Linear(1, 1)", "Linear(2, 1)"),
    ),
    Bad(
        "outputs that do not fit the loss",
        ("study.toml, task: task.py:line", "[12, 3]", "[12, 2]"),
        task=TASK.replace("Linear(1, 1)", "Linear(1, 3)").replace("2 * x)", "x.repeat(1, 2))"),
    ),
    Bad(
        "outputs that would be broadcast against the targets",
        ("study.toml, task: task.py:line", "[12, 1]", "[12]"),
        task=TASK.replace("2 * x)", "2 * x[:, 0])"),
    ),
    Bad(
        "a loss for other targets",
        ("study.toml, task: task.py:line",),
        task=TASK.replace('loss="mse"', 'loss="nll"'),
    ),
    Bad(
        "a model that is none",
        ("study.toml, task: task.py:line", "no torch.nn.Module"),
        task=TASK.replace("lambda: torch.nn.Linear(1, 1)", "lambda: 3"),
    ),
    Bad(
        "label smoothing of another loss",
        ("study.toml, [space] regularizer: builtin.label_smoothing", "cross_entropy", "mse"),
        edit=("[search]", 'regularizer = ["label_smoothing"]\n[search]'),
        spoil=lambda folder: (folder / "automl_opt.db").unlink(),
    ),
    Bad(
        "dropout for a model that has no place for it",
        ("study.toml, ", "dropout: Curve has neither a dropout module nor an activation", "leave"),
        edit=("[search]", 'regularizer = ["dropout"]\n[search]'),
        task=network("Curve()", "2 * x", "mse", '["mse"]'),
        spoil=lambda folder: (folder / "automl_opt.db").unlink(),
    ),
    Bad(
        "an unknown metric",
        ("study.toml, [objective] metric: ", "'mze'", "did you mean 'mse'?", "loss"),
        edit=('metric = "mse"', 'metric = "mze"'),
    ),
    Bad(
        "a device that is not there",
        ("study.toml, [training] device: 'cuda'", "no CUDA device"),
        arguments=("run", ".", "--device", "cuda"),
    ),
    # the database
    Bad(
        "a folder for a database",
        ("sqlite:///data", "data is a folder"),
        arguments=("run", ".", "--storage", "sqlite:///data"),
        spoil=lambda folder: (folder / "data").mkdir(),
    ),
    Bad(
        "a database in no folder",
        ("sqlite:///no/where.db", "folder no does not exist"),
        arguments=("run", ".", "--storage", "sqlite:///no/where.db"),
    ),
    Bad(
        "a file that is no database",
        ("sqlite:///task.py", "no SQLite database"),
        arguments=("run", ".", "--storage", "sqlite:///task.py"),
    ),
    Bad(
        "a read-only database",
        ("automl_opt.db", "read-only"),
        arguments=("run", ".", "--storage", "sqlite:///file:automl_opt.db?mode=ro&uri=true"),
    ),
    Bad(
        "a database of an unknown kind",
        ("nosuchsql://host/db", "no driver", "sqlite:///file.db"),
        arguments=("run", ".", "--storage", "nosuchsql://host/db"),
    ),
    Bad(
        "a database URL that is none",
        ("'study.db' is no database URL", "sqlite:///file.db"),
        arguments=("run", ".", "--storage", "study.db"),
    ),
    Bad(
        "a database of a newer version",
        ("sqlite:///automl_opt.db", "9999", "upgrade automl-opt"),
        spoil=newer,
    ),
    Bad(
        "a report on a database that is not there",
        ("sqlite:///other.db", "no such file", "run the study first"),
        arguments=("report", ".", "--storage", "sqlite:///other.db"),
    ),
    Bad(
        "a report on a study that is not there",
        ("sqlite:///automl_opt.db holds no study 'curve'; it holds: line",),
        edit=('name = "line"', 'name = "curve"'),
        arguments=("report", "."),
    ),
    # a study that is not the one the database began
    Bad(
        "other epochs than the study began with",
        ("study.toml, [training] epochs: is 3", "'line'", "began with 2", "--storage"),
        edit=("epochs = 2", "epochs = 3"),
    ),
    Bad(
        "another range than the study began with",
        ("study.toml, arm 'adamw': ", "optimizer.lr", "0.5", "began with"),
        add=lr("{ low = 0.001, high = 0.5 }"),
    ),
    # the command line
    Bad(
        "a setting without a value",
        ("--set training.epochs: write section.key=value",),
        arguments=("run", ".", "--set", "training.epochs"),
    ),
    Bad(
        "a setting of an unknown key",
        ("[training] epoch: no such key; did you mean 'epochs'?",),
        arguments=("run", ".", "--set", "training.epoch=3"),
    ),
    Bad(
        "a setting whose key is none",
        ("--set a b=3: 'a b' is no key",),
        arguments=("run", ".", "--set", "a b=3"),
    ),
    Bad(
        "a setting below a value",
        ("--set name.first=3: 'name' is a value",),
        arguments=("run", ".", "--set", "name.first=3"),
    ),
    Bad(
        "an unknown option",
        ("--trails", "--trials", "'automl-opt run --help'"),
        arguments=("run", ".", "--trails", "3"),
    ),
    Bad(
        "a number that is none",
        ("--trials", "'many'", "'automl-opt run --help'"),
        arguments=("run", ".", "--trials", "many"),
    ),
    Bad(
        "an unknown command",
        ("no command named 'rum'; did you mean 'run'?", "report", "'automl-opt --help'"),
        arguments=("rum", "."),
    ),
    Bad(
        "an unknown command of a group",
        ("no command named 'lits'; did you mean 'list'?", "show"),
        arguments=("plugins", "lits"),
    ),
    Bad(
        "an unknown component to show",
        ("no component named 'adamv'; did you mean 'builtin.adamw'?",),
        arguments=("plugins", "show", "adamv"),
    ),
    Bad(
        "an unknown kind of component",
        ("--kind", "no kind 'optimizers'; did you mean 'optimizer'?"),
        arguments=("plugins", "list", "--kind", "optimizers"),
    ),
]


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if file.suffix not in (".db-wal", ".db-shm")}


def rows(folder: Path) -> list[str]:
    file = folder / "automl_opt.db"
    if not file.exists():
        return []
    database = sqlite3.connect(file)
    try:
        return list(database.iterdump())
    finally:
        database.close()


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_bad_input_ends_with_code_2_and_a_short_message_and_loses_nothing(bad, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "bad")
    study = STUDY.replace(*bad.edit) if bad.edit[0] else STUDY
    (folder / "study.toml").write_text(study + bad.add)
    (folder / "task.py").write_text(bad.task)
    bad.spoil(folder)
    files, before = names(folder), rows(folder)

    done = automl_opt(*bad.arguments, folder=folder)

    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    assert [words for words in bad.says if words not in done.err] == [], done.err
    assert 1 <= len(done.err.strip().splitlines()) <= 3, done.err
    assert done.out == ""
    if before:
        assert rows(folder) == before
    assert names(folder) - files <= {"automl_opt.db"}


def test_debug_shows_where_an_error_was_raised(finished):
    done = automl_opt("run", ".", "--debug", "--trials", "0", folder=finished)

    assert done.code == 1
    assert "Traceback" in done.err
    assert done.err.strip().endswith("study.toml, [search] trials: must be at least 1, not 0")


def test_a_finished_study_accepts_more_trials_and_a_new_arm(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "more")
    with_an_arm = STUDY.replace('"sgd"', '"sgd", "adam"')
    (folder / "study.toml").write_text(with_an_arm)

    done = automl_opt("run", ".", "--trials", "3", folder=folder)

    assert done.code == 0
    assert "3 arms, 9 trials, 4 of them done" in done.err
    assert "[9/9]" in done.err


def test_bad_input_beside_a_terminal_of_another_encoding_is_still_told(finished, tmp_path):
    folder = write_study(tmp_path / "study", STUDY.replace('"line"', '"Fünf Läufe"', 1))

    done = automl_opt("run", ".", folder=folder, environment={**QUIET, "PYTHONIOENCODING": "ascii"})

    assert done.code == 2
    assert "name" in done.err
    assert "Traceback" not in done.err
