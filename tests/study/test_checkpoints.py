from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from automl_opt.core.errors import SpecError
from automl_opt.core.result import Trial
from automl_opt.core.seeds import Seeds
from automl_opt.core.spec import load_study
from automl_opt.store import Store
from automl_opt.study.checkpoints import Checkpoints

from .examples import write_study

TRIAL = Trial(arm="sgd", number=3, trial_id=8, recipe=None, seeds=Seeds.of_trial(0, "sgd", 3))
PLACES = [None, "{}/kept", "file://{}/kept", "memory://kept"]


def spec_of(folder, place):
    study = write_study(folder / "study")
    return load_study(study, [f"training.checkpoints={place}"] if place else [])


@pytest.fixture
def store(tmp_path):
    with Store.open(f"sqlite:///{tmp_path}/s.db") as store:
        yield store


@pytest.mark.parametrize("place", PLACES)
def test_what_is_not_needed_is_swept_and_nothing_else(tmp_path, store, place):
    spec = spec_of(tmp_path, place and place.format(tmp_path))
    kept = Checkpoints(spec, store)
    needed, left, deleted = (kept.place(TRIAL, 1, epoch) for epoch in (1, 2, 3))
    lock = f"{needed.rpartition('/')[0]}/lock"
    held = kept.place(replace(TRIAL, number=30), 1, 2)
    for file in (needed, left, deleted, lock, held):
        with fsspec.open(file, "wb") as opened:
            opened.write(b"state")

    again = Checkpoints(spec, store)
    again.delete(deleted)
    again.delete(deleted)
    again.sweep(again.files(), {needed, None, "/another/place.pt"}, [(TRIAL.arm, 30)])

    there = [again.exists(file) for file in (needed, left, deleted, lock, held)]
    assert there == [True, False, False, True, True]


def test_a_folder_that_others_have_removed_needs_no_sweep(tmp_path, store):
    kept = Checkpoints(spec_of(tmp_path, None), store)
    Path(kept.place(TRIAL, 1, 1)).parent.rmdir()

    kept.sweep(kept.files(), set(), [])

    assert not kept.exists(kept.place(TRIAL, 1, 1))


def test_what_another_writes_between_the_two_questions_stays(tmp_path, store):
    swept = Checkpoints(spec_of(tmp_path, f"file://{tmp_path}/kept"), store)
    left, new = swept.place(TRIAL, 1, 1), swept.place(TRIAL, 2, 1)
    fsspec.open(left, "wb").open().close()
    files = swept.files()
    fsspec.open(new, "wb").open().close()

    swept.sweep(files, set(), [])

    assert [swept.exists(place) for place in (left, new)] == [False, True]


def test_studies_of_one_name_in_two_databases_share_a_place(tmp_path, store):
    spec = spec_of(tmp_path, f"file://{tmp_path}/kept")
    ours = Checkpoints(spec, store).place(TRIAL, 1, 1)
    fsspec.open(ours, "wb").open().close()

    with Store.open(f"sqlite:///{tmp_path}/other.db") as other:
        swept = Checkpoints(spec, other)
        swept.sweep(swept.files(), set(), [])

    assert Path(ours.removeprefix("file://")).is_file()


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("s9://bucket/states", "Protocol not known: s9"),
        ("/dev/null/states", "cannot be written"),
        ("sftp://user:secret@host/states", "must not hold a password"),
    ],
)
def test_a_place_that_will_not_do_is_named(tmp_path, store, place, reason):
    with pytest.raises(SpecError, match=rf"\[training\] checkpoints: .*{reason}") as refused:
        Checkpoints(spec_of(tmp_path, place), store)
    assert "secret" not in str(refused.value)
