"""Workers that are processes of this machine, each at the other end of a pipe."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from typing import Any

import torch

from automl_opt.core.spec import StudySpec
from automl_opt.training.engine import find_device
from automl_opt.training.pool import Gone
from automl_opt.training.worker import Reply, Worker


def workers_here(spec: StudySpec) -> int:
    """As many as this machine can train with: one a GPU, else one for as many cores as it uses.

    No core is kept for the process that asks for trials: while they train it waits.

    Raises:
        SpecError: the study's workers are not processes of this machine, or its device is not here.
    """
    if spec.executor != "processes":
        raise spec.error(
            "[training] workers",
            f"'auto' counts what this machine has; with executor = {spec.executor!r} name a number",
        )
    device = find_device(spec)
    if device.type == "cuda":
        return torch.cuda.device_count() if spec.device in ("auto", "cuda") else 1
    if device.type != "cpu":
        return 1
    may_use = getattr(os, "sched_getaffinity", None)
    cores = len(may_use(0)) if may_use else os.cpu_count() or 1
    return max(1, cores // (spec.threads or 1))


class Processes:
    """See :class:`automl_opt.training.pool.Executor` for what the methods promise."""

    sees_our_files = True

    def devices(self, spec: StudySpec) -> list[str]:
        """On a machine with several GPUs the workers take turns, unless *spec* names one."""
        device = find_device(spec)
        if spec.device in ("auto", "cuda") and device.type == "cuda":
            return [f"cuda:{n % torch.cuda.device_count()}" for n in range(spec.workers)]
        return [str(device)] * spec.workers

    def start(self) -> WorkerProcess:
        return WorkerProcess()

    def wait(self, links: Sequence[WorkerProcess], timeout: float) -> list[WorkerProcess]:
        ready = connection.wait([link.pipe for link in links], timeout)
        return [link for link in links if link.pipe in ready]

    def close(self) -> None:
        """Every process has been ended by itself."""


class WorkerProcess:
    """A process that shares neither threads nor CUDA's state with this one.

    Where there is a fork server, it has imported all that takes seconds, and a worker has it from
    there.
    """

    def __init__(self) -> None:
        ways = multiprocessing.get_all_start_methods()
        way = "forkserver" if "forkserver" in ways else "spawn"
        context: Any = multiprocessing.get_context(way)
        context.set_forkserver_preload([__name__])
        self.pipe, there = context.Pipe()
        self._process = context.Process(target=serve, args=(there,))
        self._process.start()
        there.close()

    def send(self, method: str, *arguments: Any) -> None:
        with suppress(OSError):  # it is gone, which is found out when the answer is read
            self.pipe.send((method, arguments))

    def answer(self) -> Reply:
        try:
            reply: Reply = self.pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            raise Gone(_ending(self._process.exitcode)) from None
        return reply

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()


def serve(pipe: Connection) -> None:
    """Be a worker: answer what comes from *pipe* until it is closed."""
    for each in (signal.SIGINT, signal.SIGTERM):  # they are for the study's process to act on
        signal.signal(each, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout = sys.stderr  # what a task prints must not get between the lines of a --json
    worker = Worker()
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            return
        pipe.send(worker.do(method, arguments))


def _end_with_parent() -> None:
    """A study that was killed leaves no worker behind, not even one in the middle of an epoch."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name}, as when memory runs out" if name == "SIGKILL" else name
