"""Learning-rate schedules: a pure factor of the step, or an observer of a metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from automl_opt.api.component import Code, ComponentSpec, is_code


@dataclass(frozen=True, kw_only=True)
class SchedulerSpec(ComponentSpec):
    """A schedule multiplies the learning rate; give *factor* or *observe*, not both.

    Args:
        factor: ``factor(step, total, **params) -> float``, at least 0; ``step`` counts optimizer
            steps from 0, ``total`` is how many there will be. Tabled before the steps run.
        observe: ``observe(metric, state, **params) -> state``, called after every epoch with the
            validation loss; ``state`` is ``None`` at first and then what the last call returned:
            a dict of plain numbers with the multiplier under ``"factor"``.
        twin: ``twin(optimizer, total, **params)``: the same schedule as a torch scheduler.
    """

    kind: ClassVar[str] = "scheduler"

    factor: Code | None = None
    observe: Code | None = None
    twin: Code | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._need((self.factor is None) != (self.observe is None), "give factor=… or observe=…")
        self._need(is_code(self.factor or self.observe), "needs a function or 'module:name'")
