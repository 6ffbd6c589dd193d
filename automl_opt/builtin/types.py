"""Names for what passes between a rule and the engine; for annotations only."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

Number: TypeAlias = "float | Tensor"
"""A float when one recipe trains; a tensor that broadcasts, ``[K, 1]``, when K train together."""

State: TypeAlias = "dict[str, Tensor]"
"""What a rule remembers of one parameter between two steps."""
