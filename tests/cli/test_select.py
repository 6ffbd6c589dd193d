"""``automl-opt select``: before a verdict, while it is reached, and after."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys

import pytest

from .shell import QUIET, STUDY, automl_opt, write_study


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def test_before_any_verdict_it_says_so_and_what_is_wrong_with_the_comparison(folder):
    done = automl_opt("select", ".", folder=folder)

    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "Which optimizer fits a line?"
    assert lines[1].startswith("No verdict yet: no recipe was trained with fresh seeds")
    assert "- too few trials: raise [search] trials" in done.out
    assert "    sgd: 2 of 2 trials are complete; 10 are the least" in done.out


def test_confirm_trains_says_what_it_costs_first_and_then_the_verdict(folder):
    done = automl_opt("select", ".", "--confirm", "--seeds", "10", folder=folder)
    again = automl_opt("select", ".", "--seeds", "10", "--json", folder=folder)

    assert done.code == 0, done.err
    told = done.err.splitlines()
    assert told[0].startswith("comparing ")
    assert ": at most 30 trainings, about " in told[0]
    assert len(told) == 31
    assert told[-1].endswith(" 0 left")
    data = json.loads(again.out)
    assert again.err == ""
    assert data["said"][0] in done.out
    assert len(data["verdict"]["recipes"]) == 3
    assert set(data["recipes"]) == set(data["verdict"]["recipes"])
    assert data["verdict"]["looks"][0]["seeds"] == 10
    for name in data["verdict"]["recipes"]:
        assert name in done.out


def test_stopped_by_ctrl_c_it_goes_on_where_it_was(folder):
    words = [sys.executable, "-m", "automl_opt", "select", ".", "--confirm", "--seeds", "10"]
    process = subprocess.Popen(
        words, cwd=folder, env=QUIET, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for _ in range(3):
        process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert err.splitlines()[-1] == ("Stopped by SIGINT. Nothing is lost; the same command goes on.")
    done = automl_opt("select", ".", "--confirm", "--seeds", "10", folder=folder)
    assert done.code == 0
    assert len(done.err.splitlines()) < 30


def test_retune_tells_of_each_pair_and_what_is_left(folder):
    done = automl_opt("select", ".", "--retune", "6", folder=folder)

    assert done.code == 0, done.err
    cost, *pairs = done.err.splitlines()
    assert ": 6 pairs to go, at most 24 trials, about " in cost
    assert [told.partition("  ")[0] for told in pairs] == [f"pair {i} of 6" for i in range(1, 7)]
    assert ["s left" in told for told in pairs] == [True] * 5 + [False]
    assert "Tuned independently 6 times each with 2 trials" in done.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("select", "."), "there is no such file; run the study first"),
        (("select", ".", "--confirm"), "there is no such file; run the study first"),
        (("select", ".", "--seeds", "5"), "[verdict] seeds: must be at least 10, not 5"),
        (("select", ".", "--seeds", "x"), "'x' is not a valid integer"),
    ],
)
def test_what_cannot_be_judged_is_said_in_a_line(arguments, says, tmp_path):
    folder = write_study(tmp_path / "study")

    done = automl_opt(*arguments, folder=folder)

    assert done.code == 2
    assert says in done.err
    assert len(done.err.splitlines()) <= 2
    assert done.out == ""


def test_a_study_with_one_arm_and_no_baseline_has_nothing_to_compare(tmp_path):
    one = STUDY.replace('["adamw", "sgd"]', '["sgd"]') + '\n[verdict]\nbaseline = "none"\n'
    folder = write_study(tmp_path / "study", one)
    assert automl_opt("run", ".", folder=folder).code == 0

    done = automl_opt("select", ".", "--confirm", folder=folder)

    assert done.code == 2
    assert "has one recipe to judge, sgd #" in done.err
    assert "add an arm, or name an optimizer as [verdict] baseline" in done.err


def test_a_loss_below_zero_has_no_logarithm_and_the_way_out_is_named(tmp_path):
    task = """
import torch
from automl_opt import Task


def line():
    x = torch.linspace(-1, 1, 60).reshape(-1, 1)
    return Task(
        model=lambda: torch.nn.Linear(1, 1),
        data=(x, 2 * x),
        loss=lambda outputs, y: (outputs - y).square().mean() - 9,
    )
"""
    study = STUDY.replace('metric = "mse"', 'metric = "loss"')
    folder = write_study(tmp_path / "study", study, task)
    assert automl_opt("run", ".", folder=folder).code == 0

    done = automl_opt("select", ".", folder=folder)

    assert done.code == 2
    assert "which has no logarithm" in done.err
    assert 'set scale = "plain" in [verdict]' in done.err
    plain = automl_opt("select", ".", "--confirm", "--seeds", "10", folder=write_plain(folder))
    assert plain.code == 0, plain.err


def write_plain(folder):
    file = folder / "study.toml"
    file.write_text(file.read_text("utf-8") + '\n[verdict]\nscale = "plain"\n', "utf-8")
    return folder


def test_extend_searches_once_more_with_the_end_further_out(tmp_path):
    edge = """
[ranges.optimizer.sgd]
lr = { low = 1e-4, high = 1e-2, default = 1e-2 }
"""
    study = STUDY.replace('["adamw", "sgd"]', '["sgd"]').replace("trials = 2", "trials = 1")
    folder = write_study(tmp_path / "study", study + edge)
    assert automl_opt("run", ".", folder=folder).code == 0

    done = automl_opt("select", ".", "--extend", folder=folder)
    again = automl_opt("select", ".", "--extend", "--json", folder=folder)

    assert done.code == 0, done.err
    assert "optimizer.lr: high end 0.01 -> 0.1" in done.err
    assert "sgd" in done.out
    assert json.loads(again.out)["study"] == "line.extended"
    assert json.loads(again.out)["arms"][0]["trials"] == 1


def test_where_no_best_trial_lies_at_an_end_nothing_is_extended(tmp_path):
    study = STUDY.replace('["adamw", "sgd"]', '["sgd"]').replace("trials = 2", "trials = 1")
    folder = write_study(tmp_path / "study", study)  # one trial: the default, mid-range
    assert automl_opt("run", ".", folder=folder).code == 0

    done = automl_opt("select", ".", "--extend", folder=folder)

    assert (done.code, done.out) == (0, "")
    assert "nothing to extend" in done.err


def test_extend_stands_alone(folder):
    done = automl_opt("select", ".", "--extend", "--confirm", folder=folder)

    assert done.code == 2
    assert "--extend searches: --confirm and --retune come after it" in done.err
