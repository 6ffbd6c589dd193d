"""The arm verdict on a small real study: pairs of tunings from new seeds, one after the other."""

from __future__ import annotations

import json
import shutil

import pytest

from automl_opt.core.errors import StudyChanged, VerdictError
from automl_opt.core.spec import load_study
from automl_opt.core.verdict import Outcome
from automl_opt.store import Store
from automl_opt.study.confirm import confirm
from automl_opt.study.judge import arm_looks, judge_arms
from automl_opt.study.progress import Progress
from automl_opt.study.ranking import ranking_of
from automl_opt.study.retune import leading, retune
from automl_opt.study.selection import selection_of
from automl_opt.training.fused import choose

from .examples import NAME, run, write_study

SMALL = "search.trials=2"


@pytest.fixture(scope="module")
def searched(tmp_path_factory, host):
    folder = tmp_path_factory.mktemp("searched")
    study = write_study(folder / "study")
    run(study, f"sqlite:///{folder}/study.db", SMALL, host=host)
    return folder


@pytest.fixture
def folder(searched, tmp_path):
    return shutil.copytree(searched, tmp_path / "copy")


def again(folder, host, pairs=6, *settings, **options):
    spec = load_study(folder / "study", [SMALL, *settings])
    with Store.open(f"sqlite:///{folder}/study.db") as store:
        return retune(spec, pairs, host=host, store=store, **options)


@pytest.fixture(scope="module")
def retuned(searched, tmp_path_factory, host):
    folder = shutil.copytree(searched, tmp_path_factory.mktemp("retuned") / "copy")
    costs: list = []
    return folder, again(folder, host, estimated=costs.append), costs


def test_each_pair_is_a_study_of_both_arms_from_a_seed_of_its_own(retuned):
    folder, done, _ = retuned
    with Store.open(f"sqlite:///{folder}/study.db") as store:
        names = {row.name for row in store.studies()}
        seeds = {trial.trial.seeds.split for name in names for trial in store.trials(name)}
        for pair in done.pairs:
            ranking = ranking_of(store, f"{NAME}.retune0.{pair.number}")
            assert {arm.arm: arm.trials for arm in ranking.arms} == {"sgd": 2, "adamw": 2}
            assert {arm.arm: arm.test for arm in ranking.arms} == dict(
                zip(pair.arms, pair.tests, strict=True)
            )

    assert len(done.pairs) == 6
    assert names == {NAME, *(f"{NAME}.retune0.{i}" for i in range(6))}
    assert len(seeds) == 7  # a split a study: the one that chose the arms does not count


def test_the_verdict_is_that_of_the_pairs(retuned):
    _, done, _ = retuned
    results = [pair.tests for pair in done.pairs]

    assert done.verdict == judge_arms(
        done.pairs[0].arms, results, maximize=False, trials=2, quick=True
    )
    assert done.said[0].startswith("Tuned independently 6 times each with 2 trials, ")


def test_the_cost_is_known_before_anything_is_trained(retuned):
    folder, _, [cost] = retuned
    with Store.open(f"sqlite:///{folder}/study.db") as store:
        once = sum(trial.seconds for trial in store.trials(NAME))

    assert (cost.pairs, cost.trials) == (6, 24)
    assert cost.seconds == pytest.approx(6 * once)


def test_verdict_and_looks_are_rows_and_the_selection_says_them(retuned, host):
    folder, done, _ = retuned
    with Store.open(f"sqlite:///{folder}/study.db") as store:
        [row] = store.verdicts(NAME, "arm")
        found = selection_of(load_study(folder / "study"), store, host.catalog)
        with store.engine.connect() as connection:
            looks = connection.exec_driver_sql("SELECT seeds, wins, losses FROM hpo_look").all()
        pairs = [t for i in range(6) for t in store.trials(f"{NAME}.retune0.{i}")]

    assert json.loads(row.plan_json) == {
        "arms": list(done.pairs[0].arms),
        "quick": True,
        "trials": 2,
    }
    assert found.said[-1] == done.said[0]
    assert found.seconds["retune"] == pytest.approx(sum(trial.seconds for trial in pairs))
    assert found.arm_verdict["wins"] == done.verdict.wins
    assert [tuple(look) for look in looks] == [(6, done.verdict.wins, done.verdict.losses)]


def test_asked_again_it_tunes_nothing(retuned, host):
    folder, done, _ = retuned
    told: list = []

    assert again(folder, host, told=told.append) == done
    assert told == []


def test_what_was_stopped_goes_on_and_ends_as_the_undisturbed_one(folder, retuned, host):
    class Stop(Exception):
        pass

    class AfterNineTrials(Progress):
        left = 9

        def trial_finished(self, result):
            self.left -= 1
            if self.left == 0:
                raise Stop

    with pytest.raises(Stop):
        again(folder, host, progress=AfterNineTrials())
    done = again(folder, host)

    assert done.pairs == retuned[1].pairs


def test_pairs_share_what_their_engines_have_measured(folder, host, monkeypatch):
    """Else every pair times stacks anew, and may train its trials in another mode."""
    asked: list[int] = []
    monkeypatch.setattr(choose, "measured", lambda *_: asked.append(1) or choose.Sizes(2))
    counts = []

    class Enough(Exception):
        pass

    def told(pair):
        counts.append(len(asked))
        if pair.number == 1:
            raise Enough

    with pytest.raises(Enough):
        again(folder, host, 6, 'training.together="auto"', told=told)

    assert counts[0] > 0
    assert counts[1] == counts[0]


def test_the_full_form_after_the_quick_one_begins_anew(folder, host):
    seen: list = []

    class Enough(Exception):
        pass

    def one(pair):
        seen.append(pair)
        raise Enough

    for pairs in (6, 10):
        with pytest.raises(Enough):
            again(folder, host, pairs, told=one)

    assert seen[0].tests != seen[1].tests
    with Store.open(f"sqlite:///{folder}/study.db") as store:
        quick = [json.loads(row.plan_json)["quick"] for row in store.verdicts(NAME, "arm")]
    assert quick == [True, False]


def test_arms_lead_by_the_verdict_where_there_is_one(folder, host):
    spec = load_study(folder / "study", [SMALL, "verdict.seeds=10"])
    with Store.open(f"sqlite:///{folder}/study.db") as store:
        ranking = ranking_of(store, NAME)
        before = leading(spec, store, ranking)
        verdict = confirm(spec, host=host, store=store).verdict
        after = leading(spec, store, ranking)

    assert before == tuple(arm.arm for arm in ranking.arms)
    if verdict.leader != "adam untuned":
        assert verdict.leader.startswith(f"{after[0]} #")
    assert set(after) == set(before)


@pytest.mark.parametrize("pairs", [0, 7, 100, -6])
def test_a_number_of_pairs_whose_error_is_not_known_is_refused(folder, host, pairs):
    with pytest.raises(VerdictError, match=f"--retune {pairs}: 6 pairs are the quick form"):
        again(folder, host, pairs)


def test_a_study_with_one_arm_has_no_second(tmp_path, host):
    study = write_study(tmp_path / "study")
    one = 'space.optimizer=["sgd"]'
    run(study, f"sqlite:///{tmp_path}/study.db", SMALL, one, host=host)

    with pytest.raises(VerdictError, match=r"re-tuning compares two arms; .* 1 found something"):
        again(tmp_path, host, 6, one)


def test_a_study_that_changed_is_refused(folder, host):
    with pytest.raises(StudyChanged, match=r"\[training\] epochs"):
        again(folder, host, 6, "training.epochs=3")


def test_the_looks_of_an_arm_verdict_are_those_that_were_taken():
    results = [(2.0, 1.0)] * 8 + [(1.0, 2.0)] * 2 + [(2.0, 1.0)] * 10
    verdict = judge_arms(("a", "b"), results, maximize=False, trials=5)
    looks = arm_looks(verdict, results, ("a", "b"), maximize=False)

    assert (verdict.first, verdict.wins, verdict.outcome) == ("b", 18, Outcome.BETTER)
    assert [(look.seeds, look.pairs[0].wins, look.outcome) for look in looks] == [
        (10, 8, Outcome.UNDECIDED),
        (20, 18, Outcome.BETTER),
    ]
    assert looks[0].alpha == pytest.approx(22 / 1024)  # nine of ten, either way
    assert looks[0].pairs[0].p == pytest.approx(112 / 1024)
