"""On PostgreSQL a study ends as it does in a file of SQLite, whatever kills it on the way."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna
import pytest

from automl_opt.core.errors import StoreError
from automl_opt.study.progress import Progress

from .examples import MEDIAN, NAME, contents, rows_of, run, start, write_study
from .killed_process import PLACES


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path / "study", pruner=MEDIAN)


@pytest.fixture
def in_sqlite(study, tmp_path, host):
    url = f"sqlite:///{tmp_path}/undisturbed.db"
    run(study, url, host=host)
    return contents(url)


@pytest.fixture
def url(postgresql, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where a study in a server's database keeps its checkpoints
    return postgresql.new_database()


def test_a_study_is_the_same_on_both_and_plain_optuna_reads_it(study, in_sqlite, url, host):
    run(study, url, host=host)

    assert contents(url) == in_sqlite
    plain = optuna.load_study(study_name=f"{NAME}/sgd", storage=url)
    try:
        theirs = [trial.params for trial in plain.trials]
    finally:
        plain._storage._backend.engine.dispose()
    expected = [trial["params"] for (arm, _), trial in in_sqlite["optuna"].items() if arm == "sgd"]
    assert theirs == expected


class Fills(Progress):
    """Fills a disk once some epochs have ended; then its server does not even let anyone in.

    Without the file of its own that a PostgreSQL server keeps for that, which it now and then
    drops and cannot write anew.
    """

    def __init__(self, disk: Path) -> None:
        self.disk, self.filler, self.left = disk, disk / "filler", 7

    def epoch(self, report):
        self.left -= 1
        if self.left == 0:
            for file in self.disk.rglob("pg_internal.init"):
                file.unlink()
            with contextlib.suppress(OSError), self.filler.open("wb", buffering=0) as stream:
                while stream.write(bytes(1 << 12)) == 1 << 12:
                    pass


@pytest.fixture
def small_disk():
    """A folder on a disk of its own, of 32 MiB, where only root may make one."""
    folder = Path(tempfile.mkdtemp(prefix="automl_opt-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        folder.rmdir()
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
    folder.rmdir()


def test_a_study_whose_server_ran_out_of_disk_goes_on_as_the_undisturbed_one(
    study, in_sqlite, postgresql, small_disk, host, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    progress = Fills(small_disk)

    with postgresql.database_in(small_disk) as url:
        with pytest.raises(StoreError, match="the server's disk is full") as caught:
            run(study, url, host=host, progress=progress)
        with pytest.raises(StoreError, match="its disk may be full") as shut_out:
            rows_of(url)
        progress.filler.unlink()
        kept = contents(url)["ours"]
        run(study, url, host=host)
        found = contents(url)

    assert "\n" not in f"{caught.value}{shut_out.value}"
    assert found == in_sqlite
    ended = {key for key, trial in kept.items() if trial["status"].is_final}
    assert 0 < len(ended) < len(in_sqlite["ours"])
    assert all(kept[key] == in_sqlite["ours"][key] for key in ended)


@pytest.mark.skipif(os.name != "posix", reason="needs a signal that nobody can catch")
def test_a_study_killed_everywhere_ends_as_the_undisturbed_one(study, in_sqlite, url, host):
    harness = Path(__file__).with_name("killed_process.py")
    bombs = [word for place in PLACES for word in (place, "1")]

    subprocess.run([sys.executable, str(harness), str(study), url, *bombs], check=True)
    process = start(study, url)
    time.sleep(0.05)
    process.kill()
    process.communicate()
    again = [row for row in rows_of(url) if row.attempt > 1]
    run(study, url, "training.checkpoint_every=0", host=host)

    assert process.returncode == -signal.SIGKILL
    assert any(row.from_epoch > 0 for row in again)
    assert contents(url) == in_sqlite
    assert all(row.status.is_final for row in rows_of(url))
    assert not list(Path().rglob("*.pt"))
