"""A small study in a folder, and the command line as a user starts it."""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
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
    """``python -m automl_opt ARGUMENTS`` in *folder*, one at a time."""
    if read_at_start(environment) != read_at_start(QUIET):
        words = [sys.executable, "-m", "automl_opt", *arguments]
        return command(words, folder, environment, timeout_s)
    request = {"arguments": arguments, "folder": str(folder), "environment": dict(environment)}
    server = ready()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        socket.send_fds(server, [json.dumps(request).encode()], [out.fileno(), err.fileno()])
        server.settimeout(timeout_s)
        with server.makefile() as answers:
            pid = int(answers.readline())
            try:
                code = int(answers.readline())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise
        for file in (out, err):
            file.seek(0)
        return Done(code, out.read().decode(), err.read().decode())


def read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    """Of an environment, what Python and its libraries look at as they begin."""
    begins = ("PYTHON", "OMP_", "MKL_", "LC_", "LANG", "TZ")
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(begins) and name != "PYTHONPATH"
    }


@functools.cache
def ready() -> socket.socket:
    """The socket of this process' own ``ready.py``, which ends with us."""
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("ready.py")), str(theirs.fileno())],
        env={name: value for name, value in QUIET.items() if name != "PYTHONPATH"},
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    atexit.register(_end, ours, process)
    return ours


def _end(server: socket.socket, process: subprocess.Popen[bytes]) -> None:
    server.close()
    process.wait()


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
