"""One trial in training: model, optimizer, schedule and regularizers, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from automl_opt.api import OptimizerSpec
from automl_opt.core.errors import TaskError
from automl_opt.core.result import Measurement, Trial
from automl_opt.training.build import TorchBuilder
from automl_opt.training.data import Source, Splits, batch_sizes
from automl_opt.training.randomness import generator, seeded
from automl_opt.training.task import Task

EVALUATED_AT_ONCE = 4
"""Training batches evaluated at once: without gradients they need less memory than one step."""


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


class Diverged(Exception):
    """A loss or a weight stopped being a finite number."""


class LiveTrial:
    """A trial between two epochs.

    Its randomness is a function of the trial's seeds and the epoch, so the state below is all
    there is to keep: weights, optimizer, schedule, history.
    """

    def __init__(
        self, trial: Trial, task: Task, splits: Splits, setup: Setup, builder: TorchBuilder
    ) -> None:
        recipe = trial.recipe
        self.trial, self.task, self.setup = trial, task, setup
        self.splits = splits
        self.epoch = 0
        self.history: list[float] = []
        self.schedule_state: dict[str, Any] | None = None

        regularizers = [builder.regularizer(part) for part in recipe.regularizers]
        self.model = self._build_model(builder, regularizers)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.weights = [p for p in self.parameters if p.ndim >= 2]
        self.hooks = {
            hook: [hooks[hook] for hooks in regularizers if hook in hooks]
            for hook in ("batch", "loss", "grads", "weights", "stop")
        }

        spec = builder.component("optimizer", recipe.optimizer).spec
        assert isinstance(spec, OptimizerSpec)
        self.optimizer = builder.optimizer(recipe.optimizer, self.parameters)
        self.closure = spec.closure
        whole = spec.full_batch or recipe.batch_size is None
        self.batch_size = len(splits.train) if whole else int(recipe.batch_size or 0)
        self.steps = len(batch_sizes(len(splits.train), self.batch_size))
        self.base_lr = [group.get("lr") for group in self.optimizer.param_groups]
        self.factor, self.observe = builder.schedule(recipe.scheduler)

    def _build_model(
        self, builder: TorchBuilder, regularizers: list[dict[str, Callable[..., Any]]]
    ) -> nn.Module:
        recipe, seed = self.trial.recipe, self.trial.seeds.initialisation
        with seeded(seed, "model"):
            model = self.task.model(**recipe.model)
            if not isinstance(model, nn.Module):
                raise TaskError(f"model(…) returned {model!r}, which is no torch.nn.Module")
            for hooks in regularizers:
                if "model" in hooks:
                    model = hooks["model"](model)
            builder.initializer(recipe.initializer, model, generator(seed, "weights"))
        model = model.to(self.setup.device, self.setup.dtype)
        if not any(p.requires_grad for p in model.parameters()):
            raise TaskError("the model has no trainable parameter")
        return model

    def try_once(self) -> None:
        """An evaluation and a step on some examples, to see that everything fits."""
        with seeded(self.trial.seeds.noise, "try"):
            self.model.eval()
            with torch.no_grad():
                x, y = next(iter(self.splits.valid.batches(32)))
                if not isinstance(y, Tensor):
                    raise TaskError(f"y must be one tensor a batch, not {type(y).__name__}")
                outputs, loss = self._forward(x, y)
                if not isinstance(loss, Tensor) or loss.ndim:
                    raise TaskError(f"the loss must be a tensor without dimensions, not {loss!r}")
                for metric in self.task.all_metrics:
                    float(metric.function(outputs, y))
            self.model.train()
            x, y = next(iter(self.splits.train.batches(min(self.batch_size, 32))))
            self._step(x, y, generator(0, device=self.setup.device))

    def train_epoch(self) -> float:
        """One pass over the training split; the mean training loss, examples weighed equally.

        Raises:
            Diverged: the loss or a weight is not finite at the epoch's end.
        """
        seeds, epoch = self.trial.seeds, self.epoch
        order = torch.randperm(
            len(self.splits.train), generator=generator(seeds.order, "epoch", epoch)
        )
        factors = self._factors()
        losses: list[Tensor] = []
        sizes: list[int] = []
        with seeded(seeds.noise, "epoch", epoch):
            rng = generator(seeds.noise, "batch", epoch, device=self.setup.device)
            self.model.train()
            if hasattr(self.optimizer, "train"):  # schedule-free optimizers keep two weights
                self.optimizer.train()
            for step, (x, y) in enumerate(self.splits.train.batches(self.batch_size, order)):
                for group, base in zip(self.optimizer.param_groups, self.base_lr, strict=True):
                    if base is not None:
                        group["lr"] = base * factors[step]
                losses.append(self._step(x, y, rng))
                sizes.append(len(y))
        self.epoch += 1
        weights = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
        mean = float((torch.stack(losses).double().cpu() * weights).sum())
        if not math.isfinite(mean):
            raise Diverged(f"the training loss became {mean} in epoch {self.epoch}")
        finite = torch.stack([p.isfinite().all() for p in self.parameters]).all()
        if not bool(finite):
            raise Diverged(f"a weight became infinite or NaN in epoch {self.epoch}")
        return mean

    def _factors(self) -> list[float]:
        """The learning rate's multiplier at every step of the coming epoch."""
        if self.factor is None:
            factor = self.schedule_state["factor"] if self.schedule_state else 1.0
            return [factor] * self.steps
        total, first = self.setup.epochs * self.steps, self.epoch * self.steps
        return [self.factor(step, total) for step in range(first, first + self.steps)]

    def _step(self, x: Any, y: Any, rng: torch.Generator) -> Tensor:
        """Train on one batch; its loss before the step."""
        for hook in self.hooks["batch"]:
            x, y = hook(x, y, rng)
        if self.closure:
            evaluated: list[Tensor] = []

            def closure() -> Tensor:
                self.optimizer.zero_grad()
                evaluated.append(self._backward(x, y))
                self._shape_gradients()
                return evaluated[-1]

            self.optimizer.step(closure)
            loss = evaluated[0]
        else:
            loss = self._backward(x, y)
            self._shape_gradients()
            self.optimizer.step()
            self.optimizer.zero_grad()
        if self.hooks["weights"]:
            with torch.no_grad():
                for hook in self.hooks["weights"]:
                    hook(self.weights)
        return loss

    def _backward(self, x: Any, y: Any) -> Tensor:
        """Add the gradients of the batch's mean loss, in ``accumulate`` pieces if asked."""
        pieces = self.trial.recipe.accumulate
        if pieces == 1:
            loss = self._regularized(x, y)
            loss.backward()
            return loss.detach()
        size = math.ceil(len(y) / pieces)
        total = torch.zeros((), device=self.setup.device, dtype=self.setup.dtype)
        for start in range(0, len(y), size):
            part_x, part_y = _rows(x, start, start + size), y[start : start + size]
            loss = self._regularized(part_x, part_y) * (len(part_y) / len(y))
            loss.backward()
            total += loss.detach()
        return total

    def _regularized(self, x: Any, y: Any) -> Tensor:
        outputs, loss = self._forward(x, y)
        for hook in self.hooks["loss"]:
            loss = hook(loss, self.weights, outputs, y)
        return loss

    def _forward(self, x: Any, y: Any) -> tuple[Any, Tensor]:
        if self.setup.autocast is None:
            outputs = self.model(x)
            return outputs, self.task.loss_function(outputs, y)
        with torch.autocast(self.setup.device.type, self.setup.autocast):
            outputs = self.model(x)
            return outputs, self.task.loss_function(outputs, y)

    def _shape_gradients(self) -> None:
        if not self.hooks["grads"]:
            return
        owners = [p for p in self.parameters if p.grad is not None]
        grads = [p.grad for p in owners]
        for hook in self.hooks["grads"]:
            grads = hook(grads)
        for owner, grad in zip(owners, grads, strict=True):
            owner.grad = grad

    @torch.no_grad()
    def evaluate(self, source: Source, split: str) -> tuple[Measurement, ...]:
        """Loss and metrics over a whole split; what is not a finite number is ``None``."""
        self.model.eval()
        if hasattr(self.optimizer, "eval"):
            self.optimizer.eval()
        outputs, targets, loss = [], [], torch.zeros((), dtype=torch.float64)
        with seeded(self.trial.seeds.noise, "evaluate", split, self.epoch):
            for x, y in source.batches(EVALUATED_AT_ONCE * self.batch_size):
                output, value = self._forward(x, y)
                loss += value.double().cpu() * (len(y) / len(source))
                if self.task.metrics:
                    outputs.append(output)
                    targets.append(y)
            numbers = {"loss": float(loss)}
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
        stop = any(hook(list(self.history)) for hook in self.hooks["stop"])
        return value, stop

    def state_dict(self) -> dict[str, Any]:
        return {
            "format": 1,
            "recipe": self.trial.recipe.fingerprint(),
            "seeds": asdict(self.trial.seeds),
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
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
        self.epoch = state["epoch"]
        self.schedule_state = state["schedule"]
        self.history = list(state["history"])


def _rows(x: Any, start: int, stop: int) -> Any:
    if isinstance(x, Tensor):
        return x[start:stop]
    if isinstance(x, dict):
        return {key: _rows(item, start, stop) for key, item in x.items()}
    return type(x)(_rows(item, start, stop) for item in x)
