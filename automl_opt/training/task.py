"""A task: what is trained, on which data, and how its outputs are judged."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from automl_opt.core.errors import ParamError, TaskError, did_you_mean
from automl_opt.core.params import Float, Int, OneOf, Param, overridden
from automl_opt.core.spec import StudySpec


def _alike(function: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """*function*, without the broadcasting that makes ``[n, 1]`` minus ``[n]`` an ``[n, n]``."""

    def checked(outputs: Tensor, targets: Tensor) -> Tensor:
        if outputs.shape != targets.shape:
            raise _misfit(outputs, targets)
        return function(outputs, targets)

    return checked


def _misfit(outputs: Tensor, targets: Tensor) -> TaskError:
    return TaskError(
        f"outputs of shape {list(outputs.shape)} do not fit targets of shape "
        f"{list(targets.shape)}; reshape one of them in the model or in the data"
    )


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": functional.cross_entropy,
    "nll": functional.nll_loss,
    "binary_cross_entropy_with_logits": _alike(functional.binary_cross_entropy_with_logits),
    "mse": _alike(functional.mse_loss),
    "l1": _alike(functional.l1_loss),
    "huber": _alike(functional.huber_loss),
}
"""Losses by name, each the mean over the batch."""

Direction = Literal["minimize", "maximize"]


LIBRARIES = (Path(torch.__file__).parent, Path(__file__).parent.parent)
"""Where an error may surface that the user's code caused: torch and this package."""


@dataclass(frozen=True)
class Metric:
    """A number that judges a whole split.

    Args:
        function: ``function(outputs, targets) -> scalar tensor or number``; both are the whole
            split, first dimension the examples, on the training device.
    """

    name: str
    function: Callable[[Tensor, Tensor], Any]
    direction: Direction

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TaskError(f"metric {self.name!r} needs a function, not {self.function!r}")
        if self.direction not in ("minimize", "maximize"):
            raise TaskError(
                f"metric {self.name!r}: direction must be 'minimize' or 'maximize', not "
                f"{self.direction!r}"
            )


def _accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Share of right classes: argmax of ``[n, classes, …]``, or the sign of ``[n]`` logits.

    Several logits with a target each are refused: of one class, or of many labels?
    """
    n_logits = outputs[0].numel() if len(outputs) else 0
    if outputs.shape == targets.shape and n_logits == 1:
        return ((outputs > 0) == (targets > 0.5)).double().mean()
    if outputs.ndim != targets.ndim + 1 or outputs.shape[1] == 1:
        raise _misfit(outputs, targets)
    return (outputs.argmax(dim=1) == targets).double().mean()


def _r2(outputs: Tensor, targets: Tensor) -> Tensor:
    """Coefficient of determination over all elements."""
    residual = (targets - outputs).square().sum()
    return 1 - residual / (targets - targets.mean()).square().sum()


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", _accuracy, "maximize"),
        Metric("error_rate", lambda o, t: 1 - _accuracy(o, t), "minimize"),
        Metric("mse", _alike(lambda o, t: (o - t).square().mean()), "minimize"),
        Metric("mae", _alike(lambda o, t: (o - t).abs().mean()), "minimize"),
        Metric("r2", _alike(_r2), "maximize"),
    )
}


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a study trains.

    Args:
        model: ``model(**hyperparameters) -> nn.Module``; called once a trial.
        data: ``(x, y)`` of arrays or tensors, or a ``torch.utils.data.Dataset`` of ``(x, y)``
            examples; split by *split*. Or give *train*, *valid* and (if there is one) *test*.
        split: shares of train, valid and test; the test share may be 0.
        loss: a name of :data:`LOSSES`, or ``loss(outputs, targets) -> scalar tensor``, a mean
            over the batch.
        metrics: names of :data:`METRICS` or :class:`Metric` objects; ``loss`` is always there.
        params: the model's own hyperparameters and their ranges.
        padded: those of *params* that change nothing but sizes of the model's weights and numbers
            in its buffers, as the rank of adapters: trials that differ in them may share a stack,
            where weights are filled up with zeros to the largest of the range.
    """

    model: Callable[..., nn.Module]
    data: Any = None
    train: Any = None
    valid: Any = None
    test: Any = None
    split: tuple[float, float, float] = (0.6, 0.2, 0.2)
    loss: str | Callable[[Any, Any], Tensor] = "cross_entropy"
    metrics: Sequence[str | Metric] = ()
    params: Mapping[str, Param] = field(default_factory=dict)
    padded: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not callable(self.model):
            raise TaskError(f"model must be a function that makes a model, not {self.model!r}")
        if (self.data is None) == (self.train is None):
            raise TaskError("give data=…, or train=… with valid=…")
        if self.data is not None and (self.valid is not None or self.test is not None):
            raise TaskError("data=… is split by itself; valid=… and test=… go with train=…")
        if self.train is not None and self.valid is None:
            raise TaskError("train=… needs valid=…: a search cannot judge on training data")
        if (
            len(self.split) != 3
            or min(self.split[:2]) <= 0
            or self.split[2] < 0
            or abs(sum(self.split) - 1) > 1e-9
        ):
            raise TaskError(
                f"split {self.split!r} must be three shares (train, valid, test) that add up to "
                "1, the first two above 0"
            )
        if isinstance(self.loss, str) and self.loss not in LOSSES:
            raise TaskError(f"no loss named {self.loss!r}; {did_you_mean(self.loss, LOSSES)}")
        if not isinstance(self.loss, str) and not callable(self.loss):
            raise TaskError(f"loss must be a name or a function, not {self.loss!r}")
        for metric in self.metrics:
            if isinstance(metric, str) and metric not in METRICS:
                raise TaskError(f"no metric named {metric!r}; {did_you_mean(metric, METRICS)}")
            if not isinstance(metric, (str, Metric)):
                raise TaskError(f"a metric is a name or a Metric, not {metric!r}")
        names = ["loss", *(m.name for m in self.all_metrics)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise TaskError(f"metrics: {twice[0]!r} is there twice ('loss' always is)")
        for name, param in self.params.items():
            if not isinstance(param, (Float, Int, OneOf)):
                raise TaskError(f"params[{name!r}] must be a Float, Int or OneOf, not {param!r}")
        if isinstance(self.padded, str):
            raise TaskError(f"padded must be a list of names, not {self.padded!r}")
        for name in self.padded:
            if name not in self.params:
                raise TaskError(
                    f"padded: no hyperparameter {name!r}; {did_you_mean(name, self.params)}"
                )
            if _largest(self.params[name]) is None:
                raise TaskError(
                    f"padded: {name!r} must be of whole numbers, not {self.params[name]!r}"
                )

    @property
    def largest(self) -> dict[str, int]:
        """The padded hyperparameters, each with the largest value of its range."""
        found = {name: _largest(self.params[name]) for name in self.padded}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def loss_name(self) -> str | None:
        return self.loss if isinstance(self.loss, str) else None

    @property
    def loss_function(self) -> Callable[[Any, Any], Tensor]:
        return LOSSES[self.loss] if isinstance(self.loss, str) else self.loss

    @property
    def all_metrics(self) -> tuple[Metric, ...]:
        return tuple(METRICS[m] if isinstance(m, str) else m for m in self.metrics)

    def direction_of(self, metric: str) -> Direction:
        """The metric's own direction; raises :class:`TaskError` for one the task has not."""
        known: dict[str, Direction] = {"loss": "minimize"}
        known |= {m.name: m.direction for m in self.all_metrics}
        if metric not in known:
            raise TaskError(f"the task has no metric {metric!r}; {did_you_mean(metric, known)}")
        return known[metric]

    def ranges(self, spec: StudySpec) -> dict[str, Param]:
        """The model's hyperparameters within the study's overrides; raises ``SpecError``."""
        found = dict(self.params)
        for name, override in spec.overrides.get("model", {}).items():
            if name not in found:
                raise spec.error(
                    f"[ranges.model] {name}",
                    f"the model has no such hyperparameter; {did_you_mean(name, found)}",
                )
            try:
                found[name] = overridden(found[name], override)
            except ParamError as error:
                raise spec.error(f"[ranges.model] {name}", str(error)) from error
        return found


def _largest(param: Param) -> int | None:
    """The largest value of a range of whole numbers."""
    if isinstance(param, Int):
        return param.high
    if isinstance(param, Float):
        return None
    whole = [choice for choice in param.choices if type(choice) is int]
    return max(whole) if len(whole) == len(param.choices) else None


def load_task(spec: StudySpec) -> Task:
    """Import and call the function that the study's ``task`` names.

    Raises:
        SpecError: the file or function is missing, raises, or returns no :class:`Task`.
    """
    place, _, name = spec.task.partition(":")
    try:
        module = _load_file(spec, place) if place.endswith(".py") else _load_module(spec, place)
        function = getattr(module, name, None)
        if not callable(function):
            functions = [n for n, v in vars(module).items() if callable(v) and n[0] != "_"]
            raise spec.error(
                "task", f"{place} has no function {name!r}; {did_you_mean(name, functions)}"
            )
        task = function()
    except TaskError as error:
        raise spec.error("task", f"{spec.task}: {error}") from error
    except (Exception, SystemExit) as error:
        if type(error).__module__.startswith("automl_opt.core"):
            raise
        raise spec.error("task", f"{spec.task} raised {where(error)}") from error
    if not isinstance(task, Task):
        raise spec.error("task", f"{spec.task} must return an automl_opt.Task, not {task!r}")
    return task


def _load_file(spec: StudySpec, place: str) -> Any:
    path = (Path(spec.source).parent / place).resolve()
    if not path.is_file():
        near = [found.name for found in sorted(path.parent.glob("*.py"))]
        raise spec.error("task", f"there is no file {path}; {did_you_mean(path.name, near)}")
    found = importlib.util.spec_from_file_location(f"automl_opt_task_{path.parent.name}", path)
    if found is None or found.loader is None:
        raise spec.error("task", f"{path} cannot be imported")
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module  # so that classes defined there can be pickled
    found.loader.exec_module(module)
    return module


def _load_module(spec: StudySpec, place: str) -> Any:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name and place.startswith(error.name):
            raise spec.error("task", f"there is no module {place!r}") from error
        raise


def where(error: BaseException) -> str:
    """An error on one line, with the innermost place in the user's own code that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not _is_library(frame.filename)]
    places = [f" ({Path(f.filename).name}:{f.lineno})" for f in theirs or frames]
    place = places[-1] if places else ""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}{place}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether *error* says that host or device memory ran out."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    said = ("not enough memory", "out of memory", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(words in str(error) for words in said)


def _is_library(file: str) -> bool:
    return file.startswith("<frozen") or any(Path(file).is_relative_to(p) for p in LIBRARIES)


def parameter_count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
