from __future__ import annotations

import pytest

from automl_opt.core import errors
from automl_opt.core.errors import AutomlOptError, did_you_mean

IDS = ["acme.lion", "builtin.adam", "builtin.adamw", "builtin.sgd"]


@pytest.mark.parametrize(
    ("name", "allowed", "nearest"),
    [
        ("adamv", IDS, "builtin.adamw"),
        ("adam_", IDS, "builtin.adamw"),
        ("adma", IDS, "builtin.adam"),
        ("lino", IDS, "acme.lion"),
        ("acme.lino", IDS, "acme.lion"),
        ("bultin.sgd", IDS, "builtin.sgd"),
        ("optimiser", ["optimizer", "scheduler"], "optimizer"),
        ("maximise", ["minimize", "maximize"], "maximize"),
        ("epoch", ["epochs", "device"], "epochs"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest_right_one(name, allowed, nearest):
    assert did_you_mean(name, allowed).startswith(f"did you mean {nearest!r}? allowed: ")


@pytest.mark.parametrize("name", ["", "xyzzy", "ad"])
def test_a_name_like_no_other_is_answered_with_the_allowed_ones_alone(name):
    assert did_you_mean(name, ["sgd", "builtin.rmsprop"]) == "allowed: builtin.rmsprop, sgd"


def test_where_nothing_is_allowed_the_message_says_so():
    assert did_you_mean("adamw", []) == "allowed: nothing"


def test_a_long_list_is_cut_and_counted():
    text = did_you_mean("zzz", (f"n{i}" for i in range(20)), show=3)

    assert text == "allowed: n0, n1, n10, … (20 in all)"


def test_every_error_is_one_the_command_line_shows_without_a_traceback():
    ours = [x for x in vars(errors).values() if getattr(x, "__module__", None) == errors.__name__]

    classes = [x for x in ours if isinstance(x, type)]

    assert len(classes) > 5
    assert [x for x in classes if not issubclass(x, AutomlOptError)] == []
