"""Runs a study with several slots again and again, and kills each run after a while.

    killed_together.py STUDY URL SLOTS MOMENT MOMENT …

The process imports everything once and forks for each run; MOMENT counts seconds from the first
trial of the run. A stack begins with two trials of a kind, which is not measured: a study this
small would measure that none pays.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from killed_process import warm_up

from automl_opt.core.spec import load_study
from automl_opt.plugin.host import load_host
from automl_opt.store import Store
from automl_opt.study import runner
from automl_opt.training.fused import choose


def main(study: str, url: str, slots: str, *moments: str) -> None:
    warm_up()
    choose.measured = lambda *_: choose.Sizes(2)
    host = load_host(allow=())
    for number, moment in enumerate(moments):
        every = 0 if number % 2 == 0 else 30
        settings = [f"training.together={slots}", f"training.checkpoint_every={every}"]
        spec = load_study(study, [*settings, "ranges.model.width=6"])
        child = os.fork()
        if child == 0:
            with Store.open(url) as store:
                runner.run(spec, host=host, store=store)
            os._exit(0)
        time.sleep(float(moment))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print("killed" if os.WIFSIGNALED(status) else "ended", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
