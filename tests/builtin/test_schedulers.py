"""Every schedule against its torch twin, step by step, and the promises of a table of factors."""

from __future__ import annotations

import functools
import itertools
import json
import math

import pytest
import torch
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    PolynomialLR,
    SequentialLR,
    StepLR,
)

from automl_opt.builtin.schedulers import (
    cosine,
    cyclic,
    exponential,
    inverse_sqrt,
    linear_warmup,
    multistep,
    one_cycle,
    polynomial,
    warm_restarts,
    warmup,
    wsd,
)
from automl_opt.builtin.schedulers import (
    step as step_decay,
)
from automl_opt.plugin.host import load_host
from automl_opt.training.build import TorchBuilder

CATALOG = load_host(allow=()).catalog
SCHEDULERS = CATALOG.components("scheduler")
TABLED = [c for c in SCHEDULERS if c.spec.factor is not None]
OBSERVING = [c for c in SCHEDULERS if c.spec.observe is not None]
TOTALS = (1, 2, 7, 100, 1000)

# torch goes from one step's rate to the next: at most 4 roundings of 1.2e-16 in each of 1000 steps
TOLERANCE = 1e-12

of_tabled = pytest.mark.parametrize("scheduler", TABLED, ids=lambda c: c.id)
of_observing = pytest.mark.parametrize("scheduler", OBSERVING, ids=lambda c: c.id)
of_twins = pytest.mark.parametrize(
    "scheduler", [c for c in OBSERVING if c.spec.twin], ids=lambda c: c.id
)


def an_optimizer(lr):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def metrics(seed, epochs=60):
    """A loss that falls, stays and jumps, with values that are no numbers."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(epochs, generator=generator, dtype=torch.float64)
    values = [max(0.5, 2 - 0.1 * epoch) + 0.05 * n for epoch, n in enumerate(noise.tolist())]
    values[seed] = math.nan
    values[20] = math.inf
    return values


@pytest.mark.parametrize("scheduler", [c for c in TABLED if c.spec.twin], ids=lambda c: c.id)
@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize("sample", range(5))
@pytest.mark.parametrize("lr", [1.0, 0.03])
def test_a_schedule_equals_its_torch_twin_at_every_step(scheduler, total, sample, lr, draw):
    params = draw(scheduler.spec, sample)
    factor = scheduler.code(scheduler.spec.factor)
    optimizer = an_optimizer(lr)
    twin = scheduler.code(scheduler.spec.twin)(optimizer, total, **params)

    for step in range(total):
        theirs = optimizer.param_groups[0]["lr"]
        assert abs(lr * factor(step, total, **params) - theirs) <= TOLERANCE * lr
        optimizer.step()
        twin.step()


@of_tabled
@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize("sample", range(5))
def test_a_factor_is_a_finite_float_of_at_least_0(scheduler, total, sample, draw):
    params = draw(scheduler.spec, sample)
    factor = scheduler.code(scheduler.spec.factor)

    factors = [factor(step, total, **params) for step in range(total + 3)]

    assert all(type(f) is float and math.isfinite(f) and f >= 0 for f in factors)


@of_tabled
@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize("sample", range(5))
def test_the_learning_rate_is_the_highest_that_a_schedule_comes_to(scheduler, total, sample, draw):
    params = draw(scheduler.spec, sample)
    factor = scheduler.code(scheduler.spec.factor)

    assert max(factor(step, total, **params) for step in range(total)) <= 1 + 1e-15


@of_tabled
@pytest.mark.parametrize("sample", range(3))
def test_a_run_of_one_step_trains(scheduler, sample, draw):
    factor = scheduler.code(scheduler.spec.factor)

    assert factor(0, 1, **draw(scheduler.spec, sample)) > 0


@of_tabled
@pytest.mark.parametrize("sample", range(3))
def test_a_factor_depends_on_its_arguments_and_not_on_earlier_calls(scheduler, sample, draw):
    params = draw(scheduler.spec, sample)
    factor = scheduler.code(scheduler.spec.factor)

    forwards = [factor(step, 50, **params) for step in range(50)]
    backwards = [factor(step, 50, **params) for step in reversed(range(50))]

    assert forwards == backwards[::-1]


@of_tabled
@pytest.mark.parametrize("sample", range(3))
def test_a_schedule_keeps_its_shape_when_the_run_is_ten_times_as_long(scheduler, sample, draw):
    """Parameters are fractions of the run: the means of a short and a long run agree roughly."""
    params = draw(scheduler.spec, sample)
    factor = scheduler.code(scheduler.spec.factor)

    means = [sum(factor(s, n, **params) for s in range(n)) / n for n in (1000, 10_000)]

    assert means[0] == pytest.approx(means[1], abs=0.01)


@pytest.mark.parametrize(
    "schedule", [step_decay, multistep, exponential, polynomial, cosine], ids=lambda s: s.spec.name
)
@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize("sample", range(5))
def test_a_decay_starts_at_the_full_rate_and_never_rises(schedule, total, sample, draw):
    params = draw(schedule.spec, sample)

    factors = [schedule.factor(step, total, **params) for step in range(total + 3)]

    assert factors[0] == 1
    assert factors == sorted(factors, reverse=True)


@pytest.mark.parametrize(
    "schedule", [linear_warmup, inverse_sqrt, one_cycle, wsd], ids=lambda s: s.spec.name
)
@pytest.mark.parametrize("total", [7, 100, 1000])
@pytest.mark.parametrize("sample", range(5))
def test_a_warmup_climbs_to_the_full_rate_and_never_again(schedule, total, sample, draw):
    params = draw(schedule.spec, sample)

    factors = [schedule.factor(step, total, **params) for step in range(total + 3)]

    peak = factors.index(max(factors))
    assert factors[peak] == pytest.approx(1, rel=1e-15)
    assert factors[:peak] == sorted(factors[:peak])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


def test_step_drops_at_every_third_of_a_run_of_nine():
    factors = [step_decay.factor(step, 9, fraction=1 / 3, gamma=0.1) for step in range(9)]

    assert factors == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01], rel=1e-15)


def test_multistep_drops_at_half_and_three_quarters_of_a_run_of_eight():
    factors = [multistep.factor(step, 8, first=0.5, second=0.75, gamma=0.1) for step in range(8)]

    assert factors == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01], rel=1e-15)


@pytest.mark.parametrize(
    ("power", "expected"),
    [(1.0, [1, 0.75, 0.5, 0.25, 0, 0]), (2.0, [1, 0.5625, 0.25, 0.0625, 0, 0])],
)
def test_polynomial_is_a_power_of_what_is_left_and_0_past_the_end(power, expected):
    assert [polynomial.factor(step, 4, power=power) for step in range(6)] == expected


@pytest.mark.parametrize(
    ("mode", "final", "expected"),
    [
        ("triangular", {}, [0.2, 0.6, 1, 0.6, 0.2, 0.6, 1, 0.6]),
        ("triangular2", {}, [0.2, 0.6, 1, 0.6, 0.2, 0.4, 0.6, 0.4]),
        # the height falls by half at every one of the eight steps
        ("exp_range", {"final": 2.0**-8}, [0.2, 0.4, 0.4, 0.25, 0.2, 0.2125, 0.2125, 0.203125]),
    ],
)
def test_cyclic_climbs_from_its_base_and_back_twice(mode, final, expected):
    factors = [cyclic.factor(s, 8, cycles=2, base=0.2, mode=mode, **final) for s in range(8)]

    assert factors == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("mode", cyclic.spec.params["mode"].choices)
@pytest.mark.parametrize("cycles", [2, 3, 8])
@pytest.mark.parametrize("total", [100, 1000])
def test_cyclic_has_the_cycles_it_is_asked_for_and_ends_at_its_base(mode, cycles, total):
    factors = [
        cyclic.factor(step, total, cycles=cycles, base=0.1, mode=mode, final=0.5)
        for step in range(total + 1)
    ]

    peaks = [s for s in range(1, total) if factors[s - 1] <= factors[s] > factors[s + 1]]
    assert len(peaks) == cycles
    assert factors[total] == pytest.approx(0.1, abs=1e-12)


def test_one_cycle_climbs_in_its_fraction_and_falls_far_below_its_start():
    numbers = {"warmup": 0.4, "div": 5.0, "final_div": 20.0, "shape": "linear"}

    factors = [one_cycle.factor(step, 5, **numbers) for step in range(8)]

    assert factors == pytest.approx([0.2, 0.6, 1, 0.67, 0.34, 0.01, 0.01, 0.01], rel=1e-14)


def test_one_cycle_is_half_way_down_its_cosine_where_the_line_is():
    line, cosine_ = (
        [one_cycle.factor(s, 6, warmup=1 / 3, div=25.0, final_div=4.0, shape=shape) for s in (1, 4)]
        for shape in ("linear", "cosine")
    )

    assert line == pytest.approx(cosine_, rel=1e-15)
    assert line == pytest.approx([0.52, 0.505], rel=1e-15)


@pytest.mark.parametrize(
    ("shape", "decay"),
    [("linear", [1, 0.75, 0.5, 0.25]), ("1-sqrt", [1, 0.5, 1 - 0.5**0.5, 1 - 0.75**0.5])],
)
def test_wsd_warms_up_stays_and_decays(shape, decay):
    factors = [wsd.factor(s, 10, warmup=0.4, decay=0.4, shape=shape) for s in range(12)]

    assert factors == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, *decay, 0, 0], rel=1e-15)


@pytest.mark.parametrize("shape", wsd.spec.params["shape"].choices)
@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize("sample", range(5))
def test_wsd_loses_no_step_to_a_rate_of_0(shape, total, sample, draw):
    params = draw(wsd.spec, sample) | {"shape": shape}

    assert all(wsd.factor(step, total, **params) > 0 for step in range(total))


def test_inverse_sqrt_halves_when_the_time_of_its_warmup_has_passed_four_times():
    factors = [inverse_sqrt.factor(step, 40, warmup=0.1) for step in (0, 1, 3, 15, 35)]

    assert factors == pytest.approx([1 / 4, 1 / 2, 1, 1 / 2, 1 / 3], rel=1e-15)


def test_linear_warmup_is_over_after_its_fraction_of_the_run():
    factors = [linear_warmup.factor(step, 10, fraction=0.4, start=0.2) for step in range(10)]

    assert factors == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1], rel=1e-15)


def test_exponential_is_half_way_on_its_scale_at_half_time_and_at_its_final_value_at_the_end():
    factors = [exponential.factor(step, 10, final=0.01) for step in (0, 5, 10)]

    assert factors == pytest.approx([1.0, 0.1, 0.01], rel=1e-15)


def test_warm_restarts_doubles_its_cycles():
    factors = [warm_restarts.factor(step, 14, cycles=3, t_mult=2, floor=0.2) for step in range(14)]

    assert [step for step, f in enumerate(factors) if f == 1.0] == [0, 2, 6]
    assert factors[1] == factors[4] == factors[10] == pytest.approx(0.6)


@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_cosine_stays_at_its_floor_past_the_end(floor):
    factors = [cosine.factor(step, 10, floor=floor) for step in (10, 11, 15, 20, 10**6)]

    assert factors == [floor] * 5


@pytest.mark.parametrize("cycles", [2, 3, 5])
@pytest.mark.parametrize("t_mult", [1, 2, 3])
@pytest.mark.parametrize("total", [100, 1000])
def test_warm_restarts_has_the_cycles_it_is_asked_for_and_ends_low(cycles, t_mult, total):
    factors = [
        warm_restarts.factor(step, total, cycles=cycles, t_mult=t_mult, floor=0.0)
        for step in range(total)
    ]

    starts = [step for step, f in enumerate(factors) if f == 1.0]
    assert 1 < len(starts) <= cycles
    assert factors[-1] < 0.5


TORCHS = {
    "constant": lambda optimizer, rest: ConstantLR(optimizer, factor=1.0),
    "cosine": lambda optimizer, rest: CosineAnnealingLR(optimizer, T_max=rest, eta_min=0.1 * 0.3),
    "exponential": lambda optimizer, rest: ExponentialLR(optimizer, gamma=0.1 ** (1 / rest)),
    "polynomial": lambda optimizer, rest: PolynomialLR(optimizer, total_iters=rest, power=2.0),
    "step": lambda optimizer, rest: StepLR(optimizer, step_size=round(0.3 * rest), gamma=0.5),
}
OURS = {
    "constant": {},
    "cosine": {"floor": 0.1},
    "exponential": {"final": 0.1},
    "polynomial": {"power": 2.0},
    "step": {"fraction": 0.3, "gamma": 0.5},
}


@pytest.mark.parametrize("name", TORCHS)
@pytest.mark.parametrize("total", [7, 100, 1000])
@pytest.mark.parametrize("sample", range(5))
def test_a_warmup_equals_torchs_sequence_of_two_schedules(name, total, sample, draw):
    params = draw(warmup.spec, sample)
    warm = max(1, round(params["fraction"] * total))
    optimizer = an_optimizer(lr=0.3)
    theirs = SequentialLR(
        optimizer,
        [
            LinearLR(optimizer, start_factor=params["start"], total_iters=warm),
            TORCHS[name](optimizer, total - warm),
        ],
        milestones=[warm],
    )
    inner = CATALOG.find("scheduler", f"builtin.{name}")
    outer = CATALOG.find("scheduler", f"builtin.warmup(builtin.{name})")
    part = outer.part({"builtin.warmup": params, inner.id: OURS[name]})
    factor, observe = TorchBuilder(CATALOG).schedule(part)

    assert observe is None
    for step in range(total):
        expected = optimizer.param_groups[0]["lr"]
        assert abs(0.3 * factor(step, total) - expected) <= TOLERANCE * 0.3
        optimizer.step()
        theirs.step()


@of_tabled
@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize("sample", range(3))
def test_a_warmup_climbs_to_where_a_schedule_begins_and_leaves_it_the_rest(
    scheduler, total, sample, draw
):
    params, inner = draw(warmup.spec, sample), draw(scheduler.spec, sample)
    factor = functools.partial(scheduler.code(scheduler.spec.factor), **inner)
    warm = max(1, round(params["fraction"] * total)) if total > 1 else 0
    rest = [factor(step, total - warm) for step in range(total - warm)]

    factors = [warmup.wrap(factor, step, total, **params) for step in range(total)]

    assert factors[warm:] == rest
    if warm:
        assert factors[0] == pytest.approx(params["start"] * rest[0], rel=1e-14)
        steps = [after - before for before, after in itertools.pairwise([*factors[:warm], rest[0]])]
        assert steps == pytest.approx([steps[0]] * warm, abs=1e-14)
    assert all(type(f) is float and 0 <= f <= 1 + 1e-15 for f in factors)


def test_a_warmup_of_two_steps_before_a_line_of_eight():
    def line(step, total):
        return 1 - step / total

    factors = [warmup.wrap(line, step, 10, fraction=0.2, start=0.5) for step in range(10)]

    expected = [0.5, 0.75, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    assert factors == pytest.approx(expected, rel=1e-15)


@of_twins
@pytest.mark.parametrize("sample", range(5))
@pytest.mark.parametrize("seed", range(4))
def test_an_observer_equals_its_torch_twin_after_every_epoch(scheduler, sample, seed, draw):
    params = draw(scheduler.spec, sample)
    observe = scheduler.code(scheduler.spec.observe)
    optimizer = an_optimizer(lr=1.0)
    twin = scheduler.code(scheduler.spec.twin)(optimizer, 60, **params)
    state = None

    for metric in metrics(seed):
        state = observe(metric, state, **params)
        twin.step(metric)
        assert state["factor"] == optimizer.param_groups[0]["lr"]

    assert 0 < state["factor"] < 1


@of_observing
def test_an_observer_leaves_the_state_it_is_given_as_it_was(scheduler, draw):
    params = draw(scheduler.spec, 0)
    observe = scheduler.code(scheduler.spec.observe)
    state = None

    for metric in metrics(1):
        kept = None if state is None else dict(state)
        after = observe(metric, state, **params)
        assert state == kept
        state = after


@of_observing
def test_an_observer_goes_on_from_a_stored_state_as_if_never_interrupted(scheduler, draw):
    params = draw(scheduler.spec, 0)
    observe = scheduler.code(scheduler.spec.observe)
    straight = stored = None

    for metric in metrics(2):
        straight = observe(metric, straight, **params)
        stored = json.loads(json.dumps(observe(metric, stored, **params)))

    assert stored == straight
