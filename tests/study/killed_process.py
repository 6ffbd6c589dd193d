"""Runs a study again and again, and kills each run with SIGKILL at the place that it is told.

    killed_process.py STUDY URL PLACE N PLACE N …

The process imports everything once and forks for each run. PLACE is one of PLACES, N the
how-manieth passing of it kills.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import wraps

import torch
from optuna.storages._rdb.models import TrialValueModel

from automl_opt.core.spec import load_study
from automl_opt.plugin.host import load_host
from automl_opt.search import storage
from automl_opt.search.arms import Arms, storage_at
from automl_opt.store import Store
from automl_opt.study import runner
from automl_opt.training.plain import PlainEngine

PLACES = {
    "before the trial is in the database": (storage.Storage, "begin_trial", False),
    "in the middle of writing the trial": (storage._Attrs, "insert", False),
    "after the trial is in the database": (storage.Storage, "begin_trial", True),
    "after the run has begun": (Store, "start_run", True),
    "before the checkpoint is written": (PlainEngine, "save", False),
    "after the checkpoint is written": (PlainEngine, "save", True),
    "after the checkpoint is known": (Store, "checkpoint", True),
    "before the result is in our tables": (Store, "finish", False),
    "after the result is in our tables": (Store, "finish", True),
    "in the middle of telling Optuna": (TrialValueModel, "value_to_stored_repr", False),
    "before Optuna knows the state": (storage.Storage, "end_trial", False),
    "after Optuna was told": (Arms, "tell", True),
}


def arm_bomb(place: str, countdown: int) -> None:
    owner, name, after = PLACES[place]
    original = getattr(owner, name)

    @wraps(original)
    def passing(*args, **kwargs):
        nonlocal countdown
        countdown -= 1
        if countdown == 0 and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        value = original(*args, **kwargs)
        if countdown == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return value

    setattr(owner, name, passing)


def warm_up() -> None:
    """Import what is imported on first use, once for all runs; no training, it may start threads"""
    with Store.open("sqlite://"), storage_at("sqlite://"):
        pass
    weight = torch.zeros(1, requires_grad=True)
    weight.grad = torch.zeros(1)
    torch.optim.SGD([weight]).step()


def main(study: str, url: str, *bombs: str) -> None:
    warm_up()
    host = load_host(allow=())
    spec = load_study(study, ["training.checkpoint_every=0"])
    for place, countdown in zip(bombs[::2], bombs[1::2], strict=True):
        child = os.fork()
        if child == 0:
            arm_bomb(place, int(countdown))
            with Store.open(url) as store:
                runner.run(spec, host=host, store=store)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            sys.exit(f"{place!r} was not passed {countdown} times: {status}")


if __name__ == "__main__":
    main(*sys.argv[1:])
