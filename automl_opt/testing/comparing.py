"""Whether two results are the same, to the bit or nearly; and what is not finite in one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


def leaves(value: Any) -> Iterator[Any]:
    """The tensors and plain values inside dicts, lists and tuples."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def same(one: Any, other: Any) -> bool:
    """Whether two nested values are equal to the bit; NaN equals itself."""
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        if not isinstance(one, Tensor) or not isinstance(other, Tensor):
            return False
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        return torch.equal(one.nan_to_num(nan=0.5), other.nan_to_num(nan=0.5)) and torch.equal(
            one.isnan(), other.isnan()
        )
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and bool(one == other)


def distance(one: Any, other: Any) -> float:
    """The largest difference of two nested values of numbers, relative where they exceed 1."""
    worst = 0.0
    for a, b in zip(leaves(one), leaves(other), strict=True):
        first, second = torch.as_tensor(a).double(), torch.as_tensor(b).double()
        gap = (first - second).abs() / second.abs().clamp(min=1.0)
        if gap.numel():
            worst = max(worst, math.inf if bool(gap.isnan().any()) else float(gap.max()))
    return worst


def near(one: Any, other: Any, tolerance: float = 1e-9) -> bool:
    """Whether two nested values agree: numbers to *tolerance*, as :func:`distance` measures it."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(near(one[k], other[k], tolerance) for k in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(near(a, b, tolerance) for a, b in pairs)
    if isinstance(one, (float, Tensor)) and isinstance(other, (float, int, Tensor)):
        return same(one, other) or distance(one, other) <= tolerance
    return same(one, other)


def finite(value: Any) -> bool:
    """Whether every number in a nested value is finite."""
    for leaf in leaves(value):
        if isinstance(leaf, Tensor):
            if not bool(leaf.isfinite().all()):
                return False
        elif isinstance(leaf, float) and not math.isfinite(leaf):
            return False
    return True


def copied(value: Any) -> Any:
    """A nested value with tensors of its own."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(copied(item) for item in value)
    return value
