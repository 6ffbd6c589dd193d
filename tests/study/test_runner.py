from __future__ import annotations

import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import optuna
import pytest

from automl_opt.core.errors import SpecError, StoreError, StudyChanged
from automl_opt.core.result import Status
from automl_opt.search.arms import storage_at
from automl_opt.store import Store
from automl_opt.study.progress import Progress
from automl_opt.study.ranking import ranking_of
from automl_opt.study.runner import AllTrialsFailed

from .examples import NAME, contents, rows_of, run, start, write_study

ONE_ARM = 'space.optimizer=["sgd"]'
FEW = "search.trials=3"


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


@pytest.fixture
def study(tmp_path) -> Path:
    return write_study(tmp_path / "study")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, host):
    """A study that has run: its folder, database, contents and ranking."""
    folder = tmp_path_factory.mktemp("whole")
    study = write_study(folder / "study")
    url = f"sqlite:///{folder}/study.db"
    ranking = run(study, url, host=host).ranking
    return study, url, contents(url), ranking


class At(Progress):
    """Does *action* when the *n*-th epoch of the run has ended."""

    def __init__(self, n, action):
        self.n, self.action = n, action

    def epoch(self, report):
        self.n -= 1
        if self.n == 0:
            self.action()


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


class TestWholeStudy:
    def test_every_epoch_of_every_trial_is_in_the_database(self, whole):
        _, _, found, _ = whole

        assert len(found["ours"]) == len(found["optuna"]) == 16
        for trial in found["ours"].values():
            epochs = range(1, trial["epochs"] + 1)
            on = {split: [] for split in ("train", "valid", "test")}
            for epoch, split, metric, value in trial["curve"]:
                on[split].append((epoch, metric))
                assert value is not None
            assert on["train"] == [(e, "loss") for e in epochs]
            assert on["valid"] == [(e, m) for e in epochs for m in ("accuracy", "loss")]
            last = trial["epochs"]
            complete = trial["status"] is Status.COMPLETE
            assert on["test"] == ([(last, "accuracy"), (last, "loss")] if complete else [])

    def test_optuna_has_the_same_states_values_and_curves(self, whole):
        _, _, found, _ = whole

        for key, theirs in found["optuna"].items():
            ours = found["ours"][key]
            assert theirs["state"] == ours["status"].upper()
            assert theirs["values"] == [ours["value"]]
            curve = [p for p in ours["curve"] if p[1:3] == ("valid", "loss")]
            assert theirs["intermediate"] == {epoch: value for epoch, _, _, value in curve}
        assert {"COMPLETE", "PRUNED"} == {t["state"] for t in found["optuna"].values()}

    def test_the_ranking_is_that_of_the_rows(self, whole):
        _, url, found, ranking = whole

        best = {
            arm: min(
                trial["value"]
                for (of, _), trial in found["ours"].items()
                if of == arm and trial["status"] is Status.COMPLETE
            )
            for arm in ("sgd", "adamw")
        }
        assert [arm.arm for arm in ranking.arms] == sorted(best, key=best.__getitem__)
        assert {arm.arm: arm.best for arm in ranking.arms} == best
        assert ranking.finished
        with Store.open(url) as store:
            assert ranking_of(store, NAME) == ranking

    def test_the_same_seed_gives_the_same_study_to_the_last_bit(self, whole, url, host):
        study, _, found, _ = whole

        run(study, url, host=host)

        assert contents(url) == found

    def test_another_seed_gives_another(self, whole, url, host):
        study, _, found, _ = whole

        run(study, url, "seed=1", FEW, host=host)

        assert contents(url)["ours"]["sgd", 1] != found["ours"]["sgd", 1]

    def test_a_study_that_is_done_is_not_touched_again(self, whole, host):
        study, url, _, ranking = whole
        rows = rows_of(url)

        assert run(study, url, host=host).ranking == ranking
        assert rows_of(url) == rows


class TestGoingOn:
    def test_an_interrupted_run_keeps_its_trial_and_goes_on_with_it(self, whole, url, host):
        study, _, found, _ = whole

        outcome = run(study, url, host=host, progress=At(7, interrupt))

        assert outcome.stopped == "SIGINT"
        assert not outcome.ranking.finished
        [interrupted] = [row for row in rows_of(url) if not row.status.is_final]
        assert (interrupted.status, interrupted.reason) == (Status.STOPPED, "SIGINT")
        assert Path(interrupted.checkpoint_uri).is_file()
        assert interrupted.epochs > 0
        run(study, url, host=host)
        assert contents(url) == found
        again = next(row for row in rows_of(url) if row.trial_id == interrupted.trial_id)
        assert (again.attempt, again.from_epoch) == (2, interrupted.epochs)
        assert not Path(interrupted.checkpoint_uri).exists()

    def test_a_trial_whose_checkpoint_is_damaged_begins_again(self, whole, url, host):
        study, _, found, _ = whole
        run(study, url, host=host, progress=At(7, interrupt))
        [interrupted] = [row for row in rows_of(url) if not row.status.is_final]
        Path(interrupted.checkpoint_uri).write_bytes(b"torn")

        with pytest.warns(RuntimeWarning, match="cannot be used"):
            run(study, url, host=host)

        assert contents(url) == found

    def test_more_trials_later_are_those_of_a_longer_study(self, whole, url, host):
        study, _, found, _ = whole

        run(study, url, "search.trials=5", host=host)
        outcome = run(study, url, host=host)

        assert outcome.ranking.finished
        assert contents(url) == found

    def test_an_arm_more_later_changes_nothing_for_the_others(self, whole, url, host):
        study, _, found, _ = whole

        run(study, url, 'space.optimizer=["adamw"]', host=host)
        run(study, url, host=host)

        assert contents(url) == found

    def test_an_arm_that_is_taken_out_stays_ranked_and_is_not_waited_for(self, study, url, host):
        run(study, url, FEW, host=host, progress=At(12, interrupt))

        outcome = run(study, url, FEW, ONE_ARM, host=host)

        assert outcome.ranking.finished
        assert {arm.arm for arm in outcome.ranking.arms} == {"sgd", "adamw"}
        assert not run(
            study, url, "search.trials=4", ONE_ARM, host=host, progress=At(1, interrupt)
        ).ranking.finished

    def test_the_checkpoint_of_an_arm_that_is_taken_out_is_kept_for_its_return(
        self, study, url, host
    ):
        adamw = 'space.optimizer=["adamw"]'
        run(study, url, FEW, adamw, host=host, progress=At(2, interrupt))
        [row] = rows_of(url)

        run(study, url, FEW, ONE_ARM, host=host)

        assert Path(row.checkpoint_uri).is_file()
        run(study, url, FEW, host=host)
        assert next(r for r in rows_of(url) if r.trial_id == row.trial_id).from_epoch == 2

    def test_time_is_counted_over_all_runs(self, study, url, host):
        limit = "search.time_limit=0.000001"

        first = run(study, url, limit, host=host)
        second = run(study, url, limit, host=host)

        assert first.stopped == second.stopped == "time limit"
        [row] = rows_of(url)
        assert (row.status, row.epochs, row.attempt) == (Status.STOPPED, 1, 1)
        assert run(study, url, FEW, host=host).stopped is None


class TestChangedStudy:
    @pytest.mark.parametrize(
        ("setting", "texts"),
        [
            ("training.epochs=4", ["[training] epochs", "is 4", "began with 5"]),
            ("seed=3", ["seed", "is 3", "began with 0"]),
            ("search.strategy='random'", ["[search] strategy", "random", "n_startup_trials"]),
            ("objective.metric='accuracy'", ["[objective] metric", '"accuracy"', '"loss"']),
            ("ranges.optimizer.sgd.lr=0.5", ["arm 'sgd'", "optimizer.lr", "0.5", "0.001"]),
            ("ranges.model.width=4", ["model.width", "[4]"]),
            ("space.batch_size=8", ["[space] batch_size", "[8]", "[16, 32]"]),
            ("space.regularizer=['l1']", ["[space] regularizer", '["l1"]', '["l2"]']),
        ],
    )
    def test_a_study_that_changed_is_refused_with_both_values(self, whole, host, setting, texts):
        study, url, found, _ = whole

        with pytest.raises(StudyChanged) as raised:
            run(study, url, setting, host=host)

        for text in [str(study / "study.toml"), "Set it back", *texts]:
            assert text in str(raised.value)
        assert contents(url) == found

    @pytest.mark.parametrize(
        "setting",
        [
            "question='?'",
            "training.checkpoint_every=9",
            "training.threads=1",
            "search.time_limit=9",
        ],
    )
    def test_what_changes_no_result_may_change(self, whole, host, setting):
        study, url, found, _ = whole

        assert run(study, url, setting, host=host).ranking.finished
        assert contents(url) == found

    def test_a_component_of_a_new_version_is_refused(self, installed, study, url):
        source = """
from automl_opt.api import SchedulerSpec, hookimpl

@hookimpl
def automl_opt_schedulers():
    yield SchedulerSpec(name="flat", summary="s", paper="none: a test", version={},
                        factor=lambda step, total: 1.0)
"""
        plugin = installed.write("acme", source.format(1))
        settings = (FEW, ONE_ARM, "space.scheduler='acme.flat'")
        run(study, url, *settings, host=plugin.host(ours=True))
        module = installed.folder / "acme_plugin.py"
        module.write_text(source.format("1 + 1"))
        sys.modules.pop("acme_plugin")

        with pytest.raises(StudyChanged, match=r"scheduler acme\.flat is version 2.*of version 1"):
            run(study, url, *settings, host=plugin.host(ours=True))


FAILING = """
from pathlib import Path

import torch
from torch import nn

from automl_opt import Int, Task


def model(width):
    if Path(__file__).with_name("begun").exists():
        raise RuntimeError("no such layer")
    return nn.Linear(4, 3)


def clouds():
    y = torch.arange(60) % 3
    return Task(model=model, data=(torch.randn(60, 4), y), params={"width": Int(2, 16)})
"""


class Begun(Progress):
    """Leaves a file when the study, tried and found good, begins."""

    def __init__(self, file):
        self.file = file

    def started(self, spec, arms, finished):
        self.file.touch()


class TestFailures:
    def test_a_study_of_which_every_trial_fails_stops_early(self, study, url, host):
        (study / "task.py").write_text(FAILING)

        with pytest.raises(AllTrialsFailed, match=r"all 3 trials so far failed.*no such layer"):
            run(study, url, host=host, progress=Begun(study / "begun"))

        rows = rows_of(url)
        assert [row.status for row in rows] == [Status.FAILED] * 3
        assert all("no such layer" in row.reason for row in rows)
        assert {t["state"] for t in contents(url)["optuna"].values()} == {"FAIL"}

    def test_an_arm_that_only_fails_does_not_end_the_study(self, study, url, host):
        diverging = "ranges.optimizer.sgd.lr=1e300"

        outcome = run(study, url, FEW, diverging, host=host)

        adamw, sgd = outcome.ranking.arms
        assert (adamw.arm, adamw.failures) == ("adamw", 0)
        assert (sgd.best, sgd.failures) == (None, 3)
        assert outcome.ranking.finished

    def test_a_study_that_cannot_start_leaves_no_trace(self, study, url, host):
        with pytest.raises(SpecError):
            run(study, url, "objective.metric='acuracy'", host=host)
        with pytest.raises(SpecError):
            run(study, url, "search.strategy={name='tpe', n_startup_trials=0}", host=host)

        with storage_at(url) as storage:
            assert optuna.get_all_study_names(storage) == []
        with Store.open(url) as store:
            assert store.studies() == []
            assert not store.folder.exists()


PLUGIN = """
import json
from pathlib import Path
from automl_opt.api import hookimpl

said = Path(__file__).with_name("said.jsonl")

def say(*words):
    with said.open("a") as file:
        file.write(json.dumps(words) + "\\n")

@hookimpl
def automl_opt_study_started(study):
    say("started", study.name)

@hookimpl
def automl_opt_trial_finished(study, result):
    say("finished", str(result.trial), str(result.status))
    if {raises}:
        raise RuntimeError("not my day")

@hookimpl
def automl_opt_study_finished(study, verdict):
    say("done", verdict.finished)
"""


@pytest.mark.parametrize("raises", [False, True])
def test_plugins_hear_of_the_study_and_cannot_end_it(installed, study, url, raises):
    host = installed.write("acme", PLUGIN.format(raises=raises)).host(ours=True)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(study, url, "search.trials=2", host=host)

    lines = (installed.folder / "said.jsonl").read_text().splitlines()
    said = [json.loads(line) for line in lines]
    assert said[0] == ["started", NAME]
    assert [words[1] for words in said[1:5]] == ["sgd #0", "adamw #0", "sgd #1", "adamw #1"]
    assert said[5:] == [["done", True]]
    heard = [str(w.message) for w in caught if "not my day" in str(w.message)]
    assert len(heard) == (4 if raises else 0)
    assert all("plugin 'acme'" in text for text in heard)


def test_test_numbers_reach_neither_the_search_nor_its_database(study, url, host, tmp_path):
    """Other targets on the test split: other test numbers, and nothing else is another."""
    task = """
import torch
from torch import nn

from automl_opt import Task


def clouds():
    rng = torch.Generator().manual_seed(7)
    y = torch.arange(240) % 3
    x = torch.randn(240, 4, generator=rng) + 0.7 * y[:, None]
    train, valid, test = ((x[i : i + 80], y[i : i + 80]) for i in (0, 80, 160))
    return Task(
        model=lambda: nn.Linear(4, 3), train=train, valid=valid, test=(test[0], {targets})
    )
"""
    found = []
    for name, targets in (("one", "test[1]"), ("other", "2 - test[1]")):
        (study / "task.py").write_text(task.format(targets=targets))
        place = f"sqlite:///{tmp_path}/{name}.db"
        run(study, place, host=host)
        found.append(contents(place))

    one, other = found
    assert one["optuna"] == other["optuna"]
    for key, trial in one["ours"].items():
        test, others = (
            {p[2]: p[3] for p in t["curve"] if p[1] == "test"} for t in (trial, other["ours"][key])
        )
        assert test.keys() == others.keys()
        assert all(test[metric] != others[metric] for metric in test)
        told = one["optuna"][key]
        assert (
            not set(test.values()) & {*told["intermediate"].values(), *(told["values"] or ())}
            or test == {}
        )


@pytest.mark.skipif(os.name != "posix", reason="signals")
class TestProcesses:
    """What only real processes can show."""

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_signal_ends_a_run_in_order_and_the_same_command_goes_on(
        self, tmp_path, url, host, number, code
    ):
        study = write_study(tmp_path / "slow", points=30_000)
        process = start(study, url)
        time.sleep(0.3)  # into the first trial, which takes seconds
        process.send_signal(number)
        _, said = process.communicate(timeout=60)

        assert process.returncode == code
        assert f"Stopped by {number.name}. Nothing is lost; go on with: automl-opt run" in said
        rows = rows_of(url)
        [interrupted] = [row for row in rows if row.status is Status.STOPPED]
        assert Path(interrupted.checkpoint_uri).is_file()
        assert all(row.status.is_final for row in rows if row is not interrupted)

    def test_a_second_process_on_a_running_study_is_refused_and_does_no_harm(
        self, tmp_path, url, host
    ):
        study = write_study(tmp_path / "slow", points=6000)
        process = start(study, url)

        with pytest.raises(StoreError, match=rf"is being run by process {process.pid} on "):
            run(study, url, host=host)

        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
        assert run(study, url, FEW, host=host).stopped is None


@pytest.mark.parametrize("allocation", ["leaders", "elimination"])
def test_arms_that_lead_get_more_and_a_resumed_study_chooses_them_likewise(
    tmp_path, host, allocation
):
    three = 'space.optimizer=["gd", "sgd", "adamw"]'
    settings = (three, "search.trials=4", f'search.allocation="{allocation}"')
    whole, parts = f"sqlite:///{tmp_path}/whole.db", f"sqlite:///{tmp_path}/parts.db"
    study = write_study(tmp_path / "study")

    ranking = run(study, whole, *settings, host=host).ranking
    run(study, parts, *settings, host=host, progress=At(23, interrupt))
    again = run(study, parts, *settings, host=host).ranking

    counts = {arm.arm: arm.trials for arm in ranking.arms}
    assert ranking.finished
    assert sum(counts.values()) == 12
    assert len(set(counts.values())) > 1
    assert counts == {arm.arm: arm.trials for arm in again.arms}
    assert contents(whole)["ours"].keys() == contents(parts)["ours"].keys()
