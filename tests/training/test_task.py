from __future__ import annotations

import textwrap

import pytest
import torch
from torch import nn
from torch.nn import functional

from automl_opt.core.errors import SpecError, TaskError
from automl_opt.core.params import Float, Int
from automl_opt.core.spec import parse_study
from automl_opt.training.task import LOSSES, METRICS, Metric, Task, load_task, where

from .examples import blobs, mlp, task


def study(place="task.py:digits", source="study.toml", **more):
    return parse_study(
        {"name": "s", "task": place, "space": {"optimizer": ["sgd"]}, **more}, source=str(source)
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": nn.Linear(1, 1).weight}, "model must be a function that makes a model"),
        ({"data": None}, r"give data=…, or train=… with valid=…"),
        ({"train": (), "data": ()}, r"give data=…, or train=… with valid=…"),
        ({"train": ()}, r"train=… needs valid=…: a search cannot judge on training data"),
        ({"data": (), "test": ()}, r"data=… is split by itself"),
        ({"data": (), "valid": ()}, r"data=… is split by itself"),
        ({"split": (0.5, 0.5)}, r"split \(0.5, 0.5\) must be three shares"),
        ({"split": (0.5, 0.3, 0.3)}, "add up to 1"),
        ({"split": (0.0, 0.5, 0.5)}, "the first two above 0"),
        ({"split": (1.2, 0.2, -0.4)}, "must be three shares"),
        ({"loss": "cross_entropi"}, "no loss named 'cross_entropi'; did you mean 'cross_entropy'"),
        ({"loss": 3}, "loss must be a name or a function, not 3"),
        ({"metrics": ["acuracy"]}, "no metric named 'acuracy'; did you mean 'accuracy'"),
        ({"metrics": [len]}, "a metric is a name or a Metric, not <built-in function len>"),
        ({"metrics": ["mse", "mse"]}, "metrics: 'mse' is there twice"),
        ({"metrics": [Metric("loss", len, "minimize")]}, "'loss' always is"),
        ({"params": {"width": 3}}, r"params\['width'\] must be a Float, Int or OneOf, not 3"),
    ],
)
def test_a_task_that_cannot_be_trained_is_refused_with_its_reason(changes, message):
    given = {"model": mlp, **({} if "train" in changes else {"data": blobs()}), **changes}

    with pytest.raises(TaskError, match=message):
        Task(**given)


@pytest.mark.parametrize(
    ("function", "direction", "message"),
    [
        ("f1", "maximize", "metric 'own' needs a function, not 'f1'"),
        (len, "max", "metric 'own': direction must be 'minimize' or 'maximize', not 'max'"),
    ],
)
def test_a_metric_that_cannot_judge_is_refused_with_its_reason(function, direction, message):
    with pytest.raises(TaskError, match=message):
        Metric("own", function, direction)


@pytest.mark.parametrize(
    ("metric", "outputs", "targets", "value"),
    [
        ("accuracy", [[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]], [1, 0, 0], 2 / 3),
        ("accuracy", [-1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 1.0, 0.0], 3 / 4),
        ("accuracy", [[-1.0], [2.0]], [[1.0], [1.0]], 1 / 2),
        ("error_rate", [[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]], [1, 0, 0], 1 / 3),
        ("mse", [1.0, 2.0], [3.0, 2.0], 2.0),
        ("mae", [1.0, 2.0], [3.0, 2.0], 1.0),
        ("r2", [1.0, 2.0, 3.0], [1.0, 2.0, 3.0], 1.0),
        ("r2", [2.0, 2.0, 2.0], [1.0, 2.0, 3.0], 0.0),
    ],
)
def test_a_metric_gives_what_was_worked_out_by_hand(metric, outputs, targets, value):
    found = METRICS[metric].function(torch.tensor(outputs), torch.tensor(targets))

    assert float(found) == pytest.approx(value)


@pytest.mark.parametrize("name", ["mse", "l1", "huber", "binary_cross_entropy_with_logits"])
def test_a_loss_equals_that_of_torch_and_does_not_broadcast(name):
    outputs, targets = torch.randn(5), torch.rand(5)
    torch_name = {"mse": "mse_loss", "l1": "l1_loss", "huber": "huber_loss"}.get(name, name)

    assert LOSSES[name](outputs, targets) == getattr(functional, torch_name)(outputs, targets)
    with pytest.raises(TaskError, match=r"shape \[5, 1\] do not fit targets of shape \[5\]"):
        LOSSES[name](outputs[:, None], targets)


@pytest.mark.parametrize("name", ["mse", "mae", "r2", "accuracy", "error_rate"])
def test_a_metric_does_not_broadcast(name):
    with pytest.raises(TaskError, match=r"shape \[5, 1\] do not fit targets of shape \[5\]"):
        METRICS[name].function(torch.zeros(5, 1), torch.zeros(5))


def test_accuracy_refuses_many_logits_with_a_target_each():
    with pytest.raises(TaskError, match="do not fit"):
        METRICS["accuracy"].function(torch.zeros(5, 3), torch.zeros(5, 3))


def test_the_direction_is_that_of_the_metric():
    own = task(metrics=["accuracy", "mse", Metric("cost", len, "minimize")])

    found = {name: own.direction_of(name) for name in ("loss", "accuracy", "mse", "cost")}

    expected = ["minimize", "maximize", "minimize", "minimize"]
    assert found == dict(zip(found, expected, strict=True))
    with pytest.raises(
        TaskError, match="the task has no metric 'acuracy'; did you mean 'accuracy'"
    ):
        own.direction_of("acuracy")


def test_a_study_narrows_the_ranges_of_the_model():
    own = task(params={"width": Int(2, 64, default=8), "slope": Float(0.0, 1.0, default=0.5)})

    ranges = own.ranges(study(ranges={"model": {"width": [4, 8]}}))

    assert ranges["slope"] == own.params["slope"]
    assert ranges["width"].choices == (4, 8)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"widht": 3}, r"study.toml, \[ranges.model\] widht: .*did you mean 'width'"),
        ({"width": {"low": 9, "high": 1}}, r"study.toml, \[ranges.model\] width: "),
    ],
)
def test_a_range_that_the_model_has_not_is_refused(override, message):
    with pytest.raises(SpecError, match=message):
        task(params={"width": Int(2, 64, default=8)}).ranges(study(ranges={"model": override}))


GOOD = """
    import torch
    from automl_opt import Task

    class Net(torch.nn.Linear):
        pass

    def digits():
        return Task(model=lambda: Net(4, 3), data=(torch.zeros(9, 4), torch.zeros(9)))
"""


def written(folder, text):
    (folder / "task.py").write_text(textwrap.dedent(text), encoding="utf-8")
    return folder / "study.toml"


def test_a_task_is_loaded_from_the_file_beside_the_study(tmp_path):
    source = written(tmp_path, GOOD)

    assert isinstance(load_task(study(source=source)), Task)


def test_a_task_is_loaded_from_a_module(tmp_path, monkeypatch):
    (tmp_path / "some_tasks.py").write_text(textwrap.dedent(GOOD), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert isinstance(load_task(study("some_tasks:digits")), Task)


@pytest.mark.parametrize(
    ("place", "text", "message"),
    [
        ("tusk.py:digits", GOOD, r"there is no file .*tusk\.py; did you mean 'task\.py'"),
        ("task.py:digit", GOOD, r"task\.py has no function 'digit'; did you mean 'digits'"),
        ("no_such_module:digits", GOOD, "there is no module 'no_such_module'"),
        ("task.py:digits", "import nonexistent", "ModuleNotFoundError: .*nonexistent"),
        ("task.py:digits", "def digits(:", "SyntaxError"),
        ("task.py:digits", "import sys\nsys.exit(3)", r"SystemExit: 3 \(task\.py:2\)"),
        ("task.py:digits", "def digits():\n    return 1 / 0", r"ZeroDivisionError.*task\.py:2"),
        ("task.py:digits", "def digits():\n    return 7", "must return an automl_opt.Task, not 7"),
        (
            "task.py:digits",
            "from automl_opt import Task\ndef digits():\n    return Task(model=len)",
            "task.py:digits: give data=…",
        ),
    ],
)
def test_a_task_that_cannot_be_loaded_names_the_study_and_the_reason(
    tmp_path, place, text, message
):
    source = written(tmp_path, text)

    with pytest.raises(SpecError, match=r"study\.toml, task: ") as caught:
        load_task(study(place, source=source))

    assert caught.match(message)


def test_an_error_names_the_innermost_place_in_the_users_code():
    def model():
        return nn.Linear(3, 2)(torch.zeros(5, 7))

    try:
        model()
    except RuntimeError as error:
        text = where(error)

    line = model.__code__.co_firstlineno + 1
    assert text.startswith("RuntimeError: mat1 and mat2 shapes cannot be multiplied")
    assert text.endswith(f"(test_task.py:{line})")


def test_an_error_without_a_place_and_of_many_lines_is_one_line():
    assert where(ValueError("one\n  two")) == "ValueError: one two"
