"""Learning-rate schedules: a factor of the step, an observer of a metric, or a wrapper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from automl_opt.api.component import Code, ComponentSpec, is_code


@dataclass(frozen=True, kw_only=True)
class SchedulerSpec(ComponentSpec):
    """A schedule multiplies the learning rate; give one of *factor*, *observe* and *wrap*.

    Args:
        factor: ``factor(step, total, **params) -> float``, at least 0; ``step`` counts optimizer
            steps from 0, ``total`` is how many there will be. Tabled before the steps run.
        observe: ``observe(metric, state, **params) -> state``, called after every epoch with the
            validation loss; ``state`` is ``None`` at first and then what the last call returned:
            a dict of plain numbers with the multiplier under ``"factor"``.
        wrap: ``wrap(factor, step, total, **params) -> float`` around another schedule, whose
            ``factor(step, total)`` it is handed; a study names both, as in ``warmup(cosine)``. The
            multiplier of a schedule that observes comes on top: its ``factor`` is 1 throughout.
        twin: ``twin(optimizer, total, **params)``: the same schedule as a torch scheduler.
    """

    kind: ClassVar[str] = "scheduler"

    factor: Code | None = None
    observe: Code | None = None
    wrap: Code | None = None
    twin: Code | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        ways = [way for way in (self.factor, self.observe, self.wrap) if way is not None]
        self._need(len(ways) == 1, "give one of factor=…, observe=… and wrap=…")
        self._need(is_code(ways[0]), "needs a function or 'module:name'")
