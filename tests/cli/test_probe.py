"""``automl-opt probe``: an answer for each arm and each regularizer, and nothing kept."""

from __future__ import annotations

import json

from .shell import automl_opt, write_study


def test_every_arm_and_regularizer_is_told_how_it_would_be_trained(tmp_path):
    write_study(tmp_path)
    asked = ["--set", 'space.optimizer=["adamw", "lbfgs"]', "--set", 'space.regularizer=["l2"]']

    done = automl_opt("probe", ".", *asked, folder=tmp_path)

    head, adamw, lbfgs, l2 = done.out.splitlines()
    assert head.split() == ["arm", "trained", "in"]
    assert adamw.startswith("adamw")
    assert lbfgs.split(maxsplit=1) == [
        "lbfgs",
        "one by one: builtin.lbfgs evaluates the model by itself",
    ]
    assert l2.startswith("with l2")
    assert {path.name for path in tmp_path.iterdir()} <= {"study.toml", "task.py", "__pycache__"}


def test_as_json_the_numbers_are_apart_from_the_reasons(tmp_path):
    write_study(tmp_path)

    done = automl_opt("probe", ".", "--json", folder=tmp_path)

    found = json.loads(done.out)
    assert [each["name"] for each in found] == ["adamw", "sgd"]
    assert all(each["refusal"] is None for each in found)
    assert all(each["smallest"] is None or each["smallest"] >= 2 for each in found)
