from __future__ import annotations

import pytest

from automl_opt.core.params import Int
from automl_opt.core.spec import parse_study
from automl_opt.search.space import arms_of
from automl_opt.study.edges import Edge, edges, extended

STUDY = {
    "name": "s",
    "task": "a:b",
    "space": {
        "optimizer": ["adamw"],
        "scheduler": ["cosine", "warmup(cosine)"],
        "batch_size": {"low": 16, "high": 256, "log": True},
    },
    "ranges": {"optimizer": {"builtin.adamw": {"lr": {"high": 0.1, "default": 0.01}}}},
}
MODEL = {"width": Int(8, 64, log=True, default=16)}


def edge(**changes) -> Edge:
    given = {
        "entry": "optimizer.lr",
        "kind": "optimizer",
        "component": "builtin.adamw",
        "param": "lr",
        "value": 0.95,
        "low": 0.1,
        "high": 1.0,
        "log": True,
        "whole": False,
        "step": None,
    }
    return Edge(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "end", "moved"),
    [
        ({}, "high", 10**0.5),  # half a decade more of one
        ({"value": 0.11}, "low", 0.1 / 10**0.5),
        ({"low": 1e-6}, "high", 10.0),  # a decade at most, of three
        ({"low": 0.5, "high": 0.99, "value": 0.98, "log": False}, "high", 0.995),
        ({"low": 0.8, "high": 0.99, "value": 0.8, "log": False}, "low", 0.4),
        ({"low": 0.0, "high": 0.2, "value": 0.0, "log": False}, "low", 0.0),
        ({"low": 2.0, "high": 6.0, "value": 6.0, "log": False}, "high", 8.0),
        ({"low": 2.0, "high": 6.0, "value": 2.0, "log": False}, "low", 0.0),
        ({"low": -1.0, "high": 3.0, "value": -1.0, "log": False}, "low", -3.0),
        ({"low": 3, "high": 20, "value": 20, "log": False, "whole": True, "step": 1}, "high", 29),
        ({"low": 1, "high": 5, "value": 1, "log": False, "whole": True, "step": 1}, "low", 1),
        ({"low": 8, "high": 64, "value": 60, "whole": True}, "high", 181),
        ({"low": 0, "high": 10, "value": 10, "log": False, "step": 2.5}, "high", 15),
    ],
)
def test_an_end_moves_out_by_half_the_range_on_its_scale(changes, end, moved):
    found = edge(**changes)

    assert found.end == end
    assert found.widened() == pytest.approx(moved)


@pytest.fixture
def space(catalog):
    [space] = arms_of(parse_study(STUDY, source="s"), catalog, MODEL)
    return space


def entries_of(space):
    import json

    return {entry["name"]: entry for entry in json.loads(space.space.to_json())}


def recipe_of(space, **values):
    given = {**space.space.defaults(), **values}
    names = [entry.name for entry in space.space.entries]
    defaults = {entry.name: entry.param.default for entry in space.space.entries}
    return space.recipe({name: given.get(name, defaults[name]) for name in names})


MIDDLE = {
    "optimizer.lr": 3e-3,
    "optimizer.beta1": 0.9,
    "optimizer.beta2": 0.95,
    "optimizer.weight_decay": 1e-3,
    "scheduler": "cosine",
    "scheduler.cosine.floor": 0.1,
    "batch_size": 64,
    "model.width": 22,
}


def test_every_kind_of_number_can_lie_at_an_edge(space, catalog):
    values = {
        "optimizer.lr": 0.09,
        "scheduler": "warmup(cosine)",
        "scheduler.warmup(cosine).floor": 0.199,
        "scheduler.warmup(cosine).warmup.fraction": 0.29,
        "scheduler.warmup(cosine).warmup.start": 0.02,
        "batch_size": 17,
        "model.width": 64,
    }
    found = {
        e.entry: (e.kind, e.component, e.param, e.end)
        for e in edges(recipe_of(space, **{**MIDDLE, **values}), entries_of(space), catalog)
    }

    assert found == {
        "optimizer.lr": ("optimizer", "builtin.adamw", "lr", "high"),
        "scheduler.warmup(cosine).floor": ("scheduler", "builtin.cosine", "floor", "high"),
        "scheduler.warmup(cosine).warmup.fraction": (
            "scheduler",
            "builtin.warmup",
            "fraction",
            "high",
        ),
        "batch_size": ("batch_size", None, "batch_size", "low"),
        "model.width": ("model", None, "width", "high"),
    }


def test_the_extended_study_has_the_ends_further_out_and_the_rest_as_it_was(space, catalog):
    values = {"optimizer.lr": 0.09, "batch_size": 17, "model.width": 64}
    recipe = recipe_of(space, **{**MIDDLE, **values})
    spec = parse_study(STUDY, source="s")

    wider = extended(spec, list(edges(recipe, entries_of(space), catalog)), catalog)
    from automl_opt.core.params import overridden

    width = overridden(MODEL["width"], wider.overrides["model"]["width"])
    [after] = arms_of(wider, catalog, {"width": width})

    changed = entries_of(after)
    assert wider.name == "s.extended"
    assert (changed["optimizer.lr"]["low"], changed["optimizer.lr"]["high"]) == (1e-4, 1.0)
    assert changed["optimizer.lr"]["default"] == 0.01
    assert changed["batch_size"]["low"] == 4
    assert (changed["model.width"]["low"], changed["model.width"]["high"]) == (8, 181)
    same = set(changed) - {"optimizer.lr", "batch_size", "model.width"}
    assert {name: changed[name] for name in same} == {
        name: entries_of(space)[name] for name in same
    }


def test_of_two_edges_of_one_end_the_further_counts(catalog):
    spec = parse_study(STUDY, source="s")
    found = [edge(high=1.0), edge(high=1.0, low=0.5)]

    for order in (found, found[::-1]):
        wider = extended(spec, order, catalog)
        assert wider.overrides["optimizer"]["builtin.adamw"]["lr"]["high"] == pytest.approx(10**0.5)
