"""A trial that goes on from a checkpoint ends, to the bit, where the undisturbed one ends."""

from __future__ import annotations

import io

import pytest
import torch

from automl_opt.core.result import Status

from .examples import (
    BUILTIN,
    Norms,
    assert_same,
    components,
    engine,
    finish,
    for_everything,
    part,
    recipe,
    resumed,
    same_bits,
    task,
    train,
    trial,
    whole,
)

EPOCHS = 4


@pytest.mark.parametrize("scheduler", ["cosine", "reduce_on_plateau"])
@pytest.mark.parametrize("optimizer", whole("optimizer", "adamw"), ids=lambda c: c.label)
def test_a_resumed_trial_ends_as_the_undisturbed_one(optimizer, scheduler, tmp_path):
    one = trial(
        recipe(
            optimizer=part(BUILTIN, "optimizer", optimizer.name),
            scheduler=part(BUILTIN, "scheduler", scheduler),
            regularizers=("dropout", "clip_norm", "l2", "early_stopping"),
        )
    )
    undisturbed = train(engine(task(model=Norms), epochs=EPOCHS), one)
    assert undisturbed.status is Status.COMPLETE

    for at in range(1, EPOCHS):
        run = resumed(
            lambda: engine(task(model=Norms), epochs=EPOCHS), one, tmp_path / f"{at}.pt", at
        )
        assert_same(run, undisturbed)


@pytest.mark.parametrize("scheduler", whole("scheduler", "cosine"), ids=lambda c: c.label)
def test_a_trial_resumes_in_the_middle_of_any_schedule(scheduler, tmp_path):
    one = trial(
        recipe(optimizer="momentum", scheduler=part(BUILTIN, "scheduler", scheduler.name)), number=3
    )
    undisturbed = train(engine(task(), epochs=EPOCHS), one)

    for at in range(1, EPOCHS):
        run = resumed(lambda: engine(task(), epochs=EPOCHS), one, tmp_path / f"{at}.pt", at)
        assert_same(run, undisturbed)


@pytest.mark.parametrize("place", ["memory://deep/c.pt", "file://{}/c.pt", "a message"])
def test_a_checkpoint_may_lie_at_a_url_or_travel(place, tmp_path):
    one = trial(recipe(optimizer="momentum"))
    first = engine(task())
    first.admit(one)
    first.advance()
    if place == "a message":
        buffer = io.BytesIO()
        first.save(one, buffer)
        place = io.BytesIO(buffer.getvalue())
    else:
        place = place.format(tmp_path)
        first.save(one, place)

    second = engine(task())

    assert second.admit(one, place) == 1
    assert same_bits(finish(second, one).weights, train(engine(task()), one).weights)


@pytest.mark.parametrize("regularizer", components("regularizer"), ids=lambda c: c.id)
def test_a_trial_resumes_under_any_regularizer(regularizer, tmp_path):
    one = trial(
        recipe(optimizer="adam", regularizers=(part(BUILTIN, "regularizer", regularizer.id),))
    )
    undisturbed = train(engine(for_everything(), epochs=EPOCHS), one)
    assert undisturbed.status is Status.COMPLETE, undisturbed.reason

    for at in range(1, EPOCHS):
        run = resumed(
            lambda: engine(for_everything(), epochs=EPOCHS), one, tmp_path / f"{at}.pt", at
        )
        assert_same(run, undisturbed)


@pytest.mark.parametrize("optimizer", ["acme.radam", "acme.lbfgs", "acme.lion"])
def test_a_trial_of_a_plugins_optimizer_resumes(installed, optimizer, tmp_path):
    catalog = installed.add("healthy").host(ours=True).catalog
    one = trial(recipe(catalog, optimizer=optimizer, scheduler="cosine", regularizers=("dropout",)))

    undisturbed = train(engine(task(), catalog, epochs=EPOCHS), one)

    assert undisturbed.status is Status.COMPLETE, undisturbed.reason
    for at in range(1, EPOCHS):
        run = resumed(lambda: engine(task(), catalog, epochs=EPOCHS), one, tmp_path / "c.pt", at)
        assert_same(run, undisturbed)


def test_a_metric_driven_schedule_counts_the_epochs_before_the_checkpoint(tmp_path):
    """Losses that hardly fall lower the rate after epochs 3 and 5."""
    plateau = part(BUILTIN, "scheduler", "reduce_on_plateau", patience=1, gamma=0.1, threshold=0.01)
    slow = part(BUILTIN, "optimizer", "sgd", lr=1e-4)
    one = trial(recipe(optimizer=slow, scheduler=plateau))
    constant = trial(recipe(optimizer=slow))

    undisturbed = train(engine(task(), epochs=6), one)

    assert not same_bits(undisturbed.weights, train(engine(task(), epochs=6), constant).weights)
    for at in range(1, 6):
        run = resumed(lambda: engine(task(), epochs=6), one, tmp_path / "c.pt", at)
        assert_same(run, undisturbed)


def test_early_stopping_counts_the_epochs_before_the_checkpoint(tmp_path):
    patient = part(BUILTIN, "regularizer", "early_stopping", patience=3, min_delta=1e-2)
    still = part(BUILTIN, "optimizer", "sgd", lr=1e-9)
    one = trial(recipe(optimizer=still, regularizers=(patient,)))

    def make():
        return engine(task(), epochs=20)

    undisturbed = train(make(), one)

    assert [r.epoch for r in undisturbed.reports] == [1, 2, 3, 4]
    assert (undisturbed.status, undisturbed.reason) == (Status.COMPLETE, "stopped early")
    assert undisturbed.result.value == undisturbed.reports[-1].value
    for at in (1, 2, 3):
        assert_same(resumed(make, one, tmp_path / "c.pt", at), undisturbed)


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b"not a checkpoint"),
        lambda file: file.write_bytes(file.read_bytes()[:-200]),
        lambda file: file.unlink(),
        lambda file: torch.save({"format": 0}, file),
        lambda file: torch.save({**torch.load(file), "model": {}}, file),
        lambda file: torch.save({**torch.load(file), "seeds": {"split": 1}}, file),
        lambda file: torch.save({**torch.load(file), "recipe": "another"}, file),
    ],
    ids=["nonsense", "cut off", "gone", "old format", "another model", "other seeds", "recipe"],
)
def test_a_checkpoint_that_cannot_be_used_is_warned_about_and_the_trial_starts_again(
    tmp_path, damage
):
    one = trial(recipe(optimizer="adam", regularizers=("dropout",)))
    undisturbed = train(engine(task()), one)
    first = engine(task())
    first.admit(one)
    first.advance()
    first.save(one, tmp_path / "c.pt")
    damage(tmp_path / "c.pt")

    second = engine(task())
    with pytest.warns(RuntimeWarning, match=r"arm #0: starts again, its checkpoint .*c\.pt"):
        assert second.admit(one, tmp_path / "c.pt") == 0

    assert_same(finish(second, one), undisturbed)


def test_a_checkpoint_is_whole_or_not_there(tmp_path, monkeypatch):
    one = trial(recipe())
    first = engine(task())
    first.admit(one)
    first.advance()
    first.save(one, tmp_path / "deep" / "c.pt")
    good = (tmp_path / "deep" / "c.pt").read_bytes()
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["c.pt"]

    def full_disk(state, file):
        file.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="no space left"):
        first.save(one, tmp_path / "deep" / "c.pt")

    assert (tmp_path / "deep" / "c.pt").read_bytes() == good
