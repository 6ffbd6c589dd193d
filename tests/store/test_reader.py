from __future__ import annotations

from automl_opt.core.result import EpochReport, Measurement, Status

from .examples import report, result, save, start, trial


def test_an_epochs_seconds_count_once_whatever_was_measured_in_it(store, open_store):
    start(store, trial())
    store.epoch(report(trial(), 1, seconds=1.0))
    store.epoch(report(trial(), 2, seconds=2.0))
    store.epoch(report(trial(), 3, seconds=100.0))
    store.flush()

    later = open_store()
    start(later, trial(), from_epoch=2)
    later.epoch(report(trial(), 3, seconds=4.0))
    later.finish(result(trial(), 3))

    (found,) = later.trials("digits")
    assert found.seconds == 7.0


def test_a_trial_without_an_epoch_took_no_seconds(store):
    start(store, trial())
    store.finish(result(trial(), 0, Status.FAILED, value=None, test=(), reason="no such file"))

    (found,) = store.trials("digits")

    assert (found.seconds, found.status, found.value) == (0.0, Status.FAILED, None)
    assert store.curves("digits") == {}


def test_trials_come_arm_by_arm_in_order_of_creation_then_by_number(store):
    save(store, study_id=7, arm="adamw")
    save(store, study_id=3, arm="lion")
    save(store, study_id=9, arm="sgd", name="other")
    for study_id, arm, number in [(3, "lion", 0), (7, "adamw", 1), (1, "sgd", 1), (1, "sgd", 0)]:
        start(
            store,
            trial(number, arm=arm, trial_id=study_id * 10 + number),
            study_id=study_id,
        )
    start(store, trial(trial_id=90), study_id=9)

    assert [row.arm for row in store.studies("digits")] == ["sgd", "adamw", "lion"]
    assert [row.name for row in store.studies()] == ["digits"] * 3 + ["other"]
    assert [(row.arm, row.number) for row in store.trials("digits")] == [
        ("sgd", 0),
        ("sgd", 1),
        ("adamw", 1),
        ("lion", 0),
    ]
    assert store.trials("nonesuch") == []


def test_a_curve_is_ordered_by_epoch_split_and_metric(store):
    start(store, trial())
    for epoch in (1, 2):
        store.epoch(
            EpochReport(
                trial=trial(),
                epoch=epoch,
                value=1.0,
                measurements=(
                    Measurement("valid", "loss", 1.0),
                    Measurement("train", "loss", 2.0),
                    Measurement("valid", "accuracy", 3.0),
                ),
                seconds=0.5,
            )
        )
    store.finish(result(trial(), 2))

    found = [(row.epoch, row.split, row.metric, row.seconds) for row in store.curve(100)]

    assert found == [
        (1, "train", "loss", 0.5),
        (1, "valid", "accuracy", 0.5),
        (1, "valid", "loss", 0.5),
        (2, "test", "loss", None),
        (2, "train", "loss", 0.5),
        (2, "valid", "accuracy", 0.5),
        (2, "valid", "loss", 0.5),
    ]


def test_all_curves_at_once_are_the_curves_one_by_one(store):
    save(store, study_id=2, arm="adamw")
    save(store, study_id=3, name="other")
    ids = {1: 10, 2: 20, 3: 30}
    for study_id, trial_id in ids.items():
        each = trial(trial_id=trial_id)
        start(store, each, study_id=study_id)
        store.epoch(report(each, 1, loss=float(trial_id)))
    store.flush()

    found = store.curves("digits")

    assert found == {10: store.curve(10), 20: store.curve(20)}
    assert {row.split for row in store.curves("digits", split="valid")[10]} == {"valid"}


def test_components_are_those_that_any_run_was_trained_with(store):
    start(store, trial(0))
    start(store, trial(1))

    found = [(row.kind, row.name, row.distribution) for row in store.components("digits")]

    assert found == [
        ("optimizer", "acme.sgd", "automl-opt-acme"),
        ("regularizer", "acme.clip", "automl-opt-acme"),
    ]
    assert store.components("other") == []


def test_environments_come_once_each_the_latest_last(store):
    for number, torch in enumerate(["2.6", "2.7", "2.6"]):
        start(store, trial(number), environment={"torch": torch})

    assert store.environments("digits") == [{"torch": "2.7"}, {"torch": "2.6"}]
