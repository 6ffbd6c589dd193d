"""Checks of regularizers: each hook by itself, and all of them in a real training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from automl_opt.api import RegularizerSpec
from automl_opt.core.params import Value
from automl_opt.core.recipe import Recipe
from automl_opt.core.result import Trial
from automl_opt.core.seeds import Seeds
from automl_opt.plugin.catalog import Catalog, Component
from automl_opt.testing.bases import INITIALIZER, OPTIMIZER, SCHEDULER, builder
from automl_opt.testing.check import Check, fail, need
from automl_opt.testing.comparing import copied, finite, near, same
from automl_opt.testing.effects import has_effect, varied
from automl_opt.testing.raised import raised
from automl_opt.testing.signature import compare
from automl_opt.testing.values import settled
from automl_opt.training.data import make_splits
from automl_opt.training.live import Diverged, LiveTrial, Setup
from automl_opt.training.randomness import generator, seeded
from automl_opt.training.task import LOSSES, Task

KINDS = ("regularizer",)
DTYPES = (torch.float32, torch.bfloat16, torch.float64)
EXAMPLES, CLASSES = 24, 3
HISTORIES = (
    [1.0],
    [1.0 - 0.01 * epoch for epoch in range(40)],
    *([1.0, 0.9, *[0.9 - 1e-3 * epoch for epoch in range(n)]] for n in range(1, 40, 3)),
    *([1.0, 0.5, *[0.6] * n] for n in range(1, 40)),
    *([1.0, 0.5, *[0.5 + 0.1 * epoch for epoch in range(n)]] for n in range(1, 40, 3)),
)
"""Validation losses, lower is better, that fall, creep, stay and rise."""


class Block(nn.Module):
    """A residual block; stochastic depth knows the branch by its name."""

    def __init__(self, residual: nn.Module) -> None:
        super().__init__()
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.residual(x)
        return y


def network(loss: str) -> nn.Module:
    """A small convolutional network with a residual block, for images ``[n, 1, 6, 6]``."""
    head = [nn.LogSoftmax(dim=1)] if loss == "nll" else []
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        Block(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 1))),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 36, 8),
        nn.ReLU(),
        nn.Linear(8, CLASSES),
        *head,
    )


def examples(loss: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Images of three classes, and the targets that *loss* wants."""
    source = generator("images")
    y = torch.arange(EXAMPLES) % CLASSES
    centres = torch.randn(CLASSES, 1, 6, 6, generator=source, dtype=torch.float64)
    noise = torch.randn(EXAMPLES, 1, 6, 6, generator=source, dtype=torch.float64)
    x = (centres[y] + 0.5 * noise).to(dtype)
    if loss in ("cross_entropy", "nll"):
        return x, y
    return x, functional.one_hot(y, CLASSES).to(dtype)


def spec_of(component: Component) -> RegularizerSpec:
    assert isinstance(component.spec, RegularizerSpec)
    return component.spec


def loss_of(component: Component) -> str:
    """The first task loss it is made for."""
    return next(iter(spec_of(component).losses), "cross_entropy")


def hooks_of(component: Component, values: Mapping[str, Value]) -> dict[str, Callable[..., Any]]:
    spec = spec_of(component)

    def at_values(code: Any) -> Callable[..., Any]:
        function = component.code(code)
        return lambda *args: function(*args, **values)

    return {hook: at_values(code) for hook, code in spec.hooks().items()}


def given(component: Component, dtype: torch.dtype = torch.float32) -> dict[str, tuple[Any, ...]]:
    """The arguments of every hook, the same at every call; generators come fresh."""
    loss = loss_of(component)
    x, y = examples(loss, dtype)
    with seeded("network"):
        model = network(loss).to(dtype)
    outputs = model(x)
    value = LOSSES[loss](outputs, y)
    parameters = list(model.parameters())
    grads = [5 * grad for grad in torch.autograd.grad(value, parameters, retain_graph=True)]
    weights = [p for p in parameters if p.ndim >= 2]
    slope = torch.randn(x.shape, generator=generator("slope"), dtype=torch.float64).to(dtype)
    return {
        "model": (model,),
        "batch": (x, y, generator("rng")),
        "mix": (x, y, generator("rng")),
        "attack": (x, slope),
        "loss": (value, weights, outputs, y),
        "grads": (grads, parameters),
        "weights": (weights, 0.1),
        "average": (0, 10),
        "stop": (HISTORIES[0],),
    }


def done(
    component: Component, values: Mapping[str, Value], dtype: torch.dtype = torch.float32
) -> dict[str, Any]:
    """What every hook does at *values*, as tensors and numbers to compare."""
    did: dict[str, Any] = {}
    for hook, call in hooks_of(component, values).items():
        args = given(component, dtype)[hook]
        with seeded("hook", hook):
            if hook == "model":
                changed = call(*args)
                x, _ = examples(loss_of(component), dtype)
                with torch.no_grad():
                    did[hook] = [changed.train()(x), changed.eval()(x)]
            elif hook == "weights":
                with torch.no_grad():
                    call(*args)
                did[hook] = args[0]
            elif hook == "average":
                did[hook] = [call(step, total) for total in (1, 10, 100) for step in range(total)]
            elif hook == "stop":
                did[hook] = [bool(call(list(history))) for history in HISTORIES]
            else:
                did[hook] = call(*args)
    return {hook: copied(what) for hook, what in did.items()}


def try_once(component: Component, catalog: Catalog, values: Mapping[str, Value]) -> None:
    """Every hook runs at *values*, and makes finite numbers."""
    need(finite(done(component, values)), "a hook makes numbers that are not finite")


def check_pure(component: Component, catalog: Catalog) -> None:
    """Hooks leave what they are given as it was, but ``model`` and ``weights``: copy first."""
    for hook, call in hooks_of(component, settled(component.spec, {})).items():
        if hook in ("model", "weights"):
            continue
        args = given(component)[hook]
        before = [copied(a) if not isinstance(a, torch.Generator) else None for a in args]
        with seeded("hook", hook):
            call(*args)
        for index, (was, now) in enumerate(zip(before, args, strict=True)):
            need(
                was is None or same(was, copied(now)),
                f"{hook}() changed its argument {index + 1}: return new tensors instead of "
                "writing into it",
            )


def check_parameters(component: Component, catalog: Catalog) -> None:
    """Every declared parameter changes something, and no other is taken: declare those used."""
    spec = spec_of(component)
    positional = {hook: len(args) for hook, args in given(component).items()}
    for hook, code in spec.hooks().items():
        compare(f"{hook}()", component.code(code), positional[hook], spec.params)
    for name in varied(spec):
        need(
            has_effect(spec, name, partial(done, component)),
            f"{name!r} changes nothing that any hook does: use it, or delete it from params",
        )


def check_dtypes(component: Component, catalog: Catalog) -> None:
    """float32, bfloat16 and float64 stay what they are: make tensors with new_zeros or like."""
    for dtype in DTYPES:
        name = str(dtype).removeprefix("torch.")
        try:
            did = done(component, settled(component.spec, {}), dtype)
        except Exception as error:  # the component's own code
            fail(f"tensors of {name} make it fail: it {raised(error)}")
        for hook, what in did.items():
            tensors = what if isinstance(what, (list, tuple)) else [what]
            tensors = tensors[:2] if hook == "mix" else tensors  # its share may be any number
            for tensor in tensors:
                if isinstance(tensor, Tensor) and tensor.is_floating_point():
                    need(
                        tensor.dtype is dtype,
                        f"{hook}() makes {tensor.dtype} of {name}: keep the dtype it is given",
                    )
            need(finite(what), f"{hook}() makes {name} NaN or infinite")


class Training:
    """A trial on two dozen examples: the kit's plain parts and the component, or without it."""

    epochs = 4

    def __init__(
        self,
        component: Component,
        catalog: Catalog,
        values: Mapping[str, Value] | None = None,
        *,
        without: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        loss = loss_of(component)
        chosen = settled(component.spec, {} if values is None else values)
        part = component.part({component.id: chosen})
        recipe = Recipe(
            optimizer=OPTIMIZER.part(),
            scheduler=SCHEDULER.part(),
            regularizers=() if without else (part,),
            initializer=INITIALIZER.part(),
            batch_size=8,
        )
        setup = Setup(
            epochs=self.epochs,
            device=torch.device("cpu"),
            dtype=dtype,
            autocast=None,
            metric="loss",
            maximize=False,
        )
        data = examples(loss, dtype)
        task = Task(model=lambda: network(loss), train=data, valid=data, loss=loss)
        seeds = Seeds.of_trial(0, "conformance", 0)
        trial = Trial(arm="conformance", number=0, trial_id=0, recipe=recipe, seeds=seeds)
        splits = make_splits(task, seeds.split, setup.device, setup.dtype)
        self.live = LiveTrial(trial, task, splits, setup, builder(component, catalog))
        self.losses: list[float] = []
        self.stops: list[bool] = []
        self.diverged = ""

    def run(self, epochs: int) -> Training:
        """Train *epochs* more, or until it diverges; a trial stops early in a study only."""
        for _ in range(epochs):
            try:
                self.losses.append(self.live.train_epoch())
                measured = self.live.evaluate(self.live.splits.valid, "valid")
                self.losses.append(float(measured[0].value or 0.0))
                self.stops.append(self.live.close_epoch(measured)[1])
            except Diverged as error:
                self.diverged = str(error)
                break
        return self

    def state(self) -> dict[str, Any]:
        return copy.deepcopy(self.live.state_dict())

    def weights(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.state()["model"]
        return found


def behaviour(component: Component, catalog: Catalog, values: Mapping[str, Value]) -> Any:
    """The training that it makes, to be compared with another regularizer's."""
    training = Training(component, catalog, values, dtype=torch.float64).run(Training.epochs)
    return training.losses, training.weights(), training.stops


def check_identity(component: Component, catalog: Catalog) -> None:
    """At its declared ``identity`` it changes nothing: add or multiply, do not replace."""
    spec = spec_of(component)
    assert spec.identity is not None
    values = settled(spec, dict(spec.identity))
    plain = Training(component, catalog, without=True, dtype=torch.float64).run(Training.epochs)
    regularized = Training(component, catalog, values, dtype=torch.float64).run(Training.epochs)
    need(
        _near(plain, regularized),
        f"at its identity {dict(spec.identity)} it trains other weights than without it: mend the "
        "formula, or the values that identity declares",
    )
    need(not any(regularized.stops), "at its identity it stops the trial")


def _near(one: Training, other: Training) -> bool:
    """Whether losses and weights agree; modules that were put in may have given these new names."""
    mine, theirs = list(one.weights().values()), list(other.weights().values())
    if [t.shape for t in mine] != [t.shape for t in theirs]:
        return near(one.losses, other.losses)
    return near((mine, one.losses), (theirs, other.losses))


def check_trains(component: Component, catalog: Catalog) -> None:
    """At its defaults a small network stays finite: weaken a default that blows it up."""
    training = Training(component, catalog).run(Training.epochs)
    need(
        not training.diverged,
        f"at its defaults {training.diverged}: weaken them, or look at the sign",
    )


def check_same_seed(component: Component, catalog: Catalog) -> None:
    """The same seed gives the same bits: draw from ``rng`` or torch's global generator."""
    once, again = (Training(component, catalog).run(2) for _ in range(2))
    need(
        same((once.losses, once.weights()), (again.losses, again.weights())),
        "two trainings under the same seed end in different weights: draw from the rng it is "
        "handed or from torch's global generator, and remember nothing between runs",
    )


def check_resume(component: Component, catalog: Catalog) -> None:
    """Stopping half-way and resuming changes no bit: remember in buffers of the model alone."""
    half = Training.epochs // 2
    first = Training(component, catalog).run(half)
    state, losses = first.state(), first.losses
    undisturbed = Training(component, catalog).run(2 * half)  # in between, as others train
    second = Training(component, catalog)
    second.live.load_state_dict(state)
    second.run(half)
    need(
        same(
            (losses + second.losses, second.weights()),
            (undisturbed.losses, undisturbed.weights()),
        ),
        "stopped half-way and resumed, it ends elsewhere than undisturbed: keep what it remembers "
        "in buffers of the model, which a checkpoint has, not in modules or closures",
    )


CHECKS = (
    Check("identity", KINDS, check_identity, lambda c: spec_of(c).identity is not None),
    Check("pure", KINDS, check_pure),
    Check("parameters", KINDS, check_parameters),
    Check("same_seed", KINDS, check_same_seed),
    Check("dtypes", KINDS, check_dtypes),
    Check("trains", KINDS, check_trains),
    Check("resume", KINDS, check_resume),
)
