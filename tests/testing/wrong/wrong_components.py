"""One component for each mistake that the conformance kit is there to find; all else is right."""

import itertools
import random
from decimal import Decimal

from automl_opt.api import (
    Float,
    InitializerSpec,
    OptimizerSpec,
    PrunerSpec,
    RegularizerSpec,
    Rule,
    SchedulerSpec,
    StrategySpec,
    hookimpl,
)

PAPER = "made up"
LR = {"lr": Float(1e-3, 0.5, log=True, default=0.1)}
BY_CHANCE = random.SystemRandom()


def init(param):
    return {"momentum": param.new_zeros(param.shape)}


def follow(param, grad, state, lr, beta=0.5):
    momentum = beta * state["momentum"] + grad
    return param - lr * momentum, {"momentum": momentum}


def optimizer(name, update, init=init, params=LR, **fields):
    fields = {"paper": PAPER, "params": params, **fields}
    return OptimizerSpec(name=name, rule=Rule(init, update), **fields)


def writes_into_the_gradient(param, grad, state, *, lr):
    grad.mul_(0.5)
    return follow(param, grad, state, lr)


def writes_into_its_state(param, grad, state, *, lr):
    state["momentum"].mul_(0.5).add_(grad)
    return param - lr * state["momentum"], dict(state)


def climbs(param, grad, state, *, lr):
    return follow(param, -grad, state, lr)


def always_float32(param, grad, state, *, lr):
    import torch

    param, state = follow(param.float(), grad.float(), {"momentum": state["momentum"].float()}, lr)
    return param.to(torch.float32), state


def init_of_the_norm(param):
    return {"norm": param.new_zeros(())}


def changes_the_shape_of_its_state(param, grad, state, *, lr):
    norm = 0.9 * state["norm"] + 0.1 * grad.norm()
    return param - lr * grad / (1 + norm), {"norm": norm.reshape(1)}


def takes_what_is_not_declared(param, grad, state, *, lr, beta=0.5):
    return follow(param, grad, state, lr, beta)


def ignores_what_is_declared(param, grad, state, *, lr, beta):
    return follow(param, grad, state, lr)


def divides_by_one_minus_beta(param, grad, state, *, lr, beta):
    return follow(param, grad, state, lr * 0.1 / (1 - beta), beta)


def divides_by_the_norm(param, grad, state, *, lr):
    return follow(param, grad / grad.norm(), state, lr)


def hides_what_is_not_a_number(param, grad, state, *, lr):
    return follow(param, grad.nan_to_num(nan=0.0, posinf=1.0, neginf=-1.0), state, lr)


def asks_for_a_value(param, grad, state, *, lr):
    return follow(param, grad, state, lr if grad.norm().item() < 1 else 0.5 * lr)


def another_method(parameters, *, lr):
    from torch.optim import SGD

    return SGD(parameters, lr=lr)


def keeps_an_object_in_its_state(optimizer):
    optimizer.register_state_dict_post_hook(lambda _, state: {**state, "note": Decimal(1)})
    return optimizer


def counts_outside_the_state(optimizer):
    import torch

    count = itertools.count(1)

    def shrink(*_):
        if next(count) % 5 == 0:
            with torch.no_grad():
                for group in optimizer.param_groups:
                    for param in group["params"]:
                        param.mul_(0.99)

    optimizer.register_step_post_hook(shrink)
    return optimizer


def draws_without_a_seed(optimizer):
    import torch

    def shake(*_):
        with torch.no_grad():
            for group in optimizer.param_groups:
                for param in group["params"]:
                    param.mul_(1 + 1e-4 * BY_CHANCE.random())

    optimizer.register_step_post_hook(shake)
    return optimizer


def keeps_the_first_learning_rate(optimizer):
    first = optimizer.param_groups[0]["lr"]

    def restore(*_):
        for group in optimizer.param_groups:
            group["lr"] = first

    optimizer.register_step_pre_hook(restore)
    return optimizer


def decays_every_group(parameters, *, lr, weight_decay):
    from torch.optim import SGD

    made = SGD(parameters, lr=lr)
    for group in made.param_groups:
        group["weight_decay"] = weight_decay
    return made


def wrapper(wrap):
    return OptimizerSpec(name=wrap.__name__, paper=PAPER, wrap=wrap)


@hookimpl
def automl_opt_optimizers():
    with_beta = {**LR, "beta": Float(0.0, 0.9)}
    for update in (
        writes_into_the_gradient,
        writes_into_its_state,
        climbs,
        always_float32,
        takes_what_is_not_declared,
        divides_by_the_norm,
        hides_what_is_not_a_number,
        asks_for_a_value,
    ):
        yield optimizer(update.__name__, update)
    yield optimizer(
        "changes_the_shape_of_its_state", changes_the_shape_of_its_state, init_of_the_norm
    )
    yield optimizer("ignores_what_is_declared", ignores_what_is_declared, params=with_beta)
    yield optimizer(
        "reaches_too_far",
        divides_by_one_minus_beta,
        params={**LR, "beta": Float(0.0, 1.0, default=0.5)},
    )
    yield optimizer(
        "is_not_its_twin",
        lambda param, grad, state, *, lr: follow(param, grad, state, lr),
        twin=another_method,
    )
    yield optimizer(
        "names_no_source",
        lambda param, grad, state, *, lr: follow(param, grad, state, lr),
        paper="",
    )
    for wrap in (
        keeps_an_object_in_its_state,
        counts_outside_the_state,
        draws_without_a_seed,
        keeps_the_first_learning_rate,
    ):
        yield wrapper(wrap)
    yield OptimizerSpec(
        name="decays_every_group",
        paper=PAPER,
        torch=f"{__name__}:decays_every_group",
        decay="weight_decay",
        params={**LR, "weight_decay": Float(1e-6, 0.1, log=True)},
    )


CALLS = itertools.count(1)


def falls_below_zero(step, total):
    return 1 - 2 * step / total


def divides_by_the_steps_between(step, total):
    return 1 - 0.5 * min(step, total) / (total - 1)


def remembers_how_often_it_was_asked(step, total):
    return 1 / next(CALLS)


def keeps_a_set(metric, state):
    seen = set() if state is None else state["seen"]
    return {"factor": 1.0, "seen": seen | {round(metric, 1)}}


def ignores_what_it_wraps(factor, step, total):
    return 0.5


def ignores_its_end(step, total, *, end):
    return 1 - 0.5 * min(step, total) / total


def another_schedule(optimizer, total):
    from torch.optim.lr_scheduler import ConstantLR

    return ConstantLR(optimizer, factor=0.5, total_iters=total)


@hookimpl
def automl_opt_schedulers():
    for factor in (
        falls_below_zero,
        divides_by_the_steps_between,
        remembers_how_often_it_was_asked,
    ):
        yield SchedulerSpec(name=factor.__name__, paper=PAPER, factor=factor)
    yield SchedulerSpec(
        name="keeps_a_set",
        paper=PAPER,
        observe=keeps_a_set,
    )
    yield SchedulerSpec(name="ignores_what_it_wraps", paper=PAPER, wrap=ignores_what_it_wraps)
    yield SchedulerSpec(
        name="ignores_its_end",
        paper=PAPER,
        factor=ignores_its_end,
        params={"end": Float(0.0, 0.5)},
    )
    yield SchedulerSpec(
        name="generalises_nothing",
        paper=PAPER,
        factor=lambda step, total: 1.0,
        generalises={"ignores_its_end": {}},
    )
    yield SchedulerSpec(
        name="is_no_twin", paper=PAPER, factor=lambda step, total: 1.0, twin=another_schedule
    )


def never_quite_off(value, weights, outputs, y, *, strength):
    return value + (strength + 1e-3) * sum((weight * weight).sum() for weight in weights)


def halves_in_place(grads, parameters):
    for grad in grads:
        grad.mul_(0.5)
    return grads


MEMORY = []


def forgets_anew(model):
    MEMORY.clear()
    return model


def averages_in_the_module(grads, parameters):
    if MEMORY and MEMORY[0].dtype == grads[0].dtype:
        grads = [0.5 * (old + new) for old, new in zip(MEMORY, grads, strict=True)]
    MEMORY[:] = [grad.clone() for grad in grads]
    return grads


def shakes_by_chance(x, y, rng):
    return x * (1 + 0.1 * BY_CHANCE.random()), y


def makes_float32(grads, parameters):
    return [grad.float() for grad in grads]


def ignores_its_strength(value, weights, outputs, y, *, strength):
    return value + 1e-4 * sum((weight * weight).sum() for weight in weights)


def blows_up(weights, lr):
    for weight in weights:
        weight.mul_(1e12)


@hookimpl
def automl_opt_regularizers():
    yield RegularizerSpec(
        name="never_quite_off",
        paper=PAPER,
        loss=never_quite_off,
        identity={"strength": 0.0},
        params={"strength": Float(1e-6, 1e-2, log=True)},
    )
    yield RegularizerSpec(name="halves_in_place", paper=PAPER, grads=halves_in_place)
    yield RegularizerSpec(
        name="remembers_in_the_module",
        paper=PAPER,
        model=forgets_anew,
        grads=averages_in_the_module,
    )
    yield RegularizerSpec(name="shakes_by_chance", paper=PAPER, batch=shakes_by_chance)
    yield RegularizerSpec(name="halves_precision", paper=PAPER, grads=makes_float32)
    yield RegularizerSpec(
        name="ignores_its_strength",
        paper=PAPER,
        loss=ignores_its_strength,
        params={"strength": Float(1e-6, 1e-2, log=True)},
    )
    yield RegularizerSpec(name="blows_up", paper=PAPER, weights=blows_up)


def fill_normal(tensor, generator):
    tensor.normal_(0.0, 0.1, generator=generator)


def fill_from_the_global_source(tensor, generator):
    tensor.normal_(0.0, 0.1)


def fill_the_first_row(tensor, generator):
    tensor[0].normal_(0.0, 0.1, generator=generator)


def returns_a_new_one(tensor, generator):
    tensor.normal_(0.0, 0.1, generator=generator)
    return 2 * tensor


def divides_by_fan_in_minus_one(tensor, generator):
    tensor.normal_(0.0, 0.1, generator=generator).div_(tensor[0].numel() - 1)


def ignores_its_gain(tensor, generator, *, gain):
    tensor.normal_(0.0, 0.1, generator=generator)


def fits_nothing(model, x):
    model(x)


@hookimpl
def automl_opt_initializers():
    yield InitializerSpec(name="fits_nothing", paper=PAPER, fit=fits_nothing)
    yield InitializerSpec(
        name="ignores_its_gain",
        paper=PAPER,
        init=ignores_its_gain,
        params={"gain": Float(0.5, 2.0)},
    )
    yield InitializerSpec(
        name="states_another_variance",
        paper=PAPER,
        init=fill_normal,
        variance=lambda shape: 0.1,
    )
    for init in (
        fill_from_the_global_source,
        fill_the_first_row,
        returns_a_new_one,
        divides_by_fan_in_minus_one,
    ):
        yield InitializerSpec(name=init.__name__, paper=PAPER, init=init)


def unseeded(*, space, seed):
    from optuna.samplers import RandomSampler

    return RandomSampler()


def has_a_secret(*, space, seed, n_startup_trials=10):
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed + n_startup_trials)


def leaves_the_grid(*, space, seed):
    from optuna.distributions import FloatDistribution
    from optuna.samplers import RandomSampler

    class Sampler(RandomSampler):
        def sample_independent(self, study, trial, name, distribution):
            if isinstance(distribution, FloatDistribution) and distribution.step is not None:
                return distribution.low + 0.3 * distribution.step
            return super().sample_independent(study, trial, name, distribution)

    return Sampler(seed=seed)


def counts_on_the_storage(*, space, seed):
    from optuna.samplers import RandomSampler

    class Sampler(RandomSampler):
        def before_trial(self, study, trial):
            study._storage.asked = getattr(study._storage, "asked", 0) + 1
            self._rng = type(self._rng)(seed + study._storage.asked)

    return Sampler(seed=seed)


def wants_every_parameter(*, space, seed):
    from optuna.samplers import RandomSampler

    class Sampler(RandomSampler):
        def before_trial(self, study, trial):
            for before in study.get_trials(deepcopy=False)[:-1]:
                before.params["lr"]  # every trial of a space without conditions has it
                if "kind" in before.params and "layers" not in before.params:
                    before.params["final"]

    return Sampler(seed=seed)


@hookimpl
def automl_opt_strategies():
    for sampler in (
        unseeded,
        has_a_secret,
        leaves_the_grid,
        counts_on_the_storage,
        wants_every_parameter,
    ):
        yield StrategySpec(name=sampler.__name__, paper=PAPER, sampler=sampler)


def pruner(name, judge):
    def make(*, epochs):
        from optuna.pruners import BasePruner

        class Pruner(BasePruner):
            def prune(self, study, trial):
                others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
                return judge(trial.intermediate_values[trial.last_step], others)

        return Pruner()

    return PrunerSpec(name=name, paper=PAPER, pruner=make)


def lower(value, others):
    return any(other.value is not None and value < other.value for other in others)


def higher_by_chance(value, others):
    worse = [other for other in others if other.value is not None and value > other.value]
    return bool(worse) and BY_CHANCE.random() < 0.5


def whole(value, others):
    return int(value) > 10**6


def patient(*, epochs, patience=3):
    from optuna.pruners import NopPruner

    return NopPruner()


@hookimpl
def automl_opt_pruners():
    yield PrunerSpec(name="has_a_secret_patience", paper=PAPER, pruner=patient)
    yield pruner("ends_the_best", lower)
    yield pruner("throws_a_coin", higher_by_chance)
    yield pruner("wants_whole_numbers", whole)
