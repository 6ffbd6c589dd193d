"""What only several real processes can show."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from automl_opt.core.result import Status
from automl_opt.store import Store, schema

from .examples import report, start, trial

HERE = Path(__file__).parent


@pytest.mark.skipif(os.name != "posix", reason="needs a signal that cannot be caught")
@pytest.mark.parametrize("checkpoints", [1, 20])
def test_a_killed_writer_leaves_every_epoch_that_its_checkpoint_stands_on(url, checkpoints):
    with subprocess.Popen(
        [sys.executable, str(HERE / "writing_process.py"), url], stdout=subprocess.PIPE, text=True
    ) as process:
        for _ in range(checkpoints):
            told = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)

    with Store.open(url) as store:
        if store.engine.dialect.name == "sqlite":
            with store.engine.connect() as connection:
                assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
                assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        first, second = store.trials("digits")
        curve = store.curve(first.trial_id)

        assert (first.status, second.status) == (Status.RUNNING, Status.RUNNING)
        assert first.checkpoint_uri == f"file:{first.epochs}"
        assert first.epochs >= told
        written = [row.epoch for row in curve if (row.split, row.metric) == ("valid", "loss")]
        assert written == list(range(1, len(written) + 1))
        assert len(written) >= first.epochs
        assert len(curve) == 3 * len(written)

        start(store, trial(0), from_epoch=first.epochs)
        store.epoch(report(trial(0), first.epochs + 1))
        store.flush()
        assert max(row.epoch for row in store.curve(first.trial_id)) == first.epochs + 1


def test_two_processes_that_open_a_new_file_at_once_both_succeed(url, tmp_path):
    twins = [
        subprocess.Popen(
            [sys.executable, str(HERE / "opening_process.py"), url, str(tmp_path), str(me)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for me in range(2)
    ]
    said = [twin.communicate(timeout=120)[1] for twin in twins]

    assert [twin.returncode for twin in twins] == [0, 0], said
    assert schema.check(url).endswith("up to date")
