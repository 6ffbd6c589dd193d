"""Writes epochs and checkpoints as fast as it can until it is killed; run by the tests."""

import sys

from examples import report, save, start, trial

from automl_opt.store import Store

with Store.open(sys.argv[1]) as store:
    save(store)
    start(store, trial(0))
    start(store, trial(1))
    for epoch in range(1, 100_000):
        store.epoch(report(trial(0), epoch, loss=float(epoch)))
        store.epoch(report(trial(1), epoch, loss=float(epoch)))
        if epoch % 3 == 0:
            store.checkpoint(trial(0), f"file:{epoch}")
            print(epoch, flush=True)
