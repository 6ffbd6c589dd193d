"""``--workers auto``: as many as the machine can train with."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import click
import pytest

from automl_opt.cli.main import cli
from automl_opt.core.errors import SpecError
from automl_opt.core.spec import load_study
from automl_opt.plugin.host import ALLOW_LIST
from automl_opt.store import Store
from automl_opt.training.processes import workers_here

from .shell import write_study

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here"
)


@pytest.fixture
def cores():
    """Lets this process, and those it starts, run on so many cores."""
    all_of_them = os.sched_getaffinity(0)

    def take(n: int) -> None:
        if n > len(all_of_them):
            pytest.skip(f"this machine has not {n} cores")
        os.sched_setaffinity(0, sorted(all_of_them)[:n])

    yield take
    os.sched_setaffinity(0, all_of_them)


def test_a_worker_has_as_many_cores_as_the_study_gives_it_threads(cores, tmp_path):
    spec = replace(load_study(write_study(tmp_path)), device="cpu")

    for n, threads, workers in [(1, None, 1), (2, None, 2), (2, 2, 1), (1, 2, 1)]:
        cores(n)
        assert workers_here(replace(spec, threads=threads)) == workers


def test_the_study_runs_with_them_and_its_file_is_not_asked(cores, tmp_path, monkeypatch):
    folder = write_study(tmp_path)
    monkeypatch.chdir(folder)
    monkeypatch.setenv(ALLOW_LIST, "")
    cores(2)

    one_arm = ["--trials", "2", "--set", 'space.optimizer=["sgd"]']
    cli.main(["run", ".", *one_arm, "--workers", "auto"], standalone_mode=False)

    with Store.open_to_read("sqlite:///automl_opt.db") as store:
        settings = json.loads(store.studies()[0].spec_json)
        assert settings["[training] workers"] == 2
        assert len(store.trials("line")) == 2


def test_what_cannot_be_counted_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(write_study(tmp_path))
    monkeypatch.setenv(ALLOW_LIST, "")

    with pytest.raises(click.BadParameter, match="'all' is neither a whole number nor 'auto'"):
        cli.main(["run", ".", "--workers", "all"], standalone_mode=False)
    words = ["run", ".", "--workers", "auto", "--executor", "ray"]
    with pytest.raises(SpecError, match=r"\[training\] workers: 'auto' counts what this machine"):
        cli.main(words, standalone_mode=False)
