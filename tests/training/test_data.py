from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from automl_opt.core.errors import TaskError
from automl_opt.training import data
from automl_opt.training.data import DatasetSource, TensorSource, batch_sizes, make_splits

from .examples import blobs, mlp, task

CPU = torch.device("cpu")


def splits_of(task, seed=0, dtype=torch.float32):
    return make_splits(task, seed, CPU, dtype)


def numbered(n, **changes):
    """A task whose examples carry their number."""
    return task(data=(np.arange(n)[:, None], np.arange(n)), metrics=[], **changes)


def numbers(source):
    return sorted(source.y[source.rows()].tolist())


@pytest.mark.parametrize("n", [10, 97, 1000])
@pytest.mark.parametrize("shares", [(0.6, 0.2, 0.2), (0.5, 0.5, 0.0), (0.34, 0.33, 0.33)])
def test_the_splits_are_disjoint_and_complete(n, shares):
    splits = splits_of(numbered(n, split=shares))

    parts = [numbers(s) for s in (splits.train, splits.valid, splits.test) if s is not None]

    assert sorted(number for part in parts for number in part) == list(range(n))
    for part, share in zip(parts, shares, strict=False):
        assert abs(len(part) - share * n) <= 1
    assert (splits.test is None) == (shares[2] == 0)


def test_the_split_follows_its_seed():
    first, again, other = (splits_of(numbered(50), seed) for seed in (1, 1, 2))

    assert numbers(first.test) == numbers(again.test)
    assert numbers(first.test) != numbers(other.test)


def test_given_splits_stay_as_given():
    parts = {
        name: (np.full((n, 4), n), np.zeros(n))
        for name, n in [("train", 7), ("valid", 5), ("test", 3)]
    }

    splits = splits_of(task(**parts))
    without = splits_of(task(train=parts["train"], valid=parts["valid"]))

    assert [len(s) for s in (splits.train, splits.valid, splits.test)] == [7, 5, 3]
    assert without.test is None
    assert torch.equal(splits.valid.x, torch.full((5, 4), 5.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_floats_become_the_training_dtype_and_class_numbers_int64(dtype):
    x, y = blobs()

    for labels in (y.numpy().astype("uint8"), y.int(), y.tolist()):
        train = splits_of(task(data=(x.numpy(), labels)), dtype=dtype).train
        assert (train.x.dtype, train.y.dtype) == (dtype, torch.int64)
    tokens = splits_of(task(data=(y[:, None].int(), x)), dtype=dtype).train
    assert (tokens.x.dtype, tokens.y.dtype) == (torch.int32, dtype)


def test_arrays_that_torch_is_wary_of_are_read():
    x, y = blobs()
    locked = x.numpy().copy()
    locked.setflags(write=False)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        splits = splits_of(task(data=(locked, y.numpy()[::-1]), split=(0.5, 0.5, 0.0)))

    assert len(splits.train) == 21


class Examples(Dataset):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


class Endless(IterableDataset):
    def __iter__(self):
        return iter([])


@pytest.mark.parametrize(
    ("examples", "size", "sizes"),
    [
        (12, 4, [4, 4, 4]),
        (11, 4, [4, 4, 3]),
        (13, 4, [4, 4, 5]),
        (3, 1, [1, 1, 1]),
        (1, 4, [1]),
        (5, 4, [5]),
        (4, 9, [4]),
        (0, 4, []),
    ],
)
def test_a_single_example_left_over_joins_the_batch_before(examples, size, sizes):
    assert batch_sizes(examples, size) == sizes


@pytest.mark.parametrize("size", [1, 5, 6, 42, 100])
def test_a_dataset_gives_the_same_batches_as_its_tensors(size):
    x, y = blobs()
    of_tensors = splits_of(task(data=(x, y))).train
    of_dataset = splits_of(task(data=TensorDataset(x, y))).train
    order = torch.randperm(len(of_tensors))

    assert isinstance(of_tensors, TensorSource)
    assert isinstance(of_dataset, DatasetSource)
    for order_ in (None, order):
        pairs = zip(of_tensors.batches(size, order_), of_dataset.batches(size, order_), strict=True)
        for (x1, y1), (x2, y2) in pairs:
            assert torch.equal(x1, x2)
            assert torch.equal(y1, y2)


def test_reading_a_dataset_draws_nothing_from_the_global_source():
    source = splits_of(task(data=TensorDataset(*blobs()))).train
    torch.manual_seed(0)
    before = torch.get_rng_state()

    list(source.batches(8, torch.arange(len(source))))

    assert torch.equal(torch.get_rng_state(), before)


def test_a_large_split_is_gathered_batch_by_batch_to_the_same_batches(monkeypatch):
    source = splits_of(task()).train
    order = torch.randperm(len(source))
    at_once = [(x.clone(), y.clone()) for x, y in source.batches(4, order)]

    monkeypatch.setattr(data, "SHUFFLED_AT_ONCE", 0)
    one_by_one = list(source.batches(4, order))

    assert len(at_once) == len(one_by_one) == 6
    for (x1, y1), (x2, y2) in zip(at_once, one_by_one, strict=True):
        assert torch.equal(x1, x2)
        assert torch.equal(y1, y2)


def test_nested_examples_are_moved_whole():
    class Nested(Examples):
        def __getitem__(self, index):
            return {"a": self.x[index], "b": [self.x[index], self.y[index]]}, self.y[index]

    source = splits_of(task(data=Nested(*blobs()))).train

    x, y = next(source.batches(3))

    assert x["a"].dtype is x["b"][0].dtype is torch.float32
    assert x["b"][1].dtype is y.dtype is torch.int64


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((5, 2)), r"data must be \(x, y\) or a torch Dataset, not ndarray"),
        ((np.zeros((5, 2)),), r"data must be \(x, y\)"),
        ((np.zeros((5, 2)), np.zeros(4)), "data has 5 examples in x and 4 in y"),
        ((["a", "b"], [0, 1]), "data cannot be read as numbers"),
        (([[1, 2], [3]], [0, 1]), "data cannot be read as numbers"),
        ((np.zeros((1, 2)), [0]), "the valid split is empty"),
        (([], []), "the train split is empty"),
        (Endless(), "data is a Dataset without a length"),
    ],
    ids=["array", "one", "unequal", "texts", "ragged", "one example", "none", "endless"],
)
def test_data_that_is_none_is_refused_with_its_reason(given, message):
    with pytest.raises(TaskError, match=message):
        splits_of(task(model=mlp, data=given))
