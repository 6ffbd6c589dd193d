"""Workers that are actors of a Ray cluster. Imports Ray: for studies that ask for it alone."""

from __future__ import annotations

import logging
import math
import os
import re
import socket
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import RayError

from automl_opt.core.spec import StudySpec
from automl_opt.training.pool import Gone
from automl_opt.training.worker import Reply, Worker

PATIENCE_S = 60.0
"""So long may a cluster need for a worker before the user is told what it waits for."""

CONNECT_S = 5.0


class Actors:
    """See :class:`automl_opt.training.pool.Executor` for what the methods promise.

    An actor is never restarted by Ray: its trials would be gone with its memory, and who puts them
    elsewhere is the pool.

    Raises:
        SpecError: no cluster answers at the address, or none of its nodes has room for a worker.
    """

    sees_our_files = False

    def __init__(self, spec: StudySpec) -> None:
        self._ours = not ray.is_initialized()
        self._told = False
        if self._ours:
            _connect(spec)
        try:
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            self._gpus = gpus_per_worker(spec, sum(node.get("GPU", 0) for node in nodes))
            self._cpus = (spec.threads or 1) if not self._gpus else 1
            self._check_room(spec, nodes)
        except BaseException:
            self.close()
            raise

    def devices(self, spec: StudySpec) -> list[str]:
        """A worker sees the GPU that Ray gave it alone, so that all have the same name."""
        own = "cuda" if self._gpus else "cpu" if spec.device == "auto" else spec.device
        return [own] * spec.workers

    def start(self) -> WorkerActor:
        return WorkerActor(
            num_cpus=self._cpus, num_gpus=self._gpus, max_restarts=0, max_task_retries=0
        )

    def wait(self, links: Sequence[WorkerActor], timeout: float) -> list[WorkerActor]:
        answers = [link.coming for link in links]
        if not ray.wait(answers, timeout=timeout)[0]:
            self._tell_what_is_waited_for(links)
            return []
        ready, _ = ray.wait(answers, num_returns=len(answers), timeout=0)
        return [link for link in links if link.coming in ready]

    def close(self) -> None:
        if self._ours:
            ray.shutdown()

    @property
    def _wish(self) -> str:
        return f"{self._cpus:g} CPU and {self._gpus:g} GPU"

    def _check_room(self, spec: StudySpec, nodes: Sequence[Mapping[str, float]]) -> None:
        room = room_for(nodes, {"CPU": self._cpus, "GPU": self._gpus})
        if not room:
            raise spec.error(
                "[training] executor",
                f"no node of the Ray cluster has room for a worker, which asks for {self._wish}; "
                f"they have {'; '.join(map(_shown, nodes))}",
            )
        if room < spec.workers:
            warnings.warn(
                f"the Ray cluster has room for {room} of {spec.workers} workers, each of "
                f"{self._wish}; the others start when there is more",
                RuntimeWarning,
                stacklevel=2,
            )

    def _tell_what_is_waited_for(self, links: Sequence[WorkerActor]) -> None:
        since = time.monotonic() - PATIENCE_S
        if self._told or not all(link.started_at < since and not link.ready for link in links):
            return
        self._told = True
        warnings.warn(
            f"for {PATIENCE_S:g} s no worker has found room in the Ray cluster: each asks for "
            f"{self._wish}, and free are {_shown(ray.available_resources())}",
            RuntimeWarning,
            stacklevel=2,
        )


class WorkerActor:
    """An actor, and the answer that it owes.

    Args:
        options: what it asks the cluster for.
    """

    def __init__(self, **options: Any) -> None:
        actor: Any = ray.remote(**options)(Worker)
        self._actor = actor.remote()
        self.coming: Any = None
        self.ready = False
        self.started_at = time.monotonic()

    def send(self, method: str, *arguments: Any) -> None:
        self.coming = self._actor.do.remote(method, arguments)

    def answer(self) -> Reply:
        try:
            reply: Reply = ray.get(self.coming)
        except RayError as error:
            raise Gone(_ending(error)) from error
        self.ready = True
        return reply

    def end(self) -> None:
        """One that only could not be reached must not go on, either."""
        ray.kill(self._actor)


def room_for(nodes: Sequence[Mapping[str, float]], worker: Mapping[str, float]) -> int:
    """How many workers that ask for so much fit on *nodes*, were there nothing else on them."""
    asked = [(kind, amount) for kind, amount in worker.items() if amount]
    return sum(
        min(math.floor(node.get(kind, 0) / amount + 1e-9) for kind, amount in asked)
        for node in nodes
    )


def gpus_per_worker(spec: StudySpec, there: float) -> float:
    """The share of a GPU that a worker gets; 0: it trains on a CPU.

    Where *spec* does not say, a whole one while there are enough, else workers share evenly.

    Args:
        there: GPUs in the cluster.

    Raises:
        SpecError: the device and the share or the cluster do not go together.
    """
    share = spec.gpus_per_worker
    if ":" in spec.device:
        raise spec.error(
            "[training] device", f"{spec.device!r}: Ray chooses a worker's GPU; write 'cuda'"
        )
    if spec.device in ("cpu", "mps"):
        if share:
            raise spec.error("[training] gpus_per_worker", f"{share:g}, but device is 'cpu'")
        return 0
    if share is not None:
        if not share and spec.device == "cuda":
            raise spec.error("[training] gpus_per_worker", "0, but device is 'cuda'")
        return share
    if not there:
        if spec.device == "cuda":
            raise spec.error("[training] device", "'cuda' asked for, but the Ray cluster has none")
        return 0
    return math.floor(1e4 / math.ceil(spec.workers / there)) / 1e4  # Ray counts in 1/10000


def _connect(spec: StudySpec) -> None:
    """Join the cluster that is named, or start one on this machine; without a word."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    address = spec.ray_address or os.environ.get("RAY_ADDRESS")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not address or address == "local":
        cpus = spec.workers * (spec.threads or 1)
        ray.init("local", num_cpus=cpus, include_dashboard=False, **quiet)
        return
    try:
        if address != "auto":  # Ray itself goes on trying for minutes
            host, _, port = address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host, int(port)), CONNECT_S).close()
        ray.init(address, **quiet)
    except Exception as error:  # whatever a wrong address, token or version of Ray raises
        reason = str(error).strip().partition("\n")[0]
        raise spec.error(
            "[training] ray_address", f"{address!r}: no Ray cluster can be used there: {reason}"
        ) from error


def _shown(resources: Mapping[str, float]) -> str:
    return f"{resources.get('CPU', 0):g} CPU and {resources.get('GPU', 0):g} GPU"


def _ending(error: RayError) -> str:
    """The reason in a few words; Ray's own message has a page."""
    said = re.search(r"The actor (?:died|is dead) because (?:of )?(?:its )?([^.\n]+)", str(error))
    return said[1].strip() if said else str(error).partition("\n")[0]
