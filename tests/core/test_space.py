from __future__ import annotations

import json

import optuna
import pytest

from automl_opt.core.errors import ParamError
from automl_opt.core.params import Float, Int, OneOf, Prior
from automl_opt.core.space import Entry, SearchSpace

SPACE = SearchSpace(
    (
        Entry("optimizer", OneOf(("sgd", "adamw"))),
        Entry("sgd.nesterov", OneOf((False, True)), (("optimizer", ("sgd",)),)),
        Entry(
            "sgd.momentum",
            Float(0.5, 0.9),
            (("optimizer", ("sgd",)), ("sgd.nesterov", (True,))),
        ),
        Entry("adamw.lr", Float(1e-4, 1e-1, log=True), (("optimizer", ("adamw",)),)),
        Entry("batch_size", Int(8, 64, step=8)),
    )
)


@pytest.mark.parametrize(
    ("fixed", "asked"),
    [
        ({"optimizer": "adamw"}, ["optimizer", "adamw.lr", "batch_size"]),
        (
            {"optimizer": "sgd", "sgd.nesterov": False},
            ["optimizer", "sgd.nesterov", "batch_size"],
        ),
        (
            {"optimizer": "sgd", "sgd.nesterov": True},
            ["optimizer", "sgd.nesterov", "sgd.momentum", "batch_size"],
        ),
    ],
)
def test_only_entries_whose_conditions_hold_are_asked_for(fixed, asked):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(fixed)

    trial = study.ask()
    values = SPACE.suggest_values(trial)

    assert list(values) == asked
    assert trial.params == values


def test_the_defaults_are_a_point_of_the_space():
    assert SPACE.defaults() == {"optimizer": "sgd", "sgd.nesterov": False, "batch_size": 32}


def test_the_json_names_every_entry_with_its_range_and_its_conditions():
    data = json.loads(SPACE.to_json())

    assert [entry["name"] for entry in data] == [entry.name for entry in SPACE.entries]
    assert data[3]["when"] == [["optimizer", ["adamw"]]]
    assert (data[3]["low"], data[3]["high"], data[3]["log"]) == (1e-4, 1e-1, True)


@pytest.mark.parametrize(
    "entry",
    [
        Entry("batch_size", Int(8, 128, step=8)),
        Entry("batch_size", Int(8, 64, step=8, default=8)),
        Entry("batch_size", Int(8, 64, step=8, prior=Prior(32, 8))),
        Entry("batch_size", Int(8, 64, step=8), (("optimizer", ("sgd",)),)),
        Entry("batch", Int(8, 64, step=8)),
    ],
)
def test_a_space_that_differs_in_anything_has_another_fingerprint(entry):
    other = SearchSpace((*SPACE.entries[:-1], entry))

    assert other.fingerprint() != SPACE.fingerprint()
    assert SearchSpace(SPACE.entries).fingerprint() == SPACE.fingerprint()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ((Entry("a", Int(0, 1)), Entry("a", Int(0, 2))), "two entries .* named 'a'"),
        ((Entry("a", Int(0, 1), (("b", (1,)),)), Entry("b", Int(0, 1))), "'a' hangs from 'b'"),
        ((Entry("a", Int(0, 1), (("a", (1,)),)),), "'a' hangs from 'a'"),
    ],
)
def test_a_space_with_an_entry_that_is_double_or_never_active_is_refused(entries, message):
    with pytest.raises(ParamError, match=message):
        SearchSpace(entries)
