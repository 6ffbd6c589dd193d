from __future__ import annotations

import pytest
import torch
from torch import nn

from automl_opt.core.errors import SpecError
from automl_opt.core.result import Status
from automl_opt.core.spec import parse_study
from automl_opt.training.build import TorchBuilder
from automl_opt.training.engine import SMALL_MODEL, environment, find_device, open_engine

from .examples import BUILTIN, mlp, recipe, task, train, trial

no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
no_mps = pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is an Apple GPU")


def study(**training):
    return parse_study(
        {
            "name": "s",
            "task": "task.py:t",
            "space": {"optimizer": ["sgd"]},
            "training": {"epochs": 2, "device": "cpu", **training},
            "objective": {"direction": "minimize"},
        },
        source="study.toml",
    )


def opened(task, **training):
    return open_engine(task, study(**training), TorchBuilder(BUILTIN), recipe())


@pytest.mark.parametrize(
    ("device", "message"),
    [
        pytest.param("cuda", "'cuda' asked for, but torch sees no CUDA", marks=no_cuda),
        pytest.param("cuda:1", "'cuda:1' asked for, but torch sees no CUDA", marks=no_cuda),
        pytest.param("mps", "'mps' asked for, but torch sees no Apple GPU", marks=no_mps),
    ],
)
def test_a_device_that_is_not_there_is_refused(device, message):
    with pytest.raises(SpecError, match=rf"study\.toml, \[training\] device: {message}"):
        find_device(study(device=device))


@no_cuda
def test_auto_is_the_cpu_where_there_is_nothing_better():
    assert find_device(study(device="auto")) == torch.device("cpu")


@pytest.mark.parametrize(
    ("precision", "weights", "works_in"),
    [
        ("float32", torch.float32, torch.float32),
        ("bf16", torch.float32, torch.bfloat16),
        ("float64", torch.float64, torch.float64),
    ],
)
def test_a_precision_decides_the_dtypes(precision, weights, works_in):
    seen = set()

    class Watched(nn.Linear):
        def forward(self, x):
            outputs = super().forward(x)
            seen.add((self.weight.dtype, outputs.dtype))
            return outputs

    run = train(opened(task(model=lambda: Watched(4, 3)), precision=precision), trial(recipe()))

    assert run.status is Status.COMPLETE
    assert seen == {(weights, works_in)}
    assert run.curve("train", "loss")[1] < run.curve("train", "loss")[0]


def test_small_models_train_on_one_thread_and_others_on_what_is_set():
    torch.set_num_threads(2)
    opened(task(model=lambda: nn.Sequential(nn.Linear(4, SMALL_MODEL // 4), nn.Linear(25000, 3))))
    assert torch.get_num_threads() == 2

    opened(task())
    assert torch.get_num_threads() == 1

    opened(task(), threads=2)
    assert torch.get_num_threads() == 2


def test_a_task_that_cannot_be_trained_opens_no_engine():
    with pytest.raises(SpecError, match="the model has no trainable parameter"):
        opened(task(model=nn.ReLU))


def test_the_engine_has_one_free_slot_and_says_where_it_trains():
    engine = opened(task(model=mlp))

    assert (engine.free, engine.live, engine.device) == (1, (), "cpu")
    engine.admit(one := trial(recipe()))
    assert (engine.free, engine.live) == (0, (one,))


def test_the_environment_says_what_a_result_depends_on():
    found = environment("cpu")

    assert found["torch"] == torch.__version__
    assert found["threads"] == torch.get_num_threads()
    assert found["device"] == "cpu"
