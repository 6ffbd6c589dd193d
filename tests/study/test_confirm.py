"""The verdict on a small real study: trained, judged, killed and gone on with."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import replace

import pytest
from sqlalchemy import select as select_

from automl_opt.core.errors import SpecError, StudyChanged, VerdictError
from automl_opt.core.spec import load_study
from automl_opt.core.verdict import Outcome
from automl_opt.plugin.host import Host
from automl_opt.store import Store, models
from automl_opt.study import selection
from automl_opt.study.confirm import confirm, held_out
from automl_opt.study.progress import Progress
from automl_opt.study.selection import judged, selection_of, standing
from automl_opt.training.fused import choose
from automl_opt.training.plain import PlainEngine
from automl_opt.training.pool import PoolEngine
from automl_opt.training.task import load_task

from .examples import NAME, run, write_study


@pytest.fixture(scope="module")
def searched(tmp_path_factory, host):
    """A folder with a study and its database, the search's budget spent."""
    folder = tmp_path_factory.mktemp("searched")
    study = write_study(folder / "study")
    run(study, f"sqlite:///{folder}/study.db", host=host)
    return folder


@pytest.fixture
def folder(searched, tmp_path):
    return shutil.copytree(searched, tmp_path / "copy")


def select(folder, host: Host, *settings: str, **options):
    spec = load_study(folder / "study", settings)
    with Store.open(f"sqlite:///{folder}/study.db") as store:
        return confirm(spec, host=host, store=store, **options)


def opened(folder) -> Store:
    return Store.open(f"sqlite:///{folder}/study.db", must_exist=True)


SEEDS = "verdict.seeds=10"


def values(runs):
    return {(run.stage, run.recipe, run.seed): run.value for run in runs}


@pytest.fixture(scope="module")
def confirmed(searched, tmp_path_factory, host):
    folder = shutil.copytree(searched, tmp_path_factory.mktemp("confirmed") / "copy")
    return folder, select(folder, host, SEEDS)


def test_every_finalist_trains_with_the_same_ten_seeds(confirmed):
    _, done = confirmed

    assert set(done.verdict.recipes) == set(done.plan.candidates)
    assert len(done.verdict.recipes) == 3  # two arms and the baseline
    assert {(run.recipe, run.seed) for run in done.runs} == {
        (name, seed) for name in done.verdict.recipes for seed in range(10)
    }
    by_seed = {run.seed: run.seeds for run in done.runs}
    assert all(run.seeds == by_seed[run.seed] for run in done.runs)
    assert len({seeds.split for seeds in by_seed.values()}) == 10
    assert done.verdict.looks[0].seeds == 10
    assert done.said


def measured(runs):
    """What the runs of a verdict came to, but for times and workers."""
    return {
        (run.stage, run.recipe, run.seed): (run.status, run.epochs, run.seeds, dict(run.metrics))
        for run in runs
    }


def epochs(folder):
    """What the verdict's runs measured in each of their epochs."""
    columns = "stage, recipe, seed, metric_id, split, epoch"
    with opened(folder) as store, store.engine.connect() as connection:
        query = f"SELECT {columns}, value FROM hpo_verdict_epoch ORDER BY {columns}"
        return connection.exec_driver_sql(query).all()


def test_every_epoch_of_every_run_is_kept(confirmed):
    folder, done = confirmed
    with opened(folder) as store, store.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT recipe, seed, count(DISTINCT epoch), max(epoch), count(*), sum(seconds) "
            "FROM hpo_verdict_epoch GROUP BY recipe, seed"
        ).all()

    runs = {(run.recipe, run.seed): run for run in done.runs}
    assert {row[:2] for row in rows} == set(runs)
    for recipe, seed, distinct, last, count, seconds in rows:
        run = runs[recipe, seed]
        measured_each = count / distinct
        assert distinct == last == run.epochs
        assert measured_each == 3  # loss on train, loss and accuracy on valid
        assert seconds / measured_each == pytest.approx(run.seconds)


def test_workers_change_nothing(confirmed, searched, tmp_path, host):
    folder = shutil.copytree(searched, tmp_path / "copy")

    done = select(folder, host, SEEDS, "training.workers=2")

    assert measured(done.runs) == measured(confirmed[1].runs)
    assert done.said == confirmed[1].said
    assert epochs(folder) == epochs(confirmed[0])


def test_finalists_are_trained_as_stacks_where_the_study_says_so(
    searched, tmp_path, host, monkeypatch
):
    """Every seed has a split of its own, and a trial in a stack its own split."""
    monkeypatch.setattr(choose, "measured", lambda *_: choose.Sizes(2))
    found = []
    for together in ("1", "'auto'"):
        folder = shutil.copytree(searched, tmp_path / together)
        again = ["training.precision=float64", "name=exact", f"training.together={together}"]
        run(folder / "study", f"sqlite:///{folder}/study.db", *again[:2], host=host)
        done = select(folder, host, SEEDS, *again)
        with opened(folder) as store, store.engine.connect() as connection:
            ran = models.verdict_run.join(models.environment)
            rows = connection.execute(select_(models.environment.c.json).select_from(ran))
            modes = {json.loads(row.json)["training"] for row in rows}
        found.append((modes, done))

    (plain_modes, plain), (fused_modes, fused) = found
    assert plain_modes == {"plain"}
    assert fused_modes == {"fused"}
    assert not (tmp_path / "'auto'" / "study.checkpoints").exists()
    assert measured(fused.runs).keys() == measured(plain.runs).keys()
    for key, (status, epochs, seeds, numbers) in measured(fused.runs).items():
        assert (status, epochs, seeds) == measured(plain.runs)[key][:3]
        assert numbers == pytest.approx(measured(plain.runs)[key][3], rel=1e-10)


def test_the_seeds_are_none_that_the_search_has_used(confirmed):
    folder, done = confirmed
    with opened(folder) as store:
        used = {trial.trial.seeds for trial in store.trials(NAME)}

    assert {run.seeds.split for run in done.runs}.isdisjoint({seeds.split for seeds in used})


def test_what_is_judged_is_the_metric_on_the_test_split(confirmed):
    folder, done = confirmed
    for each in done.runs:
        assert each.value == each.metrics["loss"]
        assert set(each.metrics) == {"loss", "accuracy"}
    assert held_out(load_task(load_study(folder / "study"))) == 48


def test_verdict_and_looks_are_rows(confirmed):
    folder, done = confirmed
    with opened(folder) as store:
        row, plan = standing(store, NAME)
        with store.engine.connect() as connection:
            looks = connection.exec_driver_sql("SELECT seeds, leader, other FROM hpo_look").all()

    assert (row.outcome, row.leader, row.seeds) == (
        done.verdict.outcome,
        done.verdict.leader,
        done.verdict.seeds,
    )
    assert tuple(row.said.splitlines()) == done.said
    assert json.loads(row.verdict_json)["outcome"] == done.verdict.outcome
    assert plan == done.plan
    assert {(seeds, leader, other) for seeds, leader, other in looks} == {
        (look.seeds, pair.leader, pair.other) for look in done.verdict.looks for pair in look.pairs
    }


def test_saying_it_again_trains_nothing(confirmed, host):
    folder, done = confirmed
    told = []

    again = select(folder, host, SEEDS, told=lambda run, left: told.append(run))

    assert told == []
    assert again.verdict == done.verdict
    assert not (folder / "study.checkpoints").exists()


def test_a_verdict_that_was_stopped_goes_on_and_ends_as_the_undisturbed_one(
    folder, confirmed, host
):
    _, whole = confirmed

    class Stop(Exception):
        pass

    def stop_after_seven(run, left):
        nonlocal seen
        seen += 1
        if seen == 7:
            raise Stop

    seen = 0
    with pytest.raises(Stop):
        select(folder, host, SEEDS, told=stop_after_seven)
    with opened(folder) as store:
        row, plan = standing(store, NAME)
        part = store.verdict_runs(row)
    assert len(part) == 7
    assert judged(plan, part).outcome is Outcome.UNDECIDED

    done = select(folder, host, SEEDS)

    assert values(done.runs) == values(whole.runs)
    assert done.verdict == whole.verdict


def epochs_of(folder):
    with opened(folder) as store, store.engine.connect() as connection:
        return connection.exec_driver_sql(
            "SELECT recipe, seed, epoch, split, metric_id, value FROM hpo_verdict_epoch "
            "ORDER BY recipe, seed, epoch, split, metric_id"
        ).all()


def test_what_ctrl_c_met_in_training_goes_on_from_there(folder, confirmed, host, monkeypatch):
    undisturbed, whole = confirmed
    trained = 0
    advance = PlainEngine.advance

    def advance_and_stop(engine):
        nonlocal trained
        trained += 1
        if trained == whole.runs[0].epochs + 1:  # the first epoch of the second run
            os.kill(os.getpid(), signal.SIGINT)
        return advance(engine)

    monkeypatch.setattr(PlainEngine, "advance", advance_and_stop)
    stopped = select(folder, host, SEEDS)
    kept = list((folder / "study.checkpoints").rglob("*.pt"))
    done = select(folder, host, SEEDS)

    assert stopped.stopped == "SIGINT"
    assert len(stopped.runs) == len(kept) == 1
    assert values(done.runs) == values(whole.runs)
    assert epochs_of(folder) == epochs_of(undisturbed)
    assert trained == sum(run.epochs for run in done.runs)  # none twice
    assert not (folder / "study.checkpoints").exists()


def test_ctrl_c_keeps_what_another_process_is_about_to_end(tmp_path, host, monkeypatch):
    study = write_study(tmp_path / "study", points=12_000)  # so long that two train at once
    brief = ["training.epochs=1", "search.trials=1"]
    run(study, f"sqlite:///{tmp_path}/study.db", *brief, host=host)
    begun, ended = [], []
    admit = PoolEngine.admit
    monkeypatch.setattr(PoolEngine, "admit", lambda *given: begun.append(1) or admit(*given))

    def told(run, left):
        ended.append(run)
        if len(begun) > len(ended):  # another process is in the one epoch of its run
            os.kill(os.getpid(), signal.SIGINT)

    stopped = select(tmp_path, host, SEEDS, *brief, "training.workers=2", told=told)

    assert stopped.stopped == "SIGINT"
    assert len(stopped.runs) == len(begun)


def test_more_seeds_go_on_with_the_recipes_that_are_still_live(folder, host):
    first = select(folder, host, SEEDS, "verdict.margin=1e-9")
    second = select(folder, host, "verdict.seeds=20", "verdict.margin=1e-9")

    expected = dict.fromkeys(first.verdict.recipes, 10)
    if first.verdict.outcome is Outcome.UNDECIDED:
        expected |= dict.fromkeys(first.verdict.live, 20)
    counts = {name: sum(r.recipe == name for r in second.runs) for name in expected}
    assert counts == expected
    assert values(first.runs).items() <= values(second.runs).items()


def test_how_runs_are_compared_cannot_change_after_the_first(confirmed, host):
    folder, _ = confirmed
    for setting, says in [
        ("verdict.margin=0.02", "margin is 0.02, .* began with 0.01"),
        ('verdict.metric="accuracy"', "metric is 'accuracy', .* began with 'loss'"),
        ('verdict.scale="plain"', "scale is 'plain', .* began with 'log'"),
    ]:
        with pytest.raises(StudyChanged, match=says):
            select(folder, host, SEEDS, setting)


def test_other_finalists_are_another_verdict_with_other_seeds(folder, host):
    first = select(folder, host, SEEDS)
    second = select(folder, host, SEEDS, 'verdict.baseline="lion"')

    assert "lion untuned" in second.plan.candidates
    splits = [{run.seeds.split for run in done.runs} for done in (first, second)]
    assert splits[0].isdisjoint(splits[1])
    with opened(folder) as store:
        assert [row.number for row in store.verdicts(NAME, "recipe")] == [0, 1]


def test_a_study_that_changed_is_refused(confirmed, host):
    folder, _ = confirmed
    with pytest.raises(StudyChanged, match=r"\[training\] epochs: is 6"):
        select(folder, host, "training.epochs=6")


def test_a_metric_that_the_task_has_not_is_named(folder, host):
    with pytest.raises(SpecError, match=r"\[verdict\] metric: the task has no metric 'acuracy'"):
        select(folder, host, 'verdict.metric="acuracy"')


def test_a_task_without_a_test_split_is_refused(folder, host):
    spec = load_study(folder / "study")
    task = replace(load_task(spec), split=(0.8, 0.2, 0.0))
    with opened(folder) as store, pytest.raises(SpecError, match="has no test split"):
        confirm(spec, host=host, store=store, task=task)


def test_accuracy_is_not_credited_with_less_spread_than_half_an_example(folder, host):
    done = select(folder, host, SEEDS, 'verdict.metric="accuracy"')

    assert done.verdict.score.scale == "plain"
    assert done.verdict.score.resolution == pytest.approx(0.5 / 48)


def test_the_views_hold_what_the_selection_says(confirmed, host):
    folder, _ = confirmed
    with opened(folder) as store:
        said = selection.select(load_study(folder / "study", [SEEDS]), store, host.catalog).data()

        def ask(query):
            with store.engine.connect() as connection:
                return [dict(row) for row in connection.exec_driver_sql(query).mappings()]

        [verdict] = ask("SELECT * FROM hpo_v_verdict")
        looks = ask("SELECT * FROM hpo_v_look")
        recipes = ask("SELECT * FROM hpo_v_confirmed")
        runs = ask("SELECT * FROM hpo_v_verdict_run")
        findings = ask("SELECT kind, arm, evidence, advice FROM hpo_v_finding")

    shown = said["verdict"]
    for key in ("outcome", "leader", "seeds"):
        assert verdict[key] == shown[key]
    assert verdict["said"].splitlines() == said["said"][: len(verdict["said"].splitlines())]
    expected = {
        (pair["seeds"], pair["other"]): pair for look in shown["looks"] for pair in look["pairs"]
    }
    assert len(looks) == len(expected)
    for row in looks:
        pair = expected[row["seeds"], row["other"]]
        assert {key: row[key] for key in pair if key != "forecast"} == {
            key: value for key, value in pair.items() if key != "forecast"
        }
    assert {row["recipe"]: (row["seeds"], row["failed"]) for row in recipes} == {
        name: (len([run for run in runs if run["recipe"] == name]), 0) for name in shown["recipes"]
    }
    for row in recipes:
        own = [run["value"] for run in runs if run["recipe"] == row["recipe"]]
        assert row["mean"] == pytest.approx(sum(own) / len(own))
    assert findings == said["findings"]


def test_without_a_verdict_the_selection_says_so_and_audits(folder, host):
    spec = load_study(folder / "study")
    with opened(folder) as store:
        found = selection.select(spec, store, host.catalog)
        rows = store.findings(NAME)

    assert found.verdict is None
    assert found.said[0].startswith("No verdict yet")
    assert "too_few_trials" in {finding.kind for finding in found.findings}
    assert tuple(rows) == found.findings


def test_the_selection_says_what_the_verdict_said(confirmed, host):
    folder, done = confirmed
    spec = load_study(folder / "study", [SEEDS])
    with opened(folder) as store:
        found = selection_of(spec, store, host.catalog)

    assert found.verdict == done.verdict
    assert found.said[: len(done.said)] == done.said
    assert found.seconds["confirm"] > 0
    json.dumps(found.data())
    if done.verdict.outcome is Outcome.UNDECIDED:
        assert found.said[-1] == "The study allows 10 seeds: --confirm --seeds 20 goes on."


def test_a_study_without_a_complete_trial_has_nothing_to_judge(tmp_path, host):
    study = write_study(tmp_path / "study")
    run(study, f"sqlite:///{tmp_path}/study.db", "search.time_limit=0.000001", host=host)

    with pytest.raises(VerdictError, match="no complete trial yet"):
        select(tmp_path, host)


def test_of_a_study_that_is_not_done_what_is_there_is_judged_and_marked(tmp_path, host):
    class Enough(Exception):
        pass

    class FiveTrials(Progress):
        left = 5

        def trial_finished(self, result):
            self.left -= 1
            if self.left == 0:
                raise Enough

    study = write_study(tmp_path / "study")
    with pytest.raises(Enough):
        run(study, f"sqlite:///{tmp_path}/study.db", host=host, progress=FiveTrials())

    done = select(tmp_path, host, SEEDS)
    run(study, f"sqlite:///{tmp_path}/study.db", host=host)
    with opened(tmp_path) as store:
        found = selection_of(load_study(study, [SEEDS]), store, host.catalog)

    assert done.verdict.looks
    assert found.said[-1] == (
        "Preliminary: 11 trials ended since the verdict began; --confirm looks at them."
    )
