"""Initializers: how weights start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from automl_opt.api.component import Code, ComponentSpec, is_code


@dataclass(frozen=True, kw_only=True)
class InitializerSpec(ComponentSpec):
    """Fills weights before training.

    Args:
        init: ``init(tensor, generator, **params) -> None``, in place, for every weight of two
            dimensions or more outside embeddings; ``None`` leaves what the model's own layers
            chose. Biases and norms always keep theirs.
    """

    kind: ClassVar[str] = "initializer"

    init: Code | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._need(self.init is None or is_code(self.init), "init must be a function or None")
