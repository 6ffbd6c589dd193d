"""What a stack takes of memory, what there is, and stacks that are no larger than that."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from automl_opt.core.spec import parse_study
from automl_opt.training.build import TorchBuilder
from automl_opt.training.fused import room
from automl_opt.training.fused.choose import NEVER, Chooser, Sizes, fastest, measured, twin_of
from automl_opt.training.fused.engine import FusedEngine
from automl_opt.training.fused.room import _allocated, _groups, _trained, needed, room_of
from automl_opt.training.fused.stack import Stack

from .examples import BUILTIN, recipe, setup, task, trial
from .fused_examples import live, train_all

CPU = torch.device("cpu")
WIDTH = 20_000
SPEC = parse_study(
    {"name": "x", "task": "a:b", "space": {"optimizer": ["sgd"]}}, source="study.toml"
)


def wide():
    """8 examples of a batch have 640 000 bytes after each of its layers."""
    return nn.Sequential(nn.Linear(4, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 3))


def twin(number):
    return live(task(model=wide), trial(recipe(optimizer="adam"), number=number), setup())


def test_what_a_trial_takes_is_its_weights_and_states_and_what_its_pass_keeps():
    weights = 4 * sum(p.numel() for p in wide().parameters())

    held, taken = needed(twin, CPU)

    assert held == pytest.approx(3 * weights, rel=0.01)  # Adam has two states a weight
    assert taken >= 8 * WIDTH * 4 + 2 * weights  # the activation; gradients, the epoch's undo
    assert taken <= 6 * (8 * WIDTH * 4 + weights)


def test_a_larger_stack_takes_what_its_rows_were_said_to_take():
    held, taken = needed(twin, CPU)

    level, most = _allocated(lambda: _trained(twin, 9), CPU)

    assert level == pytest.approx(9 * held, rel=0.02)
    assert most == pytest.approx(9 * (held + taken), rel=0.02)


def test_stacks_are_no_larger_than_what_fits_and_trials_have_the_same_bits(monkeypatch):
    trials = [trial(recipe(optimizer="adam"), number=n) for n in range(8)]
    held, taken = needed(twin, CPU)
    sizes = []

    def trained(room):
        chooser = Chooser(8, fixed=Sizes(1), room=room)
        made = FusedEngine(task(model=wide), setup(), TorchBuilder(BUILTIN), 8, chooser)
        return train_all(made, trials).curves

    unlimited = trained(None)
    whole = Stack.train_epoch
    monkeypatch.setattr(
        Stack, "train_epoch", lambda stack: sizes.append(len(stack.lives)) or whole(stack)
    )

    assert trained(8 * held + 3 * taken) == unlimited
    assert max(sizes) == 3
    assert sum(sizes) == 8 * setup().epochs


def test_trials_of_which_no_two_fit_train_by_themselves():
    trials = [trial(recipe(optimizer="adam"), number=n) for n in range(3)]
    chooser = Chooser(3, room=2**20)
    made = FusedEngine(task(model=wide), setup(), TorchBuilder(BUILTIN), 3, chooser)

    found = train_all(made, trials)

    assert {str(how) for how in found.how.values()} == {
        "by itself: a stack of this model and batch size does not fit into memory"
    }


def test_a_model_that_runs_out_of_memory_while_it_is_measured_is_not_stacked():
    def model():
        return nn.Linear(4, 3 if torch.is_grad_enabled() else 2**50)

    one = live(task(model=model), trial(recipe()), setup())

    with torch.no_grad():
        sizes = Chooser(8, room=2**30).sizes(one, lambda number: twin_of(one, number))

    assert sizes.smallest == NEVER


def test_no_stack_is_timed_that_does_not_fit():
    timed = []

    def stacked(size):
        timed.append(size)
        return 1.0

    assert fastest(1.0, stacked, 500, fits=30) == Sizes(2, 30)
    assert timed == [2, 12, 24, 30]
    assert measured(twin, 12, fits=1) == Sizes(NEVER)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the system")
def test_the_room_is_within_the_processs_limit():
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    whole = room_of(SPEC, CPU)
    resource.setrlimit(resource.RLIMIT_AS, (taken + 2**28, before[1]))
    try:
        limited = room_of(SPEC, CPU)
        shared = room_of(replace(SPEC, workers=2), CPU)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)

    assert limited < whole
    assert room.SHARE * (2**28 - 2**24) < limited <= room.SHARE * 2**28
    assert shared == pytest.approx(limited / 2, rel=0.05)


def test_the_room_is_within_the_limits_of_control_groups(tmp_path):
    def group(path, **files):
        (tmp_path / path).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (tmp_path / path / f"memory.{name}").write_text(text)

    group("jobs", max="8000\n", current="5000\n", stat="anon 4000\ninactive_file 1000\n")
    group("jobs/one", max="max\n", current="3000\n", stat="inactive_file 0\n")
    group(
        "memory/old",
        limit_in_bytes="9000\n",
        usage_in_bytes="1000\n",
        stat="total_inactive_file 500\n",
    )
    own = tmp_path / "own"
    own.write_text("4:cpu,memory:/old\n3:cpuset:/x\n0::/jobs/one\n")

    assert sorted(_groups(tmp_path, own)) == [4000, 8500]
    assert _groups(tmp_path, tmp_path / "none") == []
