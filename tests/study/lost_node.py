"""Runs a study on a Ray cluster of two nodes with a worker each, and loses one, then the other's.

    lost_node.py STUDY URL SETTING …

The second node is lost as soon as both workers train, the last worker's process is killed some
epochs later. Prints what the run had to say, a line each. The study's task leaves a file
``*.opened`` where a process has called it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from ray.cluster_utils import Cluster

from automl_opt.core.spec import load_study
from automl_opt.plugin.host import load_host
from automl_opt.store import Store
from automl_opt.study import runner
from automl_opt.study.progress import Progress


def actors_of(node) -> list[int]:
    [raylet] = node.all_processes["raylet"]
    listed = Path(f"/proc/{raylet.process.pid}").glob("task/*/children")
    pids = [int(pid) for file in listed for pid in file.read_text().split()]
    return [p for p in pids if Path(f"/proc/{p}/cmdline").read_bytes().startswith(b"ray::Worker")]


class Losing(Progress):
    def __init__(self, cluster: Cluster, study: Path) -> None:
        self.cluster, self.study = cluster, study
        self.killed = False
        self.epochs: dict[str, int] = {}  # of the trials in training
        self.since_loss: int | None = None

    def epoch(self, report) -> None:
        self.epochs[str(report.trial)] = report.epoch
        if report.finished:
            del self.epochs[str(report.trial)]
        give_up_at = time.monotonic() + 60
        while len(list(self.study.glob("*.opened"))) < 3:  # of this process and two workers
            assert time.monotonic() < give_up_at, "there is one worker"
            time.sleep(0.05)
        if self.since_loss is not None:
            self.since_loss += 1
            if self.since_loss >= 23 and not report.finished and not self.killed:
                self.killed = True
                [pid] = actors_of(self.cluster.head_node)
                os.kill(pid, signal.SIGKILL)
        # the last report of neither can be on its way
        elif len(self.epochs) == 2 and max(self.epochs.values()) <= 3:
            self.since_loss = 0
            [node] = self.cluster.worker_nodes
            assert len(actors_of(node)) == 1
            self.cluster.remove_node(node, allow_graceful=False)

    def noted(self, text: str) -> None:
        print(text)


def main(study: str, url: str, *settings: str) -> None:
    head = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1)
    spec = load_study(study, [*settings, f"training.ray_address={cluster.address}"])
    with Store.open(url) as store:
        progress = Losing(cluster, Path(study))
        runner.run(spec, host=load_host(allow=()), store=store, progress=progress)
    cluster.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
