"""Stacks on a GPU: what trials compute alone, step by step or captured as CUDA graphs."""

from __future__ import annotations

import pytest
import torch

from automl_opt.training.build import TorchBuilder
from automl_opt.training.fused.choose import Chooser, Sizes
from automl_opt.training.fused.engine import FusedEngine
from automl_opt.training.plain import PlainEngine

from .examples import BUILTIN, recipe, setup, task, trial
from .fused_examples import train_all

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

RULES = ("sgd", "adam", "lamb", "muon", "lion", "rmsprop", "nesterov", "adamw")


@pytest.mark.parametrize("captured", [False, True])
def test_trials_of_a_stack_on_a_gpu_end_where_they_end_alone(captured):
    exact = setup(device=torch.device("cuda"), dtype=torch.float64)
    trials = [
        trial(recipe(optimizer=rule, scheduler="cosine"), number=number)
        for number, rule in enumerate(RULES)
    ]
    chooser = Chooser(len(RULES), fixed=Sizes(1))
    builder = TorchBuilder(BUILTIN)
    engine = FusedEngine(task(), exact, builder, len(RULES), chooser, compile=captured)

    together = train_all(engine, trials)

    modes = {how.mode for how in together.how.values()}
    assert modes == {"compiled" if captured else "fused"}, together.how
    for one in trials:
        alone = PlainEngine(task(), exact, builder)
        alone.admit(one)
        reports = [report for _ in range(exact.epochs) for report in alone.advance()]
        values = [value for _, value, *_ in together.curves[one.number]]
        assert values == pytest.approx([report.value for report in reports], rel=1e-9)
