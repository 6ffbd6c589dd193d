"""Several trials in training at a time: the same study however they are trained, and killed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from automl_opt.core.errors import SpecError
from automl_opt.core.spec import load_study
from automl_opt.store import Store, models
from automl_opt.study import runner
from automl_opt.training import engine as engines
from automl_opt.training.fused import choose
from automl_opt.training.plain import PlainEngine

from .examples import HYPERBAND, MEDIAN, contents, rows_of, run, write_study

SLOTS = 5
ALIKE = "ranges.model.width=6"  # models of one shape


@pytest.fixture
def stacks_of_two(monkeypatch):
    monkeypatch.setattr(choose, "measured", lambda *_: choose.Sizes(2))


def modes(url):
    """How the trials were trained, as their rows say."""
    with Store.open(url, must_exist=True) as store, store.engine.connect() as connection:
        rows = connection.execute(
            select(models.trial_run.c.number, models.environment.c.json).join(
                models.environment, models.environment.c.id == models.trial_run.c.env_id
            )
        )
        return [json.loads(row.json) for row in rows]


@pytest.mark.parametrize(
    ("together", "trials", "arms", "slots"),
    [(1, 20, 3, 1), (7, 20, 3, 7), ("auto", 20, 11, 44), ("auto", 100, 11, 64), ("auto", 3, 2, 2)],
)
def test_auto_leaves_every_arm_something_to_learn_from(tmp_path, together, trials, arms, slots):
    settings = [f"search.trials={trials}", f"training.together={together}"]
    spec = load_study(write_study(tmp_path), settings)

    assert runner.slots(spec, arms) == slots


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0", "must be at least 1, not 0"),
        ("true", "must be a whole number of at least 1, not True"),
        ("2.5", "must be a whole number of at least 1, not 2.5"),
        ("many", "must be a whole number of at least 1 or 'auto', not 'many'"),
    ],
)
def test_other_numbers_of_slots_are_refused(tmp_path, value, message):
    with pytest.raises(SpecError, match=rf"\[training\] together: {message}"):
        load_study(write_study(tmp_path), [f"training.together={value}"])


def test_a_stack_and_slots_that_take_turns_give_the_same_study(
    tmp_path, host, stacks_of_two, monkeypatch
):
    """In float64, to twelve digits: recipes, ends and curves."""
    study = write_study(tmp_path / "study", pruner=MEDIAN)
    settings = [f"training.together={SLOTS}", "training.precision=float64", ALIKE]
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("fused", "plain")]

    run(study, urls[0], *settings, host=host)
    monkeypatch.setattr(
        engines,
        "FusedEngine",
        lambda task, setup, builder, slots, chooser, **_: PlainEngine(task, setup, builder, slots),
    )
    run(study, urls[1], *settings, host=host)

    fused, plain = (contents(url)["ours"] for url in urls)
    assert {row["training"] for row in modes(urls[0])} == {"fused", "plain"}
    assert {row["training"] for row in modes(urls[1])} == {"plain"}
    assert fused.keys() == plain.keys()
    for key in fused:
        for part in ("status", "reason", "recipe", "seeds", "epochs"):
            assert fused[key][part] == plain[key][part]
        for one, other in zip(fused[key]["curve"], plain[key]["curve"], strict=True):
            assert one[:3] == other[:3]
            assert one[3] == pytest.approx(other[3], rel=1e-12, abs=1e-12)


def test_a_trial_has_its_curve_whatever_the_number_of_slots(tmp_path, host, monkeypatch):
    """With proposals that do not look at results, the whole study is the same."""
    monkeypatch.setattr(choose, "measured", lambda *_: choose.Sizes(1))
    study = write_study(tmp_path / "study", pruner='"none"')
    found = []
    for slots in (3, 16):
        url = f"sqlite:///{tmp_path}/{slots}.db"
        run(
            study,
            url,
            f"training.together={slots}",
            "search.strategy=random",
            "space.batch_size=[16]",
            ALIKE,
            host=host,
        )
        assert {row["training"] for row in modes(url)} == {"fused"}
        found.append(contents(url)["ours"])

    assert found[0] == found[1]


def test_why_a_trial_is_trained_by_itself_is_in_its_row_and_said_once(tmp_path, host, monkeypatch):
    monkeypatch.setattr(choose, "measured", lambda *_: choose.Sizes(choose.NEVER))
    study = write_study(tmp_path / "study")
    url = f"sqlite:///{tmp_path}/s.db"
    said = []

    class Listening(runner.Progress):
        def noted(self, text):
            said.append(text)

    run(study, url, "training.together=4", host=host, progress=Listening())

    because = "a stack of this model and batch size never pays"
    assert {row["because"] for row in modes(url)} == {because}
    assert len(said) == 1
    assert said[0].endswith(f"is trained by itself: {because}")


def test_why_a_stack_is_not_compiled_is_in_its_rows(tmp_path, host, stacks_of_two):
    study = write_study(tmp_path / "study")
    url = f"sqlite:///{tmp_path}/s.db"

    run(study, url, "training.together=4", "training.compile=true", ALIKE, host=host)

    said = {row.get("because") for row in modes(url) if row["training"] == "fused"}
    assert said == {"not compiled: fewer than 8 trials of its kind"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["training.compile=true"], 'is for several trials at a time: set together = K or "auto"'),
        (["training.compile=1", "training.together=2"], 'must be true, false or "auto", not 1'),
    ],
)
def test_what_cannot_be_compiled_is_refused(tmp_path, settings, message):
    with pytest.raises(SpecError, match=rf"\[training\] compile: {message}"):
        load_study(write_study(tmp_path), settings)


def test_a_study_that_is_to_be_compiled_needs_a_compiler(tmp_path, host, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    study = write_study(tmp_path / "study")

    with pytest.raises(SpecError, match=r"\[training\] compile: needs a C\+\+ compiler"):
        run(
            study,
            f"sqlite:///{tmp_path}/s.db",
            "training.together=4",
            "training.compile=true",
            host=host,
        )


def test_what_was_measured_is_forgotten_with_the_study(tmp_path, host, stacks_of_two):
    study = write_study(tmp_path / "study")
    url = f"sqlite:///{tmp_path}/s.db"

    run(study, url, "training.together=4", host=host)

    assert not Path(f"{tmp_path}/s.checkpoints").exists()


@pytest.mark.skipif(os.name != "posix", reason="needs a signal that nobody can catch")
def test_a_study_killed_five_times_ends_as_the_undisturbed_one(tmp_path, host, stacks_of_two):
    study = write_study(tmp_path / "study", points=3000, pruner=HYPERBAND)
    settings = (f"training.together={SLOTS}", ALIKE)
    undisturbed, killed = (f"sqlite:///{tmp_path}/{name}.db" for name in ("undisturbed", "killed"))
    run(study, undisturbed, *settings, host=host)
    moments = random.Random(HYPERBAND)

    harness = Path(__file__).with_name("killed_together.py")
    done = subprocess.run(
        [sys.executable, str(harness), str(study), killed, str(SLOTS)]
        + [str(moments.uniform(0.15, 0.5)) for _ in range(5)],
        capture_output=True,
        text=True,
        check=True,
    )
    run(study, killed, *settings, host=host)

    assert done.stdout.split() == ["killed"] * 5
    assert contents(killed) == contents(undisturbed)
    assert all(row.status.is_final for row in rows_of(killed))
    assert not Path(f"{tmp_path}/killed.checkpoints").exists()
