"""Splits and batches: small data lives on the device, Datasets go through a DataLoader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from automl_opt.core.errors import TaskError
from automl_opt.training.randomness import generator
from automl_opt.training.task import Task

SHUFFLED_AT_ONCE = 2**26
"""Bytes of a split up to which an epoch is shuffled at once: one gather, not one a step."""


def batch_sizes(examples: int, size: int) -> list[int]:
    """*size* each, the last what is left over; a single example left over joins the batch before.

    Batch normalisation cannot train on one example.
    """
    full, rest = divmod(examples, size)
    if rest == 1 and full:
        return [size] * (full - 1) + [size + 1]
    return [size] * full + [rest] * bool(rest)


class Source(Protocol):
    """One split."""

    def __len__(self) -> int: ...

    def batches(self, size: int, order: Tensor | None = None) -> Iterator[tuple[Any, Any]]:
        """``(x, y)`` on the device, of as many examples as :func:`batch_sizes` says."""

    def subset(self, indices: Tensor) -> Source: ...


@dataclass(frozen=True)
class TensorSource:
    """Examples as two tensors on the device; the first dimension counts them.

    Args:
        chosen: the rows that the split has, ``None``: all. Splits by several seeds share tensors.
    """

    x: Tensor
    y: Tensor
    chosen: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x if self.chosen is None else self.chosen)

    def rows(self, order: Tensor | None = None) -> Tensor:
        """The rows of the tensors in the order of the split, or in that *order* of it."""
        if self.chosen is None:
            rows = torch.arange(len(self.x)) if order is None else order
            return rows.to(self.x.device)
        return self.chosen if order is None else self.chosen[order.to(self.chosen.device)]

    def subset(self, indices: Tensor) -> TensorSource:
        return TensorSource(self.x, self.y, self.rows(indices))

    def batches(self, size: int, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        sizes, rows = batch_sizes(len(self), size), self.rows(order)
        if self.x[:1].nbytes * len(rows) <= SHUFFLED_AT_ONCE:
            yield from zip(self.x[rows].split(sizes), self.y[rows].split(sizes), strict=True)
            return
        for own in rows.split(sizes):
            yield self.x[own], self.y[own]


@dataclass(frozen=True)
class DatasetSource:
    """A map-style Dataset of ``(x, y)`` examples; batches are moved to the device."""

    dataset: Dataset[Any]
    device: torch.device
    dtype: torch.dtype

    def __len__(self) -> int:
        return len(self.dataset)

    def subset(self, indices: Tensor) -> DatasetSource:
        return DatasetSource(Subset(self.dataset, indices.tolist()), self.device, self.dtype)

    def batches(self, size: int, order: Tensor | None = None) -> Iterator[tuple[Any, Any]]:
        order = torch.arange(len(self)) if order is None else order
        batches = [chosen.tolist() for chosen in order.split(batch_sizes(len(self), size))]
        unused = torch.Generator()  # else the loader draws a seed from the global source
        for x, y in DataLoader(self.dataset, batch_sampler=batches, generator=unused):
            yield moved(x, self.device, self.dtype), moved(y, self.device, self.dtype)


@dataclass(frozen=True)
class Splits:
    train: Source
    valid: Source
    test: Source | None


def resident(task: Task, device: torch.device, dtype: torch.dtype) -> Task:
    """*task* with the data that it leaves to be split on *device*, once for all splits."""
    if task.data is None or isinstance(task.data, Dataset):
        return task
    whole = _source(task.data, "data", device, dtype)
    assert isinstance(whole, TensorSource)
    return replace(task, data=(whole.x, whole.y))


def make_splits(task: Task, seed: int, device: torch.device, dtype: torch.dtype) -> Splits:
    """The task's data on *device*, split by *seed*.

    Args:
        dtype: what floating-point data is turned into.

    Raises:
        TaskError: the data is not of a form a task may have, or a split would be empty.
    """
    if task.data is None:
        splits = Splits(
            _source(task.train, "train", device, dtype),
            _source(task.valid, "valid", device, dtype),
            None if task.test is None else _source(task.test, "test", device, dtype),
        )
    else:
        whole = _source(task.data, "data", device, dtype)
        order = torch.randperm(len(whole), generator=generator(seed, "split"))
        n_train = round(task.split[0] * len(whole))
        n_valid = round(task.split[1] * len(whole)) if task.split[2] else len(whole) - n_train
        train, valid, test = order.tensor_split([n_train, n_train + n_valid])
        splits = Splits(
            whole.subset(train), whole.subset(valid), whole.subset(test) if len(test) else None
        )
    for name in ("train", "valid"):
        if not len(getattr(splits, name)):
            raise TaskError(f"the {name} split is empty")
    return splits


def _source(data: Any, name: str, device: torch.device, dtype: torch.dtype) -> Source:
    if isinstance(data, Dataset):
        if not hasattr(data, "__len__"):
            raise TaskError(f"{name} is a Dataset without a length; a study needs a map-style one")
        return DatasetSource(data, device, dtype)
    if not isinstance(data, Sequence) or len(data) != 2:
        raise TaskError(f"{name} must be (x, y) or a torch Dataset, not {type(data).__name__}")
    x, y = (_tensor(part, name) for part in data)
    if not y.is_floating_point() and y.dtype is not torch.bool:
        y = y.long()  # the one integer type that torch's losses take for class numbers
    if len(x) != len(y):
        raise TaskError(f"{name} has {len(x)} examples in x and {len(y)} in y")
    return TensorSource(moved(x, device, dtype), moved(y, device, dtype))


def _tensor(part: Any, name: str) -> Tensor:
    try:
        return part if isinstance(part, Tensor) else torch.from_numpy(np.array(part, order="C"))
    except (TypeError, ValueError) as error:
        raise TaskError(f"{name} cannot be read as numbers: {error}") from error


def moved(value: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """*value* with every tensor in it on *device*, the floating-point ones as *dtype*."""
    if isinstance(value, Tensor):
        return value.to(device, dtype if value.is_floating_point() else None)
    if isinstance(value, dict):
        return {key: moved(item, device, dtype) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(moved(item, device, dtype) for item in value)
    return value
