"""What a study is told before its first trial."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from automl_opt.core.errors import SpecError
from automl_opt.core.spec import parse_study
from automl_opt.training.build import TorchBuilder
from automl_opt.training.check import check
from automl_opt.training.task import Metric

from .examples import BUILTIN, blobs, for_everything, mlp, recipe, setup, task
from .test_data import Examples


def run(task, *, catalog=BUILTIN, probe=None, **space):
    spec = parse_study(
        {"name": "s", "task": "task.py:t", "space": {"optimizer": ["sgd"], **space}},
        source="study.toml",
    )
    return check(task, spec, setup(), TorchBuilder(catalog), probe or recipe(catalog))


def broken(*args):
    raise KeyError("broken")


def test_a_task_that_fits_passes_and_its_parameters_are_counted():
    assert run(task(), scheduler="all", optimizer="all") == 51


def test_a_task_that_everything_can_train_passes_with_everything():
    kinds = ("optimizer", "scheduler", "regularizer", "initializer")

    assert run(for_everything(), **dict.fromkeys(kinds, "all")) == 93


def test_wrappers_are_tried_around_what_they_wrap():
    assert run(task(), optimizer=["sam(lookahead(adamw))"], scheduler=["warmup(cosine)"]) == 51


def test_trying_leaves_the_random_sources_as_they_were():
    torch.manual_seed(3), np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()

    run(task(), regularizer=["dropout"])

    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": broken}, r"fails at its defaults: KeyError: 'broken' \(test_check\.py:\d+\)"),
        ({"model": lambda: 3}, r"model\(…\) returned 3, which is no torch.nn.Module"),
        ({"model": nn.ReLU}, "the model has no trainable parameter"),
        ({"model": lambda: nn.Linear(5, 3)}, "RuntimeError: mat1 and mat2"),
        ({"model": lambda: nn.Linear(4, 2)}, "Target 2 is out of bounds"),
        ({"loss": lambda o, y: o}, "the loss must be a tensor without dimensions"),
        ({"loss": lambda o, y: 1.0}, "the loss must be a tensor without dimensions, not 1.0"),
        ({"loss": lambda o, y: o.detach().sum()}, "does not require grad"),
        ({"loss": broken}, "KeyError: 'broken'"),
        ({"metrics": [Metric("m", broken, "minimize")]}, "KeyError: 'broken'"),
        ({"metrics": [Metric("m", lambda o, y: "x", "minimize")]}, "could not convert string"),
        ({"data": ([0.0], [0])}, "the valid split is empty"),
        ({"loss": "mse"}, r"outputs of shape \[8, 3\] do not fit targets of shape \[8\]"),
        (
            {"data": Examples(*map(list, zip(*[(torch.zeros(4), {"a": 1})] * 20, strict=True)))},
            "y must be one tensor a batch, not dict",
        ),
    ],
)
def test_a_task_that_would_break_every_trial_is_an_error_at_once(changes, message):
    with pytest.raises(SpecError, match=r"study\.toml, task: task\.py:t") as caught:
        run(task(**changes))

    assert caught.match(message)


@pytest.mark.parametrize("kept", ["the model", "a part"])
def test_a_model_that_hands_its_weights_from_trial_to_trial_is_refused(kept):
    backbone = mlp()
    makers = {
        "the model": lambda: backbone,
        "a part": lambda: nn.Sequential(backbone, nn.Linear(3, 3)),
    }

    with pytest.raises(SpecError, match=r"weights that it had returned before.*deepcopy"):
        run(task(model=makers[kept]))


def test_a_regularizer_for_another_loss_is_refused_though_the_probe_has_it_not():
    regression = task(
        model=lambda: nn.Linear(4, 4), data=(blobs()[0], blobs()[0]), loss="mse", metrics=[]
    )

    with pytest.raises(
        SpecError,
        match=r"\[space\] regularizer: builtin\.label_smoothing is made for loss cross_entropy, "
        "and the task's loss is mse",
    ):
        run(regression, regularizer=["l2", "label_smoothing"])


def test_a_regularizer_that_cannot_work_on_the_model_is_refused():
    with pytest.raises(SpecError, match=r"regularizer builtin\.dropout version 1 .*activation"):
        run(task(model=lambda: nn.Linear(4, 3)), regularizer=["dropout"])


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("optimizer", "OptimizerSpec(name='bad', torch='nowhere:Nothing', params={})"),
        ("scheduler", "SchedulerSpec(name='bad', factor='nowhere:nothing')"),
        ("initializer", "InitializerSpec(name='bad', init=lambda tensor, generator: 1 / 0)"),
        ("regularizer", "RegularizerSpec(name='bad', batch=lambda x, y, rng: 1 / 0)"),
    ],
)
def test_a_component_that_is_broken_stops_the_study_before_its_first_trial(installed, kind, spec):
    source = (
        f"from automl_opt.api import *\n@hookimpl\ndef automl_opt_{kind}s():\n    yield {spec}\n"
    )
    catalog = installed.write("acme", source).host(ours=True).catalog

    with pytest.raises(SpecError, match=rf"\[space\] {kind}: {kind} acme\.bad version 1 \(acme"):
        run(task(), catalog=catalog, **{kind: ["acme.bad"]})


def test_the_probes_own_parts_are_tried_too():
    with pytest.raises(SpecError, match="dropout"):
        run(task(model=lambda: nn.Linear(4, 3)), probe=recipe(regularizers=("dropout",)))


def test_the_probe_may_be_unbound():
    assert run(task(), probe=replace(recipe(), batch_size=None)) == 51
