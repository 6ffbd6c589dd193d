"""One trial in training: model, optimizer, schedule and regularizers, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from automl_opt.core.errors import TaskError
from automl_opt.core.result import Measurement, Trial
from automl_opt.training import step
from automl_opt.training.average import Average
from automl_opt.training.build import TorchBuilder
from automl_opt.training.data import Source, Splits, batch_sizes
from automl_opt.training.randomness import generator, seeded
from automl_opt.training.task import Task

EVALUATED_AT_ONCE = 4
"""Training batches evaluated at once: without gradients they need less memory than one step."""

FITTED_TO = 256
"""The most examples that an initializer sees."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What all trials of a study share.

    Args:
        autocast: the low-precision dtype of a mixed-precision study, else ``None``.
        maximize: whether a higher *metric* is better.
    """

    epochs: int
    device: torch.device
    dtype: torch.dtype
    autocast: torch.dtype | None
    metric: str
    maximize: bool

    def precision(self) -> AbstractContextManager[Any]:
        """The context that models and losses run in."""
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.autocast)


class Diverged(Exception):
    """A loss or a weight stopped being a finite number."""


class LiveTrial:
    """A trial between two epochs.

    Its randomness is a function of the trial's seeds and the epoch, so the state below is all
    there is to keep: weights and their averages, optimizer, schedule, history.
    """

    def __init__(
        self, trial: Trial, task: Task, splits: Splits, setup: Setup, builder: TorchBuilder
    ) -> None:
        recipe = trial.recipe.bound(builder)
        self.trial, self.task, self.setup, self.builder = trial, task, setup, builder
        self.splits = splits
        self.signature: str | None = None  # of the stacks that it fits into, once asked
        self.padded = False  # whether its weights are larger there
        self.kind: Hashable = None  # of the graphs that it fits into, once asked
        self.epoch = 0
        self.history: list[float] = []
        self.schedule_state: dict[str, Any] | None = None

        optimizer = builder.component("optimizer", recipe.optimizer)
        whole = optimizer.has("full_batch") or recipe.batch_size is None
        self.batch_size = len(splits.train) if whole else int(recipe.batch_size or 0)
        self.steps = len(batch_sizes(len(splits.train), self.batch_size))

        regularizers = [builder.regularizer(part) for part in recipe.regularizers]
        self.model = self._build_model(builder, regularizers)
        hooks = {
            hook: [hooks[hook] for hooks in regularizers if hook in hooks]
            for hook in (*step.HOOKS, "average", "stop")
        }
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = builder.optimizer(recipe.optimizer, parameters)
        self.step = step.Step(
            self.model,
            self.optimizer,
            optimizer,
            hooks,
            task.loss_function,
            accumulate=recipe.accumulate,
            precision=setup.precision,
        )
        self.average = Average(self.model, hooks["average"], setup.epochs * self.steps)
        self.stops = hooks["stop"]
        self.base_lr = [group.get("lr") for group in self.optimizer.param_groups]
        self.factor, self.observe = builder.schedule(recipe.scheduler)

    def _build_model(
        self, builder: TorchBuilder, regularizers: list[dict[str, Callable[..., Any]]]
    ) -> nn.Module:
        recipe, seed = self.trial.recipe, self.trial.seeds.initialisation
        with seeded(seed, "model"):
            model = self._unfilled(recipe.model, regularizers)
            builder.fill(recipe.initializer, model, generator(seed, "weights"))
            model = model.to(self.setup.device, self.setup.dtype)
            builder.fit(recipe.initializer, model, self._examples)
        if not any(p.requires_grad for p in model.parameters()):
            raise TaskError("the model has no trainable parameter")
        return model

    def built(self, hyperparameters: Mapping[str, Any]) -> nn.Module:
        """The model with other *hyperparameters*, its weights as the task's code leaves them."""
        regularizers = [self.builder.regularizer(part) for part in self.trial.recipe.regularizers]
        with seeded(self.trial.seeds.initialisation, "model"):
            model = self._unfilled(hyperparameters, regularizers)
        return model.to(self.setup.device, self.setup.dtype)

    def _unfilled(
        self,
        hyperparameters: Mapping[str, Any],
        regularizers: list[dict[str, Callable[..., Any]]],
    ) -> nn.Module:
        model = self.task.model(**hyperparameters)
        if not isinstance(model, nn.Module):
            raise TaskError(f"model(…) returned {model!r}, which is no torch.nn.Module")
        for hooks in regularizers:
            if "model" in hooks:
                model = hooks["model"](model)
        return model

    def _examples(self) -> Any:
        """The inputs that an initializer fits weights to: a fixed few of the training split."""
        size = min(self.batch_size, FITTED_TO)
        return next(iter(self.splits.train.batches(size)))[0]

    def try_once(self) -> None:
        """An evaluation and a step on some examples, to see that everything fits."""
        with seeded(self.trial.seeds.noise, "try"):
            self.model.eval()
            with torch.no_grad():
                x, y = next(iter(self.splits.valid.batches(32)))
                if not isinstance(y, Tensor):
                    raise TaskError(f"y must be one tensor a batch, not {type(y).__name__}")
                outputs, loss = self._forward(self.model, x, y)
                if not isinstance(loss, Tensor) or loss.ndim:
                    raise TaskError(f"the loss must be a tensor without dimensions, not {loss!r}")
                for metric in self.task.all_metrics:
                    float(metric.function(outputs, y))
            self.model.train()
            x, y = next(iter(self.splits.train.batches(min(self.batch_size, 32))))
            self.step(x, y, generator(0, device=self.setup.device))

    def train_epoch(self) -> float:
        """One pass over the training split; the mean training loss, examples weighed equally.

        Raises:
            Diverged: the loss or a weight is not finite at the epoch's end.
        """
        seeds, epoch, first = self.trial.seeds, self.epoch, self.epoch * self.steps
        factors = self.factors()
        losses: list[Tensor] = []
        sizes: list[int] = []
        with seeded(seeds.noise, "epoch", epoch):
            rng = self.batch_generator()
            self.model.train()
            if hasattr(self.optimizer, "train"):  # schedule-free optimizers keep two weights
                self.optimizer.train()
            for i, (x, y) in enumerate(self.splits.train.batches(self.batch_size, self.order())):
                for group, base in zip(self.optimizer.param_groups, self.base_lr, strict=True):
                    if base is not None:
                        group["lr"] = base * factors[i]
                losses.append(self.step(x, y, rng))
                sizes.append(len(y))
                if self.average:
                    self.average.update(first + i)
        finite = torch.stack([p.isfinite().all() for p in self.step.parameters]).all()
        return self.close_training(torch.stack(losses), sizes, bool(finite))

    def order(self) -> Tensor:
        """The training examples in the order of the coming epoch."""
        source = generator(self.trial.seeds.order, "epoch", self.epoch)
        return torch.randperm(len(self.splits.train), generator=source)

    def batch_generator(self) -> torch.Generator:
        """Where the hooks on the batches of the coming epoch draw from."""
        return generator(self.trial.seeds.noise, "batch", self.epoch, device=self.setup.device)

    def close_training(self, losses: Tensor, sizes: list[int], finite: bool) -> float:
        """Take the losses of an epoch's steps; their mean, examples weighed equally.

        Args:
            losses: ``[steps]``.
            finite: whether every weight is a finite number.

        Raises:
            Diverged: the loss or a weight is not.
        """
        self.epoch += 1
        weights = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
        mean = float((losses.double().cpu() * weights).sum())
        if not math.isfinite(mean):
            raise Diverged(f"the training loss became {mean} in epoch {self.epoch}")
        if not finite:
            raise Diverged(f"a weight became infinite or NaN in epoch {self.epoch}")
        return mean

    @property
    def observed(self) -> float:
        """What a schedule that watches the loss multiplies the learning rate by."""
        return float(self.schedule_state["factor"]) if self.schedule_state else 1.0

    def factors(self) -> list[float]:
        """The learning rate's multiplier at every step of the coming epoch."""
        observed = self.observed
        if self.factor is None:
            return [observed] * self.steps
        total, first = self.setup.epochs * self.steps, self.epoch * self.steps
        return [observed * self.factor(step, total) for step in range(first, first + self.steps)]

    def _forward(self, model: nn.Module, x: Any, y: Any) -> tuple[Any, Tensor]:
        with self.setup.precision():
            outputs = model(x)
            return outputs, self.task.loss_function(outputs, y)

    @torch.no_grad()
    def evaluate(self, source: Source, split: str) -> tuple[Measurement, ...]:
        """Loss and metrics over a whole split."""
        self.model.eval()
        if hasattr(self.optimizer, "eval"):
            self.optimizer.eval()
        outputs, targets, loss = [], [], torch.zeros((), dtype=torch.float64)
        with seeded(self.trial.seeds.noise, "evaluate", split, self.epoch):
            model = self.average.model(self.splits.train, self.batch_size)
            for x, y in source.batches(EVALUATED_AT_ONCE * self.batch_size):
                output, value = self._forward(model, x, y)
                loss += value.double().cpu() * (len(y) / len(source))
                if self.task.metrics:
                    outputs.append(output)
                    targets.append(y)
            return self.measured(split, float(loss), outputs, targets)

    def measured(
        self, split: str, loss: float, outputs: list[Any], targets: list[Any]
    ) -> tuple[Measurement, ...]:
        """The task's numbers from all batches of a split; what is not finite is ``None``."""
        numbers = {"loss": loss}
        if self.task.metrics:
            whole, truth = torch.cat(outputs), torch.cat(targets)
            for metric in self.task.all_metrics:
                numbers[metric.name] = float(metric.function(whole, truth))
        return tuple(
            Measurement(split, name, number if math.isfinite(number) else None)
            for name, number in numbers.items()
        )

    def close_epoch(self, validation: tuple[Measurement, ...]) -> tuple[float, bool]:
        """Take the epoch's validation numbers; the study's metric, and whether to stop early.

        Raises:
            Diverged: the study's metric is not a finite number.
        """
        numbers = {m.metric: m.value for m in validation}
        value = numbers[self.setup.metric]
        if value is None:
            raise Diverged(
                f"the validation {self.setup.metric} is not finite in epoch {self.epoch}"
            )
        self.history.append(-value if self.setup.maximize else value)
        if self.observe is not None:
            loss = numbers["loss"]
            self.schedule_state = self.observe(
                math.inf if loss is None else loss, self.schedule_state
            )
        stop = any(hook(list(self.history)) for hook in self.stops)
        return value, stop

    def state_dict(self) -> dict[str, Any]:
        return {
            "format": 1,
            "recipe": self.trial.recipe.fingerprint(),
            "seeds": asdict(self.trial.seeds),
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "schedule": self.schedule_state,
            "history": self.history,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from *state*; raises ``ValueError`` where another trial left it."""
        mine = self.state_dict()
        if any(state.get(key) != mine[key] for key in ("format", "recipe", "seeds")):
            raise ValueError("another trial, or another version of automl_opt, wrote it")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        self.epoch = state["epoch"]
        self.schedule_state = state["schedule"]
        self.history = list(state["history"])
