from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from automl_opt.training.randomness import generator, seeded


def draws():
    return torch.rand(3).tolist(), np.random.rand(3).tolist(), [random.random() for _ in range(3)]


def test_the_same_path_gives_the_same_numbers_from_every_source():
    with seeded(1, "noise", 2):
        first = draws()
    with seeded(1, "noise", 2):
        second = draws()

    assert first == second


def test_paths_that_differ_give_other_numbers_from_every_source():
    with seeded(1, "noise", 2):
        first = draws()
    with seeded(1, "noise", 3):
        second = draws()

    assert all(a != b for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_outside_the_sources_go_on_as_if_nothing_had_been(ends):
    torch.manual_seed(0), np.random.seed(0), random.seed(0)
    undisturbed = [draws(), draws()]

    torch.manual_seed(0), np.random.seed(0), random.seed(0)
    disturbed = [draws()]
    try:
        with seeded(9):
            draws()
            if ends == "badly":
                raise KeyError
    except KeyError:
        pass
    disturbed.append(draws())

    assert disturbed == undisturbed


def test_cuda_is_not_left_seeded_for_whoever_starts_it_later():
    before = torch.cuda._lazy_seed_tracker.get_calls()

    with seeded(1):
        pass

    assert torch.cuda._lazy_seed_tracker.get_calls() == before


def test_generators_of_one_path_are_independent_objects_that_draw_alike():
    first, second = generator(3, "order"), generator(3, "order")

    numbers = torch.randperm(20, generator=first)
    torch.rand(5)

    assert torch.equal(torch.randperm(20, generator=second), numbers)
    assert not torch.equal(torch.randperm(20, generator=generator(3, "other")), numbers)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_generator_and_the_gpu_source_follow_the_path():
    torch.cuda.init()
    numbers = []
    for _ in range(2):
        with seeded(4):
            numbers.append(torch.rand(3, device="cuda").tolist())
        numbers.append(torch.rand(3, device="cuda", generator=generator(4, device="cuda")).tolist())

    assert numbers[0] == numbers[2]
    assert numbers[1] == numbers[3]
