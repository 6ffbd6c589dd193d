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
        fit: ``fit(model, x, **params) -> None``, once after *init*: may run the model on *x*, a
            batch of training inputs on the model's device, and change its weights in place.
        variance: ``variance(shape, **params) -> float``, of the values *init* fills a weight of
            that shape with; the conformance kit measures it.
    """

    kind: ClassVar[str] = "initializer"

    init: Code | None = None
    fit: Code | None = None
    variance: Code | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("init", "fit", "variance"):
            code = getattr(self, name)
            self._need(code is None or is_code(code), f"{name} must be a function or None")
        self._need(
            self.variance is None or self.init is not None, "variance is that of init, so give both"
        )
