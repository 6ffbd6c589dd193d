"""``automl-opt export``: from a study's database to a script that runs by itself."""

from __future__ import annotations

import shutil
import sqlite3
import sys

import pytest

from .shell import automl_opt, command, write_study


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def test_without_a_verdict_the_best_trial_is_exported_and_reproduces_itself(folder):
    done = automl_opt("export", ".", folder=folder)

    assert done.code == 0, done.err
    assert done.out.endswith(" is in train.py: python train.py\n")
    text = (folder / "train.py").read_text("utf-8")
    assert "It was not trained with fresh seeds, so no interval is expected of it." in text
    recorded = text.partition("it ended with mse = ")[2].partition(".\n")[0]
    ran = command([sys.executable, "train.py"], folder)
    assert ran.code == 0, ran.err
    reached = ran.out.splitlines()[-1].rpartition("mse ")[2]
    assert float(reached) == pytest.approx(float(recorded), rel=1e-4)


def test_with_a_verdict_its_leader_is_exported_with_an_interval(folder):
    assert automl_opt("select", ".", "--confirm", "--seeds", "10", folder=folder).code == 0

    done = automl_opt("export", ".", "-o", "leader.py", folder=folder)

    assert done.code == 0, done.err
    assert "From 10 runs with other seeds" in (folder / "leader.py").read_text("utf-8")
    ran = command([sys.executable, "leader.py"], folder)
    assert ran.out.splitlines()[-1].startswith("mse ")
    assert " is inside the expected " in ran.out


def test_replay_trains_the_leader_with_new_seeds_and_keeps_the_runs(folder):
    assert automl_opt("select", ".", "--confirm", "--seeds", "10", folder=folder).code == 0

    done = [automl_opt("replay", ".", folder=folder) for _ in range(2)]

    assert [each.code for each in done] == [0, 0], done[0].err
    for each in done:
        assert ": test mse " in each.out
        assert ", inside the expected " in each.out
    assert done[0].out != done[1].out
    with sqlite3.connect(folder / "automl_opt.db") as database:
        seeds = database.execute(
            "SELECT seeds_json FROM hpo_verdict_run WHERE stage = 'replay' ORDER BY seed"
        ).fetchall()
        others = database.execute(
            "SELECT seeds_json FROM hpo_verdict_run WHERE stage = 'confirm'"
        ).fetchall()
    database.close()
    assert len(set(seeds)) == 2
    assert set(seeds).isdisjoint(others)


def test_without_a_verdict_there_is_nothing_to_replay_against(folder):
    done = automl_opt("replay", ".", folder=folder)

    assert done.code == 2
    assert "'automl-opt select --confirm' comes first" in done.err


def test_another_arm_goes_to_standard_output(folder):
    done = automl_opt("export", ".", "--arm", "sgd", "-o", "-", folder=folder)

    assert done.code == 0
    assert "def sgd_update" in done.out
    assert not (folder / "train.py").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--arm", "sdg"), "study 'line' has no arm 'sdg'; did you mean 'sgd'?"),
        (("-o", "no/where/train.py"), "No such file or directory"),
        (("--set", "training.epochs=3"), "[training] epochs: is 3, but the study 'line' in"),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_line(folder, arguments, says):
    done = automl_opt("export", ".", *arguments, folder=folder)

    assert done.code in (1, 2)
    assert says in done.err
    assert len(done.err.splitlines()) == 1


def test_a_study_that_never_ran_has_nothing_to_export(tmp_path):
    done = automl_opt("export", ".", folder=write_study(tmp_path / "study"))

    assert done.code == 2
    assert "run the study first" in done.err
