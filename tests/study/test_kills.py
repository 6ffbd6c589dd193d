"""Whatever kills a run, the same command goes on, and ends where an undisturbed run ends."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from .examples import HYPERBAND, MEDIAN, contents, rows_of, run, start, write_study
from .killed_process import PLACES

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a signal that nobody can catch")

PRUNERS = pytest.mark.parametrize("pruner", [MEDIAN, HYPERBAND], ids=["median", "hyperband"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, host):
    """``undisturbed(points, pruner)``: a study, and the contents of a database it ran into."""
    known = {}

    def of(points, pruner):
        if (points, pruner) not in known:
            folder = tmp_path_factory.mktemp("undisturbed")
            study = write_study(folder / "study", points=points, pruner=pruner)
            url = f"sqlite:///{folder}/undisturbed.db"
            assert run(study, url, host=host).ranking.finished
            known[points, pruner] = (study, contents(url))
        return known[points, pruner]

    return of


def assert_nothing_is_left(url):
    folder = Path(url.removeprefix("sqlite:///")).with_suffix(".checkpoints")
    assert not folder.exists()
    assert all(row.status.is_final for row in rows_of(url))


@PRUNERS
def test_a_study_killed_at_random_moments_ends_as_the_undisturbed_one(
    undisturbed, host, tmp_path, pruner
):
    study, expected = undisturbed(1500, pruner)
    url = f"sqlite:///{tmp_path}/killed.db"
    moments = random.Random(pruner)
    ended, codes = {}, []

    for kill in range(5):
        process = start(study, url, f"training.checkpoint_every={[0, 30][kill % 2]}")
        try:
            process.wait(moments.uniform(0.02, 0.5))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        codes.append(process.returncode)
        rows = rows_of(url)
        for row in rows:
            if row.status.is_final:
                ended.setdefault(row.trial_id, (row.run_id, row.ended_at))
    killed = Counter(row.status for row in rows)
    outcome = run(study, url, host=host)

    assert codes[0] == -signal.SIGKILL
    assert outcome.stopped is None
    assert outcome.ranking.finished
    assert contents(url) == expected, killed
    assert_nothing_is_left(url)
    rows = {row.trial_id: (row.run_id, row.ended_at) for row in rows_of(url)}
    assert {trial_id: rows[trial_id] for trial_id in ended} == ended


@pytest.mark.parametrize(
    ("pruner", "order"), [(MEDIAN, 1), (HYPERBAND, -1)], ids=["median", "hyperband-backwards"]
)
def test_a_study_killed_at_every_place_ends_as_the_undisturbed_one(
    undisturbed, host, tmp_path, pruner, order
):
    """Runs one after the other, each of them killed somewhere else."""
    study, expected = undisturbed(240, pruner)
    url = f"sqlite:///{tmp_path}/killed.db"
    bombs = [word for place in list(PLACES)[::order] for word in (place, "1")]

    harness = Path(__file__).with_name("killed_process.py")
    subprocess.run([sys.executable, str(harness), str(study), url, *bombs], check=True)
    before = rows_of(url)
    run(study, url, "training.checkpoint_every=0", host=host)

    assert contents(url) == expected
    assert_nothing_is_left(url)
    after = {row.trial_id: row for row in rows_of(url)}
    assert all(after[r.trial_id].run_id == r.run_id for r in before if r.status.is_final)
    again = [row for row in after.values() if row.attempt > 1]
    assert any(row.from_epoch > 0 for row in again)
    assert len(before) < len(after)
