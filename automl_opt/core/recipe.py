"""A recipe: everything that decides how one model is trained, as one frozen value."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol

from automl_opt.core.errors import AutomlOptError
from automl_opt.core.params import Value


class Builder(Protocol):
    """Turns a part of a recipe into the real torch object; lives on the training floor."""

    def build(self, kind: str, part: Part, *args: Any, **kwargs: Any) -> Any: ...


@dataclass(frozen=True)
class Part:
    """One component with its parameters, for example ``builtin.adamw`` with ``lr = 1e-3``.

    A part of a bound recipe is callable and builds the torch object it names:
    ``recipe.optimizer(model.parameters())`` and ``recipe.scheduler(optimizer, total_steps)``.
    """

    id: str
    params: Mapping[str, Value] = field(default_factory=dict)
    version: int = 1
    kind: str = field(default="", compare=False, repr=False)
    builder: Builder | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))

    def __hash__(self) -> int:
        return hash((self.id, self.version, tuple(sorted(self.params.items()))))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.builder is None:
            raise AutomlOptError(
                f"the recipe that holds {self.id} is data only; recipes of "
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
        model: the hyperparameters handed to the task's model factory.
    """

    optimizer: Part
    scheduler: Part
    regularizers: tuple[Part, ...] = ()
    initializer: Part
    batch_size: int | None
    accumulate: int = 1
    model: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", MappingProxyType(dict(self.model)))

    def __hash__(self) -> int:
        parts = tuple(part for _, part in self.parts())
        model = tuple(sorted(self.model.items()))
        return hash((parts, self.batch_size, self.accumulate, model))

    def bound(self, builder: Builder) -> Recipe:
        """The same recipe, its parts callable through *builder*."""

        def bind(kind: str, part: Part) -> Part:
            return replace(part, kind=kind, builder=builder)

        return replace(
            self,
            optimizer=bind("optimizer", self.optimizer),
            scheduler=bind("scheduler", self.scheduler),
            regularizers=tuple(bind("regularizer", part) for part in self.regularizers),
            initializer=bind("initializer", self.initializer),
        )

    def parts(self) -> list[tuple[str, Part]]:
        """``(role, part)`` in the order of training, for the store's provenance rows."""
        return [
            ("optimizer", self.optimizer),
            ("scheduler", self.scheduler),
            *[("regularizer", part) for part in self.regularizers],
            ("initializer", self.initializer),
        ]

    def to_json(self) -> str:
        """Canonical JSON: keys sorted, floats to the last bit; :meth:`from_json` reads it back."""

        def plain(part: Part) -> dict[str, Any]:
            return {"id": part.id, "version": part.version, "params": dict(part.params)}

        data = {
            "optimizer": plain(self.optimizer),
            "scheduler": plain(self.scheduler),
            "regularizers": [plain(part) for part in self.regularizers],
            "initializer": plain(self.initializer),
            "batch_size": self.batch_size,
            "accumulate": self.accumulate,
            "model": dict(self.model),
        }
        return json.dumps(data, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        data = json.loads(text)
        return cls(
            optimizer=Part(**data["optimizer"]),
            scheduler=Part(**data["scheduler"]),
            regularizers=tuple(Part(**part) for part in data["regularizers"]),
            initializer=Part(**data["initializer"]),
            batch_size=data["batch_size"],
            accumulate=data["accumulate"],
            model=data["model"],
        )

    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal: equal for equal recipes, anywhere."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()
