from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def _torch_settings():
    """One thread, so that the tests share a machine well; back to what was set afterwards."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)


@pytest.fixture
def float64():
    """New tensors are float64: torch's NAdam keeps one number in the default dtype."""
    torch.set_default_dtype(torch.float64)
