"""Pruners: when to stop a trial that will not win."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from automl_opt.api.component import Code, ComponentSpec, is_code


@dataclass(frozen=True, kw_only=True)
class PrunerSpec(ComponentSpec):
    """Judges a trial after each epoch.

    Args:
        pruner: ``pruner(*, epochs, **params) -> optuna.pruners.BasePruner``; ``epochs`` is the
            length of a full trial. It is told of epochs counted from 1.
    """

    kind: ClassVar[str] = "pruner"

    pruner: Code

    def __post_init__(self) -> None:
        super().__post_init__()
        self._need(is_code(self.pruner), "pruner must be a function or 'module:name'")
