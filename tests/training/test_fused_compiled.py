"""Compiled stacks: what trials compute alone, the same bits in any company, or why there are none.

One graph serves the whole file, in float64: to compile it takes as long as everything else.
"""

from __future__ import annotations

import random
import re
from functools import partial

import pytest
import torch
from torch import nn

from automl_opt.training.build import TorchBuilder
from automl_opt.training.fused import choose
from automl_opt.training.fused.choose import Chooser, Sizes, twin_of
from automl_opt.training.fused.compiled import Graphs
from automl_opt.training.fused.engine import FusedEngine
from automl_opt.training.fused.graph import ROOM, Graph, rows_of

from .examples import BUILTIN, part, recipe, setup, task, trial
from .fused_examples import distances, live, train_all


def norms():
    """No bias before the norm: its true gradient is 0, and rules blow rounding errors up."""
    return nn.Sequential(
        nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.2), nn.Linear(6, 3)
    )


NORMS = task(model=norms)
RULES = ("sgd", "nesterov", "adam", "adamw", "rmsprop", "lamb", "lars", "muon", "lion")
EPOCHS = 67  # of 3 steps, 2 of them compiled: the last batch is one larger


def of(number, **changes):
    """Trials of one kind: what differs from row to row leaves the graph as it is."""
    more = [(), ("clip_norm",), ("ema",)][number % 3]
    made = {
        "optimizer": RULES[number % len(RULES)],
        "scheduler": ["cosine", "exponential", "one_cycle"][number % 3],
        "regularizers": (part(BUILTIN, "regularizer", "l2", strength=0.01 / (1 + number)), *more),
        **changes,
    }
    return trial(recipe(**made), number=number, seed=number % 2)


@pytest.fixture(scope="module")
def graphs():
    return Graphs()


ALWAYS = Sizes(1)


def compiling(graphs, capacity, task=NORMS, compile=True, sizes=ALWAYS, memory=None):
    exact = setup(dtype=torch.float64)
    chooser = Chooser(capacity, memory, sizes)
    engine = FusedEngine(task, exact, TorchBuilder(BUILTIN), capacity, chooser, compile=compile)
    engine._graphs = graphs
    return engine


@pytest.fixture(scope="module")
def together(graphs):
    """More trials than a graph has rows, all at once."""
    many = ROOM["cpu"][0] + 6
    return train_all(compiling(graphs, many), [of(number) for number in range(many)])


@pytest.mark.parametrize(
    ("kept", "device", "rows"),
    [
        (37_000, "cpu", 64),  # a small MLP
        (590_000, "cpu", 32),  # a small CNN
        (5_300_000, "cpu", 8),  # a small transformer
        (10**9, "cpu", 8),
        (37_000, "cuda", 256),
        (5_300_000, "cuda", 128),
    ],
)
def test_a_graph_has_as_many_rows_as_the_cache_has_room_for(kept, device, rows):
    assert rows_of(kept, torch.device(device)) == rows


def test_200_steps_in_a_compiled_stack_end_where_they_end_alone(graphs):
    one = live(NORMS, of(0), setup(dtype=torch.float64))
    graph = graphs.of(one, partial(twin_of, one))
    assert isinstance(graph, Graph), graph

    far = distances(NORMS, [of(number) for number in range(len(RULES))], EPOCHS, graph)

    assert {n: distance for n, distance in enumerate(far) if not distance <= 1e-12} == {}


def test_a_compiled_trial_has_the_same_bits_in_any_company(graphs, together):
    shuffled = [of(number) for number in range(27)]
    random.Random(0).shuffle(shuffled)

    found = train_all(compiling(graphs, 9), shuffled)

    assert {how.mode for how in together.how.values()} == {"compiled"}
    assert {how.mode for how in found.how.values()} == {"compiled"}
    assert found.curves == {number: together.curves[number] for number in range(27)}


def test_a_compiled_trial_resumes_to_the_bit_even_where_none_is_compiled_any_more(
    tmp_path, graphs, together
):
    first = compiling(graphs, 10)
    for number in range(10):
        first.admit(of(number))
    before = [report for _ in range(2) for report in first.advance()]
    resumed = first.live[4]
    first.save(resumed, tmp_path / "c.pt")

    second = FusedEngine(
        NORMS, setup(dtype=torch.float64), TorchBuilder(BUILTIN), 2, Chooser(fixed=Sizes(1))
    )
    second._graphs = graphs
    second.admit(of(30))
    assert second.admit(resumed, tmp_path / "c.pt") == 2
    found = train_all(second, [])

    own = [r for r in before if r.trial is resumed]
    curve = [(r.epoch, r.value, r.measurements, r.status, r.reason) for r in own]
    assert {number: how.mode for number, how in found.how.items()} == {30: "fused", 4: "compiled"}
    assert curve + found.curves[4] == together.curves[4]


def because(slots, count=8, **changes):
    for number in range(count):
        slots.admit(of(number, **changes))
    how = slots.how(slots.live[0])
    return how.because if how.mode == "fused" else how.mode


class Noisy(nn.Linear):
    def forward(self, x):
        return super().forward(x + torch.randn_like(x) if self.training else x)


@pytest.mark.parametrize(
    ("count", "model", "changes", "reason"),
    [
        (3, norms, {}, "fewer than 8 trials of its kind"),
        (8, norms, {"regularizers": ("mixup",)}, "a regularizer mixes examples"),
        (8, norms, {"accumulate": 2}, "a batch is run in several pieces"),
        (8, lambda: Noisy(4, 3), {}, "random"),
    ],
)
def test_what_is_not_compiled_is_stacked_and_says_why(count, model, changes, reason):
    found = because(compiling(Graphs(), count, task(model=model)), count, **changes)

    assert re.search(f"not compiled: .*{reason}", found)


@pytest.mark.parametrize(
    ("each", "reason"),
    [
        (1.0, "not repaid by the 96 s that 8 trials would take"),  # 4 epochs of 3 steps
        (4.0, "random operation"),  # so it was tried
    ],
)
def test_auto_compiles_where_what_is_left_repays_it(each, reason):
    slots = compiling(Graphs(), 8, task(model=lambda: Noisy(4, 3)), "auto", Sizes(1, each=each))

    assert reason in because(slots)


def test_what_was_compiled_before_the_study_was_stopped_is_compiled_again(
    tmp_path, graphs, together, monkeypatch
):
    def measured(twin, most, graph, fits):
        return Sizes(1, each=2.5 if graph is None else 1.0)  # 8 take 240 s, 12 take 360

    monkeypatch.setattr(choose, "measured", measured)
    memory = tmp_path / "sizes.json"
    options = {"compile": "auto", "sizes": None, "memory": memory}
    before = compiling(graphs, 20, **options), compiling(graphs, 20, **options)

    assert "not repaid" in because(before[0], 8)
    assert because(before[1], 12) == "compiled"
    assert because(compiling(graphs, 20, **options), 8) == "compiled"


def test_a_graph_that_is_no_faster_than_the_stack_is_not_used(graphs, together):
    slots = compiling(graphs, 8, sizes=Sizes(1, each=1.0))

    assert because(slots) == "not compiled: a stack that is not compiled is as fast"


def test_auto_does_without_a_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    slots = compiling(Graphs(), 8, compile="auto", sizes=Sizes(1, each=100.0))

    assert "needs a C++ compiler" in because(slots)
