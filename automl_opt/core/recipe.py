"""A recipe: everything that decides how one model is trained, as one frozen value."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Protocol

from automl_opt.core.errors import AutomlOptError, ParamError, did_you_mean
from automl_opt.core.params import Value

LR_SCALINGS: Final = ("none", "linear", "sqrt")
"""How the learning rate follows the batch size."""

REFERENCE_BATCH: Final = 32
"""The batch size at which no scaling rule changes the learning rate."""


class Builder(Protocol):
    """Turns a part of a recipe into the real torch object; lives on the training floor."""

    def build(self, kind: str, part: Part, *args: Any, **kwargs: Any) -> Any: ...


@dataclass(frozen=True)
class Part:
    """One component with its parameters, for example ``builtin.adamw`` with ``lr = 1e-3``.

    A part of a bound recipe is callable and builds the torch object it names:
    ``recipe.optimizer(model.parameters())`` and ``recipe.scheduler(optimizer, total_steps)``.

    Args:
        base: what a wrapper wraps: ``builtin.adamw`` in ``builtin.sam(builtin.adamw)``.
        lr_factor: what the recipe's scaling rule multiplies the learning rate by.
    """

    id: str
    params: Mapping[str, Value] = field(default_factory=dict)
    version: int = 1
    kind: str = field(default="", compare=False, repr=False)
    builder: Builder | None = field(default=None, compare=False, repr=False)
    base: Part | None = None
    lr_factor: float = field(default=1.0, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))

    def __hash__(self) -> int:
        return hash((self.id, self.version, tuple(sorted(self.params.items())), self.base))

    @property
    def name(self) -> str:
        """The ids from the outermost in: ``builtin.sam(builtin.adamw)``."""
        return self.id if self.base is None else f"{self.id}({self.base.name})"

    @property
    def chain(self) -> tuple[Part, ...]:
        """The part and what it wraps, the outermost first."""
        return (self,) if self.base is None else (self, *self.base.chain)

    def data(self) -> dict[str, Any]:
        """The part as plain data; :meth:`from_data` reads it back."""
        base = {} if self.base is None else {"base": self.base.data()}
        return {"id": self.id, "version": self.version, "params": dict(self.params), **base}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Part:
        base = cls.from_data(data["base"]) if "base" in data else None
        return cls(data["id"], data["params"], data["version"], base=base)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.builder is None:
            raise AutomlOptError(
                f"the recipe that holds {self.name} is data only; recipes of "
                "automl_opt.search_space(…).suggest(trial) build, others after "
                "automl_opt.bind(recipe)"
            )
        return self.builder.build(self.kind, self, *args, **kwargs)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Optimizer, scheduler, regularizers (in order), initializer, batch size, model.

    Args:
        batch_size: examples a step; ``None`` is the whole training set. A single example that is
            left over joins the batch before it.
        accumulate: a step's batch is run in this many pieces, their gradients added.
        lr_scaling: how the learning rate follows the batch size, from what it is at 32 on:
            ``none``, ``linear`` (Goyal et al. 2017, arXiv:1706.02677) or ``sqrt`` (Krizhevsky
            2014, arXiv:1404.5997). Without a batch size it stays.
        model: the hyperparameters handed to the task's model factory.
    """

    optimizer: Part
    scheduler: Part
    regularizers: tuple[Part, ...] = ()
    initializer: Part
    batch_size: int | None
    accumulate: int = 1
    lr_scaling: str = "none"
    model: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", MappingProxyType(dict(self.model)))
        if self.lr_scaling not in LR_SCALINGS:
            raise ParamError(
                f"lr_scaling {self.lr_scaling!r} is not known; "
                f"{did_you_mean(str(self.lr_scaling), LR_SCALINGS)}"
            )

    def __hash__(self) -> int:
        parts = tuple(part for _, part in self.parts())
        model = tuple(sorted(self.model.items()))
        return hash((parts, self.batch_size, self.accumulate, self.lr_scaling, model))

    def __reduce__(self) -> tuple[Any, ...]:
        """Sent to another process as data: what builds is that process's own."""
        return Recipe.from_json, (self.to_json(),)

    @property
    def lr_factor(self) -> float:
        """What :attr:`lr_scaling` multiplies the learning rate by."""
        if self.batch_size is None or self.lr_scaling == "none":
            return 1.0
        ratio = self.batch_size / REFERENCE_BATCH
        return ratio if self.lr_scaling == "linear" else math.sqrt(ratio)

    def bound(self, builder: Builder) -> Recipe:
        """The same recipe, its parts callable through *builder*."""

        def bind(kind: str, part: Part, lr_factor: float = 1.0) -> Part:
            base = part.base and bind(kind, part.base, lr_factor)
            return replace(part, kind=kind, builder=builder, base=base, lr_factor=lr_factor)

        return replace(
            self,
            optimizer=bind("optimizer", self.optimizer, self.lr_factor),
            scheduler=bind("scheduler", self.scheduler),
            regularizers=tuple(bind("regularizer", part) for part in self.regularizers),
            initializer=bind("initializer", self.initializer),
        )

    def parts(self) -> list[tuple[str, Part]]:
        """``(role, part)`` in the order of training; a wrapper comes before what it wraps."""
        return [
            *[("optimizer", part) for part in self.optimizer.chain],
            *[("scheduler", part) for part in self.scheduler.chain],
            *[("regularizer", part) for part in self.regularizers],
            ("initializer", self.initializer),
        ]

    def to_json(self) -> str:
        """Canonical JSON: keys sorted, floats to the last bit; :meth:`from_json` reads it back."""
        data: dict[str, Any] = {
            "optimizer": self.optimizer.data(),
            "scheduler": self.scheduler.data(),
            "regularizers": [part.data() for part in self.regularizers],
            "initializer": self.initializer.data(),
            "batch_size": self.batch_size,
            "accumulate": self.accumulate,
            "model": dict(self.model),
        }
        if self.lr_scaling != "none":  # so recipes without it read as they always did
            data["lr_scaling"] = self.lr_scaling
        return json.dumps(data, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        data = json.loads(text)
        return cls(
            optimizer=Part.from_data(data["optimizer"]),
            scheduler=Part.from_data(data["scheduler"]),
            regularizers=tuple(Part.from_data(part) for part in data["regularizers"]),
            initializer=Part.from_data(data["initializer"]),
            batch_size=data["batch_size"],
            accumulate=data["accumulate"],
            lr_scaling=data.get("lr_scaling", "none"),
            model=data["model"],
        )

    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal: equal for equal recipes, anywhere."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()
